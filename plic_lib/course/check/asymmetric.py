"""Checks of 06_asymmetric_gaussian."""

import math
import random

import torch
from torch import Tensor

from plic_lib import asymmetric
from plic_lib.course.check import exercise

SQRT2 = math.sqrt(2)


def _agree(value, expected: Tensor, tolerance: float = 1e-4) -> bool:
    value = torch.as_tensor(value)
    return value.shape == expected.shape and torch.allclose(value.to(expected), expected, rtol=tolerance, atol=1e-6)


def _scales(*shape: int) -> tuple[Tensor, Tensor]:
    """Left and right scales whose ratio is far from one."""
    left = torch.rand(shape) * 0.8 + 0.3
    return (left, left * (torch.rand(shape) + 1.6)) if random.random() < 0.5 else (left * (torch.rand(shape) + 1.6), left)


@exercise
def asymmetric_1(zero_probability):
    """``zero_probability(left, right)``: mass within half a step of the mode."""
    left, right = _scales(random.randint(4, 8))
    value = zero_probability(left, right)
    inside = lambda s: torch.erf(0.5 / (SQRT2 * s))  # noqa: E731
    expected = asymmetric.bin_probability(torch.zeros_like(left), torch.zeros_like(left), left, right)
    assert not _agree(value, (inside(left) + inside(right)) / 2), (
        "this weighs both halves alike; the half with the larger scale has the larger mass"
    )
    assert not _agree(value, inside((left + right) / 2)), (
        "a Gaussian of the average scale has the same peak, but not the same mass in the bin"
    )
    assert not _agree(value, (right * inside(left) + left * inside(right)) / (left + right)), (
        "the weights are swapped: the left half has the share left / (left + right)"
    )
    assert torch.as_tensor(value).shape == left.shape, f"one probability for each of the {len(left)} pairs of scales"
    assert _agree(value, expected), (
        f"for the scales {left[0]:.2f} and {right[0]:.2f} it is {expected[0]:.4f}: add the share of the left half in [-1/2, 0] "
        "and that of the right half in [0, 1/2]"
    )


@exercise
def asymmetric_2(quantile):
    """``quantile(p, left, right)``: the inverse of the distribution function, mode at zero."""
    for _ in range(2):
        left, right = _scales(1)
        p = torch.rand(50) * 0.96 + 0.02
        value = torch.as_tensor(quantile(p, left, right))
        expected = asymmetric.quantile(p, torch.zeros(1), left, right)
        weight = left / (left + right)
        assert value.shape == p.shape, f"one value for each of the {len(p)} shares, not a tensor of shape {tuple(value.shape)}"
        below = p < weight
        bent = torch.where(p < 0.5, left, right) * torch.special.ndtri(p)
        assert not _agree(value, bent), "this puts half of the mass on either side; the left half has only left / (left + right)"
        assert _agree(value[below], expected[below], 1e-3), "wrong left of the mode: there F(y) = 2 w_l Φ(y / left), so solve that for y"
        assert not _agree(value[~below], -expected[~below], 1e-3), "right of the mode the values have to be positive"
        assert _agree(value[~below], expected[~below], 1e-3), (
            "wrong right of the mode: there 1 - F(y) = 2 w_r Φ(-y / right), so solve that for y"
        )


@exercise
def asymmetric_3(laplace_bin):
    """``laplace_bin(k, left, right)``: masses of unit bins under two half Laplace distributions, mode at zero."""
    left, right = (s.double() for s in _scales(1))
    k = torch.arange(-40, 41, dtype=torch.float64)
    value = torch.as_tensor(laplace_bin(k, left, right))
    beyond = lambda t, s: torch.exp(-t.clamp(min=0) / s)  # noqa: E731

    def bins(weight: Tensor) -> Tensor:
        left_part = weight * (beyond(-(k + 0.5), left) - beyond(-(k - 0.5), left))
        return left_part + (1 - weight) * (beyond(k - 0.5, right) - beyond(k + 0.5, right))

    expected = bins(left / (left + right))
    assert value.shape == k.shape, f"one probability for each of the {len(k)} symbols, not a tensor of shape {tuple(value.shape)}"
    assert not _agree(value, bins(torch.full_like(left, 0.5))), "with half of the mass on either side the density jumps at the mode"
    assert not _agree(value, expected.flip(0)), "the sides are swapped: symbols below zero lie on the left"
    density = torch.exp(-k.abs() / torch.where(k < 0, left, right)) / (left + right)
    assert not _agree(value, density), "this is the density at the integer; the symbol stands for all values in [k - 1/2, k + 1/2]"
    centre = k == 0
    assert _agree(value[~centre], expected[~centre]), (
        "wrong away from the mode: the mass beyond a distance t is w · exp(-t / s), and a bin is the difference of two of these"
    )
    assert _agree(value, expected), "the bin of symbol 0 holds the mode: it gets a part of either half"


@exercise
def asymmetric_4(fit):
    """``fit(t)``: the scales of largest likelihood for residuals with mode zero."""
    for _ in range(2):
        left, right = _scales(1)
        # more residuals on the side of the smaller scale than the model has: then counting matters
        counts = (2000, 1000) if left < right else (1000, 2000)
        t = torch.cat([-left * torch.randn(counts[0]).abs(), right * torch.randn(counts[1]).abs()])[torch.randperm(3000)]
        value = fit(t)
        pair = isinstance(value, tuple | list) or isinstance(value, Tensor) and value.ndim == 1
        assert pair and len(value) == 2, "return a pair: the left and the right scale"
        found = torch.stack([torch.as_tensor(v).float().reshape(()) for v in value])
        squares = torch.stack([(t[t < 0] ** 2).sum(), (t[t > 0] ** 2).sum()])
        own = (squares / torch.tensor(counts)).sqrt()
        roots = squares ** (1 / 3)
        expected = roots * (roots.sum() / len(t)).sqrt()
        assert not _agree(found, own, 1e-3), (
            "this is the root mean square of each side by itself; but how many residuals lie on a side speaks of its scale too: "
            "maximise the sum of the logarithms of the density, where the scales also stand in the peak"
        )
        assert abs(found[0] / found[1] - 1) > 1e-4, "the two sides have scales of their own"
        assert not _agree(found.flip(0), expected, 1e-2), "left and right are swapped"
        assert _agree(found, expected, 5e-3), (
            f"not yet the maximum of the likelihood ({found[0]:.3f}, {found[1]:.3f}): where its derivative with respect to either scale is zero, "
            "the sum of that side's squares over the scale's cube equals n / (left + right)"
        )
