"""Exercises of 06_asymmetric_gaussian."""

import math
import random
from functools import partial

import torch
from torch import Tensor
from torch.special import ndtri

from plic_lib import asymmetric
from plic_lib.course.check.exercise import Exercise, slopes

NOTEBOOK = "06_asymmetric_gaussian"


def first_broken(cdf):
    r"""Float32 is finest near zero. On the left $F$ is near zero there, and a difference vanishes only where $F$ itself does, about 14
    left scales out. On the right $F$ is near one, and a difference vanishes as soon as it is less than half of the spacing there,
    $6 \cdot 10^{-8}$, some 5 right scales out. With scales 1 and 1 the right side breaks first; with 0.3 and 3 the left one."""
    symbols = torch.arange(-200.0, 201.0)
    broken = symbols[cdf(symbols + 0.5) - cdf(symbols - 0.5) == 0]
    return int(broken[broken.abs().argmin()])


def _scales(*shape: int) -> tuple[Tensor, Tensor]:
    """Left and right scales whose ratio is far from one."""
    one = torch.rand(shape) * 0.8 + 0.3
    other = one * (torch.rand(shape) + 1.6)
    return (one, other) if random.random() < 0.5 else (other, one)


def _distribution(left: float, right: float):
    mode, *scales = torch.tensor([0.0, left, right])
    return lambda y: asymmetric.cdf(torch.as_tensor(y, dtype=torch.float32), mode, *scales)


def _distributions():
    """In turn one that breaks on the right first, and one that breaks on the left."""
    for _ in range(3):
        left = random.uniform(1.0, 2.0)
        yield (_distribution(left, random.uniform(0.6, 1.2) * left),)
        left = random.uniform(0.3, 0.5)
        yield (_distribution(left, random.uniform(5, 9) * left),)


def _first(cdf, step):
    symbol = 0
    while float(cdf(symbol + 0.5) - cdf(symbol - 0.5)) != 0:
        symbol += step
    return symbol


def _nearest(cdf):
    return min(_first(cdf, 1), _first(cdf, -1), key=abs)


asymmetric_1 = Exercise(
    first_broken,
    _distributions,
    hint="Near which number do those of float32 lie closest together, and on which side of the mode is F near it? Look at both sides.",
    rule="the symbol nearest to the mode, on either side, whose difference of F is exactly zero, with its sign",
    slips={
        "right only": (
            "the left side may break first: with a small left scale F itself is soon zero there",
            lambda cdf: _first(cdf, 1),
        ),
        "left only": ("the right side may break first: F is near one there, where float32 is coarse", lambda cdf: _first(cdf, -1)),
        "distance": ("this is the distance; a symbol left of the mode is negative", lambda cdf: abs(_nearest(cdf))),
        "last that works": (
            "this is the last symbol whose difference is not zero; the next one outwards is the first that breaks",
            lambda cdf: (found := _nearest(cdf)) - (1 if found > 0 else -1),
        ),
    },
)


def log_erfc(v):
    r"""Beyond about 9 to the right erfc is zero and its logarithm has an infinite slope; beyond 9 to the left erfcx overflows. In the
    backward pass `torch.where` multiplies the slope of the branch that was not taken by zero, and zero times infinity is NaN. So
    each branch gets an argument for which it is finite; where the other one is taken, the clamp's slope of zero does no harm."""
    near, far = v.clamp(max=3), v.clamp(min=3)
    return torch.where(v > 3, torch.log(torch.special.erfcx(far)) - far**2, torch.log(torch.erfc(near)))


def _arguments():
    for _ in range(2):
        yield (torch.cat([torch.linspace(-20, 20, 41) + random.uniform(0.05, 0.9), torch.tensor([-0.5, 0.0, 2.9, 3.1])]),)


def _value_and_slope(function, v):
    v = v.clone().requires_grad_()
    value = function(v)
    return {"values": value, "gradients": slopes(value, v)[0]}


def _branches(v, near=math.inf, far=-math.inf):
    near, far = v.clamp(max=near), v.clamp(min=far)
    return torch.where(v > 3, torch.log(torch.special.erfcx(far)) - far**2, torch.log(torch.erfc(near)))


asymmetric_2 = Exercise(
    log_erfc,
    _arguments,
    observe=_value_and_slope,
    tolerance=(1e-4, 1e-5),
    hint="torch.where computes both branches everywhere, and their slopes as well. For which v is the branch that is not taken infinite?",
    rule="each branch may only see arguments for which it is finite, whichever is taken",
    slips={
        "as it was": ("nothing is repaired: far out on both sides the gradient is NaN", _branches),
        "left still broken": (
            "on the right it is repaired; far to the left erfcx overflows in the branch that is not taken",
            partial(_branches, near=3),
        ),
        "right still broken": (
            "on the left it is repaired; far to the right erfc is zero in the branch that is not taken",
            partial(_branches, far=3),
        ),
        "scaled only": ("without the branches: far to the left erfcx overflows", lambda v: torch.log(torch.special.erfcx(v)) - v**2),
        "a floor": (
            "a floor under erfc makes the values wrong far to the right, and the gradient zero",
            lambda v: torch.log(torch.erfc(v).clamp(min=1e-30)),
        ),
        "square forgotten": (
            "erfcx is erfc without the factor exp(-v²): its logarithm has to come back",
            lambda v: torch.where(v > 3, torch.special.erfcx(v.clamp(min=3)), torch.erfc(v.clamp(max=3))).log(),
        ),
    },
)


def quantile(p, left, right):
    r"""Left of the mode $p = 2 w_l \Phi(y/\sigma_l)$, right of it $1 - p = 2 w_r \Phi(-y/\sigma_r)$. Each is solved for $y$; the
    clamps keep the branch that is not chosen finite."""
    total = left + right
    below = left * torch.special.ndtri((p * total / (2 * left)).clamp(max=0.5))
    above = -right * torch.special.ndtri(((1 - p) * total / (2 * right)).clamp(max=0.5))
    return torch.where(p < left / total, below, above)


def _shares():
    for _ in range(3):
        yield torch.rand(50) * 0.96 + 0.02, *_scales(1)


def _halves(p, left, right, sign=-1.0, exchanged=False):
    share, rest = (right, left) if exchanged else (left, right)
    below, above = ((mass * (left + right) / (2 * part)).clamp(max=0.5) for mass, part in ((p, share), (1 - p, rest)))
    return torch.where(p < share / (left + right), left * ndtri(below), sign * right * ndtri(above))


asymmetric_3 = Exercise(
    quantile,
    _shares,
    tolerance=(1e-3, 1e-4),
    hint="Which share of the mass lies left of the mode? For a smaller p write F(y) with Φ and solve for y; for a larger one do the same "
    "with 1 - F(y), from the other side.",
    rule="left of the mode F(y) = 2 w_l Φ(y / left), right of it 1 - F(y) = 2 w_r Φ(-y / right): solve each for y",
    slips={
        "bent in the middle": (
            "this puts half of the mass on either side; the left half has only left / (left + right)",
            lambda p, left, right: torch.where(p < 0.5, left, right) * ndtri(p),
        ),
        "bent at the mode": (
            "the border is right, but each half is a Gaussian with another mass: p has to be divided by twice the half's weight",
            lambda p, left, right: torch.where(p < left / (left + right), left, right) * ndtri(p),
        ),
        "average scale": (
            "this is a Gaussian of the average scale; left and right of the mode there are two scales",
            lambda p, left, right: (left + right) / 2 * ndtri(p),
        ),
        "sign": ("right of the mode the values have to be positive", partial(_halves, sign=1.0)),
        "left only": (
            "wrong right of the mode: there 1 - F(y) = 2 w_r Φ(-y / right), so solve that for y",
            lambda p, left, right: left * ndtri((p * (left + right) / (2 * left)).clamp(max=0.999)),
        ),
        "scales exchanged": ("left and right are swapped", lambda p, left, right: quantile(p, right, left)),
        "weights exchanged": (
            "the weights are swapped: the left half has the share left / (left + right)",
            partial(_halves, exchanged=True),
        ),
    },
)


def laplace_bin(symbols, left, right):
    r"""A half Laplace distribution of mass $w$ is $w/s$ high at its mode, so again the masses are in proportion to the scales.
    Beyond a distance $t$ lies $w\,e^{-t/s}$; the clamp at zero lets the bin of symbol 0 take a part of both halves."""

    def beyond(t, s):
        return s / (left + right) * torch.exp(-t.clamp(min=0) / s)

    below = beyond(-(symbols + 0.5), left) - beyond(-(symbols - 0.5), left)
    above = beyond(symbols - 0.5, right) - beyond(symbols + 0.5, right)
    return below + above


def _integers():
    for _ in range(2):
        left, right = (s.double() for s in _scales(1))
        yield torch.arange(-12, 13, dtype=torch.float64), left, right


def _laplace(symbols, left, right, weight, at_mode=lambda t: t.clamp(min=0)):
    below = weight * (torch.exp(-at_mode(-symbols - 0.5) / left) - torch.exp(-at_mode(-symbols + 0.5) / left))
    return below + (1 - weight) * (torch.exp(-at_mode(symbols - 0.5) / right) - torch.exp(-at_mode(symbols + 0.5) / right))


def _one_half_at_the_mode(symbols, left, right):
    return torch.where(symbols == 0, right * (1 - torch.exp(-0.5 / right)) / (left + right), laplace_bin(symbols, left, right))


asymmetric_4 = Exercise(
    laplace_bin,
    _integers,
    hint="How high is a half of mass w at the mode? Both have to be equally high there. Which mass lies beyond a distance t?",
    rule="the mass beyond a distance t is w · exp(-t / s), and a bin is the difference of two of these; symbol 0 gets a part of either "
    "half",
    slips={
        "equal masses": (
            "with half of the mass on either side the density jumps at the mode",
            lambda symbols, left, right: _laplace(symbols, left, right, 0.5),
        ),
        "sides exchanged": (
            "the sides are swapped: symbols below zero lie on the left",
            lambda symbols, left, right: laplace_bin(symbols, right, left),
        ),
        "masses exchanged": (
            "the larger scale needs the larger mass, else the halves differ in height at the mode",
            lambda symbols, left, right: _laplace(symbols, left, right, right / (left + right)),
        ),
        "density": (
            "this is the density at the integer; the symbol stands for all values in [q - 1/2, q + 1/2]",
            lambda symbols, left, right: torch.exp(-symbols.abs() / torch.where(symbols < 0, left, right)) / (left + right),
        ),
        "half of zero": ("the bin of symbol 0 holds the mode: it gets a part of either half", _one_half_at_the_mode),
        "from -1/2": ("the bins reach half a step to either side", lambda symbols, left, right: laplace_bin(symbols + 0.5, left, right)),
    },
)


def fit(t):
    r"""The logarithm of the likelihood of $n$ residuals is, up to a constant,
    $-n\log(\sigma_l + \sigma_r) - Q_l / 2\sigma_l^2 - Q_r / 2\sigma_r^2$, with $Q_l$ and $Q_r$ the sums of squares on either side.
    Its derivatives are zero where $Q_l/\sigma_l^3 = Q_r/\sigma_r^3 = n/(\sigma_l + \sigma_r)$. The first equation gives the ratio
    $\rho = \sigma_r/\sigma_l = (Q_r/Q_l)^{1/3}$, the second $\sigma_l^2 = Q_l(1 + \rho)/n$. The ratio of
    `fit(claimed(2, 4))` is that of the lowest point of the red curve in section 5 of the notebook, below four."""
    q_left, q_right = (t[t < 0] ** 2).sum(), (t[t > 0] ** 2).sum()
    ratio = (q_right / q_left) ** (1 / 3)
    left = (q_left * (1 + ratio) / len(t)).sqrt()
    return left, ratio * left


def _residuals():
    for _ in range(3):
        left, right = _scales(1)
        # more residuals on the side of the smaller scale than the model has: then counting matters
        counts = (2000, 1000) if left < right else (1000, 2000)
        yield (torch.cat([-left * torch.randn(counts[0]).abs(), right * torch.randn(counts[1]).abs()])[torch.randperm(3000)],)


def _sides(t, measure):
    return measure(t[t < 0]), measure(t[t > 0])


def _with_ratio(t, parts):
    return tuple(part * ((parts[0] + parts[1]) / parts[0] / len(t)).sqrt() for part in parts)


asymmetric_5 = Exercise(
    fit,
    _residuals,
    tolerance=(5e-3, 0),
    hint="Write the sum of the logarithms of the density. Which three numbers of the residuals does it need? Then set its derivatives with "
    "respect to both scales to zero.",
    rule="at the maximum of the likelihood, on either side, the sum of squares over the scale's cube equals n / (left + right)",
    slips={
        "each side": (
            "this is the root mean square of each side by itself; but how many residuals lie on a side speaks of its scale too: "
            "maximise the sum of the logarithms of the density, where the scales also stand in the peak",
            lambda t: _sides(t, lambda side: (side**2).mean().sqrt()),
        ),
        "halves": (
            "this takes half of the residuals to lie on either side; the model puts more where the scale is larger",
            lambda t: _sides(t, lambda side: (2 * (side**2).sum() / len(t)).sqrt()),
        ),
        "one scale": ("the two sides have scales of their own", lambda t: ((t**2).mean().sqrt(),) * 2),
        "exchanged": ("left and right are swapped", lambda t: fit(t)[::-1]),
        "Laplace": (
            "this fits magnitudes, as for a Laplace distribution; a Gaussian asks for squares",
            lambda t: _sides(t, lambda s: s.abs().mean()),
        ),
        "square root": (
            "the ratio of the scales is the cube root of the ratio of the sums of squares, not the square root",
            lambda t: _with_ratio(t, _sides(t, lambda side: (side**2).sum().sqrt())),
        ),
        "no pair": ("return a pair: the left and the right scale", lambda t: (t**2).mean().sqrt()),
    },
)
