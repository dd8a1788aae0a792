"""How two frameworks are compared: the same weights, the same numbers in, the distance of what comes out."""

from collections.abc import Callable

import numpy as np
import torch
from mindspore import Tensor, nn, value_and_grad
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
