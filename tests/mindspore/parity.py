"""How two frameworks are compared: the same weights, the same numbers in, the distance of what comes out."""

from collections.abc import Callable

import numpy as np
import torch
from mindspore import Tensor, nn, ops, value_and_grad
from numpy import ndarray


def copy_weights(source: torch.nn.Module, target: nn.Cell) -> nn.Cell:
    """Give every parameter of a port the value that the original has under its name."""
    stored = source.state_dict()
    for name, parameter in target.parameters_dict().items():
        assert tuple(parameter.shape) == tuple(stored[name].shape), name
        parameter.set_data(Tensor(stored[name].numpy().copy()))
    return target


def distance(ours, theirs) -> float:
    """Largest difference, relative to the largest value of the original."""
    ours, theirs = (
        t.asnumpy() if isinstance(t, Tensor) else t.detach().numpy() if isinstance(t, torch.Tensor) else t for t in (ours, theirs)
    )
    assert ours.shape == theirs.shape
    return float(abs(ours.astype(np.float64) - theirs).max() / max(abs(theirs.astype(np.float64)).max(), 1e-30))


def ported_gradients(function: Callable, inputs: list[ndarray], cell: nn.Cell | None = None) -> tuple:
    """Of a port: the value, the gradients of the inputs, and those of the parameters by name."""
    parameters = [] if cell is None else list(cell.trainable_params())
    places = tuple(range(len(inputs)))
    value, gradients = value_and_grad(function, places, parameters or None)(*map(Tensor, inputs))
    inner, outer = gradients if parameters else (gradients, ())
    inner = inner if isinstance(inner, tuple) else (inner,)  # of a single one, MindSpore makes no tuple
    return value, list(inner), {p.name: g for p, g in zip(parameters, outer)}


def original_gradients(function: Callable, inputs: list[ndarray], module: torch.nn.Module | None = None) -> tuple:
    """The same of the original."""
    leaves = [torch.tensor(x, requires_grad=True) for x in inputs]
    value = function(*leaves)
    value.backward()
    return (
        value,
        [x.grad for x in leaves],
        {} if module is None else {n: p.grad for n, p in module.named_parameters() if p.grad is not None},
    )


def note_kinks(module: torch.nn.Module) -> list[ndarray]:
    """Filled by the next pass of an original: for each of its ReLUs, in their order, which of the units pass."""
    passed: list[ndarray] = []
    for layer in module.modules():
        if isinstance(layer, torch.nn.ReLU):
            layer.register_forward_hook(lambda _layer, _inputs, output: passed.append((output.detach() > 0).numpy()))
    return passed


def hand_over_kinks(monkeypatch, passed: list[ndarray]) -> list[float]:
    """Let the first ReLUs of a port pass what those of the original passed; filled with the sums of units that would not have.

    Where a sum is zero but for float32's rounding, one framework passes a gradient and the other none: one unit of
    hundreds of thousands was seen to put gradients of its block off by 0.7 %, which are within 1e-5 without it.
    """
    waiting, relu, otherwise = iter(passed), ops.relu, []

    def patterned(sums: Tensor) -> Tensor:
        pattern = next(waiting, None)
        if pattern is None:
            return relu(sums)  # those of LPIPS
        otherwise.extend(abs(sums.asnumpy())[(sums.asnumpy() > 0) != pattern])
        return sums * Tensor(pattern.astype(np.float32))

    monkeypatch.setattr(ops, "relu", patterned)
    monkeypatch.setattr(nn.ReLU, "construct", lambda self, sums: patterned(sums))
    return otherwise
