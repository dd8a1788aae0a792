"""A device that this machine does not have: its tensors cannot be mixed with the CPU's, and compute what the CPU does.

Inside ``with Device("cuda"):`` a tensor that is moved or made there keeps its values on the
CPU in secret. An operation that mixes it with a CPU tensor, ``.numpy()`` and ``.tolist()``
fail as on the real one; ``.cpu()`` brings the values back. ``Device("meta")``, a name that
every PyTorch knows, has no float64, as Apple's MPS.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map


class Remote(torch.Tensor):
    """A tensor of the device; ``values`` is the CPU's."""

    @staticmethod
    def __new__(cls, values: torch.Tensor, device: torch.device):
        if device.type != "cuda" and values.dtype == torch.float64:
            raise TypeError("this device has no float64")
        return torch.Tensor._make_wrapper_subclass(cls, values.shape, strides=values.stride(), dtype=values.dtype, device=device)

    def __init__(self, values: torch.Tensor, device: torch.device):
        self.values = values

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        raise RuntimeError(f"{function} on a device that has been left")


class Device(TorchDispatchMode):
    def __init__(self, name: str):
        super().__init__()
        self.device = torch.device(name)

    def __enter__(self):
        torch._C._ensureCUDADeviceGuardSet()  # so that .to("cuda") does not ask for a driver
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        return super().__enter__()

    def __exit__(self, *error):
        torch.__future__.set_overwrite_module_params_on_conversion(False)
        return super().__exit__(*error)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        remote = any(isinstance(t, Remote) for t in tensors)
        may_mix = any(name in str(function) for name in ("copy", "aten.index"))  # indices may lie on the CPU
        if remote and not may_mix and any(t.ndim and not isinstance(t, Remote) for t in tensors):
            raise RuntimeError(f"{function}: tensors on {self.device} and on the CPU")
        if kwargs.get("device") is not None:
            remote = torch.device(kwargs["device"]).type == self.device.type
            kwargs["device"] = torch.device("cpu")
        args, kwargs = tree_map(lambda t: t.values if isinstance(t, Remote) else t, (args, kwargs))
        outputs = function(*args, **kwargs)
        return tree_map(lambda t: Remote(t, self.device) if remote and isinstance(t, torch.Tensor) else t, outputs)
