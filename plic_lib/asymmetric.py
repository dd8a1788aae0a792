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
    """Density at ``y``; at the mode it meets itself.

    >>> means, left, right = torch.tensor([0.0, 1.0, 3.0])
    >>> pdf(torch.tensor([-1.0, 0.0, 3.0]), means, left, right)  # one scale out on either side
    tensor([0.1210, 0.1995, 0.1210])
    """
    t = y - means
    scales = torch.where(t < 0, scales_left, scales_right)
    peak = math.sqrt(2 / math.pi) / (scales_left + scales_right)
    return peak * torch.exp(-0.5 * (t / scales) ** 2)


def cdf(y: Tensor, means: Tensor, scales_left: Tensor, scales_right: Tensor) -> Tensor:
    """Probability of a value at most ``y``; ``w_l`` at the mode.

    >>> means, left, right = torch.tensor([0.0, 1.0, 3.0])
    >>> cdf(torch.tensor([-1.0, 0.0, 3.0]), means, left, right)
    tensor([0.0793, 0.2500, 0.7620])
    """
    t = y - means
    total = scales_left + scales_right
    left = scales_left / total * torch.erfc(-t.clamp(max=0) / (SQRT2 * scales_left))
    right = scales_right / total * torch.erf(t.clamp(min=0) / (SQRT2 * scales_right))
    return left + right


def quantile(p: Tensor, means: Tensor, scales_left: Tensor, scales_right: Tensor) -> Tensor:
    """The inverse of ``cdf`` for ``p`` in (0, 1).

    >>> means, left, right = torch.tensor([0.0, 1.0, 3.0])
    >>> quantile(torch.tensor([0.0793, 0.25, 0.7620]), means, left, right).round(decimals=2)
    tensor([-1.,  0.,  3.])
    """
    total = scales_left + scales_right
    weight_left = scales_left / total
    left = scales_left * torch.special.ndtri((p / (2 * weight_left)).clamp(max=0.5))
    right = scales_right * torch.special.ndtri(((1 - p) * total / (2 * scales_right)).clamp(max=0.5))
    return means + torch.where(p < weight_left, left, -right)


def sample(means: Tensor, scales_left: Tensor, scales_right: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """One draw an element, of the shape that the three parameters broadcast to and of the type of ``means``.

    Drawn on the CPU, so that a generator gives the same on every device.

    >>> draws = sample(torch.zeros(10_000), torch.tensor(1.0), torch.tensor(3.0), torch.Generator().manual_seed(0))
    >>> draws.shape, round(float((draws < 0).float().mean()), 2)  # w_l is 1 / 4
    (torch.Size([10000]), 0.25)
    """
    shape = torch.broadcast_shapes(means.shape, scales_left.shape, scales_right.shape)
    p = torch.rand(shape, generator=generator, dtype=torch.float64).clamp(1e-12, 1 - 1e-12)
    # all in float64: float32 would round the largest p to 1, whose quantile is infinite
    return quantile(p, *(t.cpu().double() for t in (means, scales_left, scales_right))).to(means)


def survival(distance: Tensor | float, scales: Tensor) -> Tensor:
    """The share of one half's mass that lies farther than ``distance`` >= 0 from the mode.

    >>> survival(torch.tensor([0.0, 1.0, 3.0]), torch.tensor(1.0))
    tensor([1.0000, 0.3173, 0.0027])
    """
    return torch.erfc(distance / (SQRT2 * scales))


def bin_probability(y: Tensor, means: Tensor, scales_left: Tensor, scales_right: Tensor) -> Tensor:
    """Mass of the unit bin [y - 1/2, y + 1/2]: the probability of a symbol.

    Each half contributes a difference of two erfc of *non-negative* arguments, which
    keeps its relative precision in the tails; ``cdf(b) - cdf(a)`` cancels there.

    >>> symbols = torch.arange(-40, 121).double()
    >>> round(float(bin_probability(symbols, *torch.tensor([0.3, 1.0, 3.0]).double()).sum()), 12)
    1.0
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

    >>> bits(torch.tensor([-1.0, 0.0, 3.0]), *torch.tensor([0.0, 1.0, 3.0])).round(decimals=2)
    tensor([3.0500, 2.3600, 3.0500])
    >>> round(float(bits(torch.tensor(300.0), *torch.tensor([0.0, 1.0, 3.0]))))  # a probability of 2 to the -7197
    7197
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
