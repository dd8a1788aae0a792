"""Rounding: what the codec does, and the two stand-ins that training uses for it.

A latent is coded as the integer ``round(y_bar - means)``; the decoder adds the
means back. Rounding has zero gradient almost everywhere, so training replaces it

- by additive uniform noise where a *rate* is estimated: the bin probability of a
  rounded value is the density of the noisy one (Ballé et al. 2017), and
- by the straight-through estimator where a *picture* is made from the latents:
  the value is really rounded, the gradient passes as if it had not been.

Paper, section 2.1.2: noise "in the hyper-encoder and when estimating p(y_hat)".
"""

import torch
from torch import Tensor

#: Means live on multiples of 1/GRID, so GRID * y_hat is an integer and the entropy
#: model can be evaluated in exact integer arithmetic (see ``plic_lib.integer``).
GRID = 64


def straight_through(x: Tensor, value: Tensor) -> Tensor:
    """``value`` in the forward pass, the gradient of ``x`` in the backward pass."""
    return x + (value - x).detach()


def snap(x: Tensor) -> Tensor:
    """Move to the nearest multiple of 1/64; the gradient is that of the identity."""
    return straight_through(x, torch.round(x * GRID) / GRID)


def quantise(y: Tensor, means: Tensor) -> Tensor:
    """``round(y - means) + means``, straight-through in ``y``. Shapes as ``y``.

    The gradient with respect to ``means`` is zero: moving a mean moves the residual
    the other way.
    """
    return straight_through(y, torch.round(y - means) + means)


def uniform_noise(like: Tensor, seeds: list[int] | None = None) -> Tensor:
    """Noise from U(-1/2, 1/2) with the shape, type and device of ``like``.

    With ``seeds`` (one an image of the batch), image i has the noise of ``seeds[i]``
    whatever the batch and the device around it; without, torch's global generator
    draws it.
    """
    if seeds is None:
        return torch.rand_like(like) - 0.5
    noise = [torch.rand(like.shape[1:], generator=torch.Generator().manual_seed(s)) for s in seeds]
    return torch.stack(noise).to(like) - 0.5
