"""Trained models on disk: safetensors, so loading never executes code.

A checkpoint holds the weights, the frozen entropy coder and, as JSON text, the
settings. The hash of a model covers everything that decides what a file decodes to;
its first four bytes stand in every file. A second hash, of all numbers in the checkpoint,
tells damage in what only encoding needs.
"""

import hashlib
import json
from functools import cached_property
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as unpack
from safetensors.torch import save as pack
from torch import Tensor, nn

from plic_lib import files, inference
from plic_lib.errors import CheckpointError
from plic_lib.integer import Frozen, IntegerNetworks
from plic_lib.model import Plic, Widths
from plic_lib.shipped import FOLDER as FOLDER
from plic_lib.shipped import find, header


class TrainedModel:
    """A model that can write and read files.

    Attributes:
        name: the checkpoint's.
        networks: the float networks (``Plic``), in evaluation mode.
        frozen: fraction bits and tables.
        integers: the entropy path in integer arithmetic, on the CPU or a CUDA device.
        encoder, generator: the two of ``networks`` as the codec runs them (see ``inference``),
            made at first use; call ``to`` after a change of weights.
        hash: hexadecimal SHA-256, see ``model_hash``.
        about: the other settings stored with the weights (steps, data, ...).
    """

    def __init__(self, name: str, networks: Plic, frozen: Frozen, about: dict | None = None):
        self.name, self.frozen, self.about = name, frozen, about or {}
        self.networks = networks.eval().requires_grad_(False)
        self.integers = IntegerNetworks(networks, frozen.fraction_bits)
        self.dtype = torch.float32
        self.hash = model_hash(self)

    @property
    def levels(self) -> int:
        """Number of trained gain vectors; levels run from 0 to this less one."""
        return self.networks.widths.levels

    @property
    def device(self) -> torch.device:
        """Where encoder and generator run."""
        return next(self.networks.parameters()).device

    @cached_property
    def encoder(self) -> nn.Module:
        # its first convolution and GDN make .02 dB of bfloat16's difference, and a tenth of the time
        return inference.prepare(self.networks.encoder, self.dtype, exact=2)

    @cached_property
    def generator(self) -> nn.Module:
        return inference.prepare(self.networks.generator, self.dtype)

    def to(self, device: str | torch.device, dtype: torch.dtype = torch.float32) -> "TrainedModel":
        """Move to a device, and let encoder and generator compute there in a type.

        The integer path goes along to CUDA and stays on the CPU otherwise (Apple's MPS has no
        float64); what a file decodes to is the same everywhere. The pixels keep within a grey
        level of each other in float32, in ``torch.bfloat16`` within a few.
        """
        self.networks.to(device)
        self.integers.to(device)
        self.dtype = dtype
        for prepared in ("encoder", "generator"):
            self.__dict__.pop(prepared, None)
        return self


def model_hash(model: TrainedModel) -> str:
    """SHA-256 of the integers, tables, inverse gains and generator, in hexadecimal."""
    parts = {f"integers.{k}": v for k, v in model.integers.tensors().items()}
    parts |= {f"frozen.{k}": v for k, v in model.frozen.tensors().items()}
    parts |= {f"generator.{k}": v for k, v in model.networks.generator.state_dict().items()}
    parts["theta_inverse"] = model.networks.gain_units.theta_inverse
    digest = hashlib.sha256()
    for key in sorted(parts):
        value = parts[key].detach().cpu().contiguous()
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


@torch.no_grad()
def round_weights_(networks: Plic) -> Plic:
    """Round all convolution kernels to half precision, as a checkpoint stores them. Returns ``networks``.

    Done before freezing, so that what is measured is what is shipped.
    """
    for parameter in networks.parameters():
        if parameter.ndim == 4:
            parameter.copy_(parameter.half())
    return networks


def save(model: TrainedModel, path: str | Path) -> None:
    """Write a checkpoint, see ``files.whole``. Raises FileError, and CheckpointError for weights that it would change."""
    weights = {k: v.half() if v.ndim == 4 else v for k, v in _weights(model.networks).items()}
    if any(not torch.equal(weights[k].to(v), v) for k, v in _weights(model.networks).items()):
        raise CheckpointError("a checkpoint holds kernels in half precision, which these are not: freeze after round_weights_")
    tensors = {f"networks.{k}": v for k, v in weights.items()}
    tensors |= {f"frozen.{k}": v for k, v in model.frozen.tensors().items()}
    tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    metadata = {"format": "plic-1", "hash": model.hash, "widths": json.dumps(model.networks.settings()), "about": json.dumps(model.about)}
    files.write(path, pack(tensors, metadata | {"data": _data_hash(pack(tensors))}))


def _data_hash(contents: bytes) -> str:
    """SHA-256 of what follows the header of a safetensors file: the numbers of all tensors."""
    return hashlib.sha256(memoryview(contents)[8 + int.from_bytes(contents[:8], "little") :]).hexdigest()


def _weights(networks: Plic) -> dict[str, Tensor]:
    """The state without CompressAI's own coding tables, which live in ``Frozen``."""
    return {k: v for k, v in networks.state_dict().items() if k not in {f"prior.{n}" for n in ("_offset", "_quantized_cdf", "_cdf_length")}}


def load(name_or_path: str | Path = "mini", device: str | torch.device = "cpu") -> TrainedModel:
    """Load a shipped model by name, or any checkpoint by path.

    Raises:
        CheckpointError: not found, not a plic checkpoint, incomplete or damaged.

    >>> model = load("mini")
    >>> model.name, model.levels, len(model.hash)
    ('mini', 3, 64)
    """
    path = find(name_or_path)
    metadata, contents = header(path), files.read(path)
    if metadata.get("format") != "plic-1":
        raise CheckpointError(f"{path}: a safetensors file, but not a plic checkpoint of format 1")
    if metadata.get("data") not in (None, _data_hash(contents)):  # None: the first checkpoints do not state it
        raise CheckpointError(f"{path}: its contents do not have the hash that it states; it is damaged")
    try:
        tensors, about = unpack(contents), json.loads(metadata.get("about", "{}"))
        part = lambda prefix: {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        networks = _filled(_widths(metadata["widths"], tensors), part("networks."))
        frozen = Frozen.from_tensors(part("frozen."))
        if len(frozen.tables.z_length) != networks.widths.N:
            raise ValueError(f"tables for {len(frozen.tables.z_length)} channels of z, which has {networks.widths.N}")
        if not isinstance(about, dict):
            raise ValueError("what it says about itself is no object of JSON")
        model = TrainedModel(path.stem, networks, frozen, about)
    except (SafetensorError, KeyError, TypeError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{path}: incomplete, damaged or made by another version of plic ({error})") from error
    if model.hash != metadata.get("hash"):
        raise CheckpointError(f"{path}: its contents do not have the hash that it states; it is damaged")
    return model.to(device)


def _widths(text: str, tensors: dict[str, Tensor]) -> Widths:
    """What a checkpoint says of its networks, where its tensors have that size: a few bytes may ask for terabytes."""
    widths = Widths(**json.loads(text))
    N, M, levels = widths.N, widths.M, widths.levels
    if min(N, M, levels) < 1:
        raise ValueError(f"its networks have the widths {text}")
    for name, shape in {"encoder.2.weight": (N, N, 5, 5), "context.weight": (2 * M, M, 5, 5), "gain_units.theta": (levels, M)}.items():
        if (found := tensors.get(f"networks.{name}")) is None:
            raise ValueError(f"some of its tensors are missing: {name}")
        if found.shape != shape:
            raise ValueError(f"{name} has not the shape that follows from its widths {text}")
    return widths


def _filled(widths: Widths, stored: dict[str, Tensor]) -> Plic:
    """Networks with the weights of a checkpoint: all of them, and numbers."""
    networks = Plic(widths)
    own = _weights(networks)
    if missing := sorted(own.keys() - stored.keys()):
        raise ValueError(f"{len(missing)} of its tensors are missing: {missing[0]}, …")
    if unknown := sorted(stored.keys() - own.keys()):
        raise ValueError(f"{len(unknown)} of its tensors have no place: {unknown[0]}, …")
    for name, weights in stored.items():
        if weights.shape != own[name].shape or not weights.isfinite().all():
            raise ValueError(f"{name} has another shape than its place, or values that are no numbers")
    networks.load_state_dict(networks.state_dict() | stored)
    return networks
