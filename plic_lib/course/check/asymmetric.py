"""Exercises of 06_asymmetric_gaussian."""

import math
import random
from functools import partial

import torch
from torch import Tensor
from torch.special import ndtri

from plic_lib.course.check.exercise import Exercise

NOTEBOOK = "06_asymmetric_gaussian"


def zero_probability(left, right):
    r"""The half Gaussian of scale $\sigma$ has the share $\mathrm{erf}(\tfrac12 / \sqrt2\sigma)$ of its mass within half a
    step. The halves weigh $\sigma_l$ and $\sigma_r$ over their sum."""
    inside = left * torch.erf(0.5 / (2**0.5 * left)) + right * torch.erf(0.5 / (2**0.5 * right))
    return inside / (left + right)


def _scales(*shape: int) -> tuple[Tensor, Tensor]:
    """Left and right scales whose ratio is far from one."""
    one = torch.rand(shape) * 0.8 + 0.3
    other = one * (torch.rand(shape) + 1.6)
    return (one, other) if random.random() < 0.5 else (other, one)


def _pairs_of_scales():
    for _ in range(2):
        yield _scales(random.randint(4, 8))


def _inside(scale):
    return torch.erf(0.5 / (2**0.5 * scale))


asymmetric_1 = Exercise(
    zero_probability,
    _pairs_of_scales,
    hint="Each half is half a Gaussian. Which share of the whole mass has it, and how much of that lies within half a step of the mode?",
    rule="add the share of the left half in [-1/2, 0] and that of the right half in [0, 1/2]",
    slips={
        "alike": (
            "this weighs both halves alike; the half with the larger scale has the larger mass",
            lambda left, right: (_inside(left) + _inside(right)) / 2,
        ),
        "average scale": (
            "a Gaussian of the average scale has the same peak, but not the same mass in the bin",
            lambda left, right: _inside((left + right) / 2),
        ),
        "weights exchanged": (
            "the weights are swapped: the left half has the share left / (left + right)",
            lambda left, right: (right * _inside(left) + left * _inside(right)) / (left + right),
        ),
        "root of two": (
            "erf measures in units of √2 σ: erf(t / (√2 σ)) is what lies within t of the mode",
            lambda left, right: (left * torch.erf(0.5 / left) + right * torch.erf(0.5 / right)) / (left + right),
        ),
        "density": (
            "this is the density at the mode; it falls within the bin, so integrate",
            lambda left, right: math.sqrt(2 / math.pi) / (left + right),
        ),
        "added": (
            "the two shares are each of their own half: weigh them, else the sum can exceed 1",
            lambda left, right: _inside(left) + _inside(right),
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


def _halves(p, left, right, sign=-1.0, above_mass=lambda p: 1 - p):
    total = left + right
    above = sign * right * ndtri((above_mass(p) * total / (2 * right)).clamp(max=0.5))
    return torch.where(p < left / total, left * ndtri((p * total / (2 * left)).clamp(max=0.5)), above)


asymmetric_2 = Exercise(
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
            lambda p, left, right: torch.where(
                p < right / (left + right),
                left * ndtri((p * (left + right) / (2 * right)).clamp(max=0.5)),
                -right * ndtri(((1 - p) * (left + right) / (2 * left)).clamp(max=0.5)),
            ),
        ),
    },
)


def laplace_bin(k, left, right):
    r"""A half Laplace distribution of mass $w$ is $w/s$ high at its mode, so again the masses are in proportion to the scales.
    Beyond a distance $t$ lies $w\,e^{-t/s}$; the clamp at zero lets the bin of symbol 0 take a part of both halves."""

    def beyond(t, s):
        return s / (left + right) * torch.exp(-t.clamp(min=0) / s)

    below = beyond(-(k + 0.5), left) - beyond(-(k - 0.5), left)
    above = beyond(k - 0.5, right) - beyond(k + 0.5, right)
    return below + above


def _integers():
    for _ in range(2):
        left, right = (s.double() for s in _scales(1))
        yield torch.arange(-12, 13, dtype=torch.float64), left, right


def _laplace(k, left, right, weight, at_mode=lambda t: t.clamp(min=0)):
    below = weight * (torch.exp(-at_mode(-k - 0.5) / left) - torch.exp(-at_mode(-k + 0.5) / left))
    return below + (1 - weight) * (torch.exp(-at_mode(k - 0.5) / right) - torch.exp(-at_mode(k + 0.5) / right))


def _one_half_at_the_mode(k, left, right):
    return torch.where(k == 0, right * (1 - torch.exp(-0.5 / right)) / (left + right), laplace_bin(k, left, right))


asymmetric_3 = Exercise(
    laplace_bin,
    _integers,
    hint="How high is a half of mass w at the mode? Both have to be equally high there. Which mass lies beyond a distance t?",
    rule="the mass beyond a distance t is w · exp(-t / s), and a bin is the difference of two of these; symbol 0 gets a part of either "
    "half",
    slips={
        "equal masses": (
            "with half of the mass on either side the density jumps at the mode",
            lambda k, left, right: _laplace(k, left, right, 0.5),
        ),
        "sides exchanged": (
            "the sides are swapped: symbols below zero lie on the left",
            lambda k, left, right: laplace_bin(k, right, left),
        ),
        "masses exchanged": (
            "the larger scale needs the larger mass, else the halves differ in height at the mode",
            lambda k, left, right: _laplace(k, left, right, right / (left + right)),
        ),
        "density": (
            "this is the density at the integer; the symbol stands for all values in [k - 1/2, k + 1/2]",
            lambda k, left, right: torch.exp(-k.abs() / torch.where(k < 0, left, right)) / (left + right),
        ),
        "half of zero": ("the bin of symbol 0 holds the mode: it gets a part of either half", _one_half_at_the_mode),
        "from -1/2": ("the bins reach half a step to either side of k", lambda k, left, right: laplace_bin(k + 0.5, left, right)),
    },
)


def fit(t):
    r"""The logarithm of the likelihood of $n$ residuals is, up to a constant,
    $-n\log(\sigma_l + \sigma_r) - Q_l / 2\sigma_l^2 - Q_r / 2\sigma_r^2$, with $Q_l$ and $Q_r$ the sums of squares on either side.
    Its derivatives are zero where $Q_l/\sigma_l^3 = Q_r/\sigma_r^3 = n/(\sigma_l + \sigma_r)$. The first equation gives the ratio
    $\rho = \sigma_r/\sigma_l = (Q_r/Q_l)^{1/3}$, the second $\sigma_l^2 = Q_l(1 + \rho)/n$. In the notebook, `fit(claimed(2, 4))`
    then finds a ratio well below four: the residuals are skewed, but less than the networks claim."""
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


asymmetric_4 = Exercise(
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
            lambda t: (
                (left := ((t[t < 0] ** 2).sum() * (1 + (q := ((t[t > 0] ** 2).sum() / (t[t < 0] ** 2).sum()).sqrt())) / len(t)).sqrt()),
                q * left,
            ),
        ),
        "no pair": ("return a pair: the left and the right scale", lambda t: (t**2).mean().sqrt()),
    },
)
