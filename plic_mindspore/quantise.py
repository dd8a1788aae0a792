"""Rounding, and its two stand-ins for training. As ``plic_lib.quantise``."""

import numpy as np
from mindspore import Tensor, ops

GRID = 64  #: means live on multiples of 1/GRID


def straight_through(x: Tensor, value: Tensor) -> Tensor:
    """``value`` in the forward pass, the gradient of ``x`` in the backward pass."""
    return x + ops.stop_gradient(value - x)


def snap(x: Tensor) -> Tensor:
    """Move to the nearest multiple of 1/64; the gradient is that of the identity."""
    return straight_through(x, ops.round(x * GRID) / GRID)


def quantise(y: Tensor, means: Tensor) -> Tensor:
    """``round(y - means) + means``, straight-through in ``y``; no gradient in ``means``. Shapes as ``y``."""
    return straight_through(y, ops.round(y - means) + means)


def uniform_noise(like: Tensor, seeds: list[int] | None = None) -> Tensor:
    """Noise from U(-1/2, 1/2) with the shape and type of ``like``.

    With ``seeds`` (one an image of the batch), image i has the noise of ``seeds[i]``. It is
    NumPy's noise: torch draws other numbers from the same seed.
    """
    seeds = [None] * len(like) if seeds is None else seeds
    noise = np.stack([np.random.default_rng(seed).random(like.shape[1:], np.float32) for seed in seeds])
    return Tensor(noise - np.float32(0.5)).astype(like.dtype)
