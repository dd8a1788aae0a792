"""The asymmetric Gaussian (split normal), the entropy model of y (paper, equation 1).

Left of the mode ``means`` it falls like a Gaussian of scale ``scales_left``, right of
it like one of scale ``scales_right``; the halves meet at the mode and carry the masses

    w_l = s_l / (s_l + s_r)   and   w_r = s_r / (s_l + s_r).

With equal scales it is the Gaussian. All functions are pure, take tensors that
broadcast together, and work in the latents' own units (one quantisation step = 1).
Formulas: Wallis (2014), "The two-piece normal, binormal, or double Gaussian
distribution"; the use for latents: Cui et al. 2021, equation 10.
"""

import math

import torch
from torch import Tensor

SQRT2 = math.sqrt(2)
#: Bounds of both scales: below 0.11 a bin already holds all the mass.
SCALE_MIN, SCALE_MAX = 0.11, 64.0


def pdf(y: Tensor, means: Tensor, scales_left: Tensor, scales_right: Tensor) -> Tensor:
    """Density at ``y``."""
    t = y - means
    scales = torch.where(t < 0, scales_left, scales_right)
    peak = math.sqrt(2 / math.pi) / (scales_left + scales_right)
    return peak * torch.exp(-0.5 * (t / scales) ** 2)


def cdf(y: Tensor, means: Tensor, scales_left: Tensor, scales_right: Tensor) -> Tensor:
    """Probability of a value at most ``y``; ``w_l`` at the mode."""
    t = y - means
    total = scales_left + scales_right
    left = scales_left / total * torch.erfc(-t.clamp(max=0) / (SQRT2 * scales_left))
    right = scales_right / total * torch.erf(t.clamp(min=0) / (SQRT2 * scales_right))
    return left + right


def quantile(p: Tensor, means: Tensor, scales_left: Tensor, scales_right: Tensor) -> Tensor:
    """The inverse of ``cdf`` for ``p`` in (0, 1)."""
    total = scales_left + scales_right
    weight_left = scales_left / total
    left = scales_left * torch.special.ndtri((p / (2 * weight_left)).clamp(max=0.5))
    right = scales_right * torch.special.ndtri(((1 - p) * total / (2 * scales_right)).clamp(max=0.5))
    return means + torch.where(p < weight_left, left, -right)


def sample(means: Tensor, scales_left: Tensor, scales_right: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """One draw an element, of the shape that the three parameters broadcast to."""
    shape = torch.broadcast_shapes(means.shape, scales_left.shape, scales_right.shape)
    p = torch.rand(shape, generator=generator, dtype=torch.float64).clamp(1e-12, 1 - 1e-12)
    # all in float64: float32 would round the largest p to 1, whose quantile is infinite
    return quantile(p, *(t.cpu().double() for t in (means, scales_left, scales_right))).to(means)


def survival(distance: Tensor | float, scales: Tensor) -> Tensor:
    """The share of one half's mass that lies farther than ``distance`` >= 0 from the mode."""
    return torch.erfc(distance / (SQRT2 * scales))


def bin_probability(y: Tensor, means: Tensor, scales_left: Tensor, scales_right: Tensor) -> Tensor:
    """Mass of the unit bin [y - 1/2, y + 1/2]: the probability of a symbol.

    Each half contributes a difference of two erfc of *non-negative* arguments, which
    keeps its relative precision in the tails; ``cdf(b) - cdf(a)`` cancels there.
    """
    a, b = y - means - 0.5, y - means + 0.5
    total = scales_left + scales_right

    def mass_beyond(t: Tensor, scales: Tensor) -> Tensor:
        return scales / total * torch.erfc(t.clamp(min=0) / (SQRT2 * scales))

    left = mass_beyond(-b, scales_left) - mass_beyond(-a, scales_left)
    right = mass_beyond(a, scales_right) - mass_beyond(b, scales_right)
    return left + right


def bits(y: Tensor, means: Tensor, scales_left: Tensor, scales_right: Tensor) -> Tensor:
    """``-log2 bin_probability``, and its gradients, right however far out ``y`` is.

    A probability below 1e-38 is zero in float32 and has no gradient; then a symbol far
    from its mean could never pull its scale up. So bins that do not hold the mode are
    evaluated in the log domain, with the scaled function erfcx(t) = exp(t²) erfc(t):

        log(erfc(A) - erfc(B)) = log erfcx(A) - A² + log(1 - exp(A² - B²) erfcx(B) / erfcx(A))

    where A < B are the distances of the bin's near and far edge, over sqrt(2) scales.
    """
    t = y - means
    total = scales_left + scales_right

    centre = scales_left * torch.erf((0.5 - t).clamp(min=0) / (SQRT2 * scales_left))
    centre = centre + scales_right * torch.erf((0.5 + t).clamp(min=0) / (SQRT2 * scales_right))

    scales = torch.where(t < 0, scales_left, scales_right)
    near = ((t.abs() - 0.5).clamp(min=0)) / (SQRT2 * scales)
    far = near + 1 / (SQRT2 * scales)
    ratio = torch.exp((near - far) * (near + far)) * torch.special.erfcx(far) / torch.special.erfcx(near)
    tail = torch.log(scales) + torch.log(torch.special.erfcx(near)) - near**2 + torch.log1p(-ratio)

    holds_mode = t.abs() < 0.5
    nats = torch.log(total) - torch.where(holds_mode, torch.log(centre.clamp(min=1e-30)), tail)
    return nats / math.log(2)
