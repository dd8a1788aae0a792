"""Checks of 07_gain_units."""

import math
import random

import torch
from torch import Tensor

from plic_lib.course.check import exercise


def _agree(value: Tensor, expected: Tensor) -> bool:
    return value.shape == expected.shape and torch.allclose(value, expected, rtol=1e-4, atol=1e-5)


@exercise
def gain_1(between):
    """``between(lower, upper, fraction)``: exponential interpolation of two gain vectors."""
    lower = torch.rand(random.randint(3, 8)) + 0.1
    upper = lower * (torch.rand(len(lower)) * 3 + 1.5)
    for part in (0.0, 1.0, random.uniform(0.3, 0.7)):
        value = torch.as_tensor(between(lower, upper, part))
        expected = lower ** (1 - part) * upper**part
        assert value.shape == lower.shape, f"one gain for each of the {len(lower)} channels, not a tensor of shape {tuple(value.shape)}"
        assert part in (0.0, 1.0) or not _agree(value, (1 - part) * lower + part * upper), (
            "this is the straight line between the gains; equal steps of the fraction have to multiply the gain by equal factors"
        )
        assert part in (0.0, 1.0) or not _agree(value, 1 / ((1 - part) / lower + part / upper)), (
            "this is the straight line between the step sizes 1/m; equal steps of the fraction have to multiply the step by equal factors"
        )
        assert not _agree(value, lower**part * upper ** (1 - part)) or part == 0.5, (
            "the ends are swapped: fraction 0 is the lower gain, fraction 1 the upper"
        )
        assert _agree(value, expected), (
            f"at fraction {part:.2f} the first gain lies between {lower[0]:.3f} and {upper[0]:.3f}; not {value[0]:.3f}"
        )


@exercise
def gain_2(through):
    """``through(y, m, m_inverse)``: gain, rounding, inverse gain of latents (c, h, w)."""
    channels = random.randint(4, 7)  # as many columns as channels, so that a wrong broadcast does not raise
    y = 3 * torch.randn(channels, 6, channels)
    m, m_inverse = torch.rand(channels) * 2 + 0.3, torch.rand(channels) + 0.2
    value = through(y, m, m_inverse)
    column = lambda v: v[:, None, None]  # noqa: E731
    rounded = torch.round(y * column(m))
    assert not _agree(value, torch.round(y * m) * m_inverse), "the channel is the first axis of y; broadcasting took the last one"
    assert not _agree(value, rounded / column(m)), "the inverse gain is a vector of its own, trained with the rest; it is not 1/m"
    assert not _agree(value, rounded), "the inverse gain is missing: these are the symbols, not what the generator reads"
    assert not _agree(value, torch.round(y * column(m) * column(m_inverse))), "round between the two gains, not after both"
    assert _agree(value, rounded * column(m_inverse)), "multiply by the gain of the channel, round, multiply by its inverse gain"


@exercise
def gain_3(gain_map):
    """``gain_map(theta, level)``: log-gains (n, c) and a level map (h, w) -> gains (c, h, w)."""
    n, channels, height, width = random.randint(3, 5), random.randint(2, 4), 5, 7
    theta = torch.randn(n, channels)
    background, region = random.uniform(0.2, 0.8), n - 1.0 - random.uniform(0.2, 0.8)
    level = torch.full((height, width), background)
    level[1:4, 2:6] = region
    lower = level.floor().long()
    fraction = (level - lower)[..., None]
    upper = lower + 1
    expected = torch.exp((1 - fraction) * theta[lower] + fraction * theta[upper])
    value = gain_map(theta, level)
    assert not _agree(value, expected), "the channel comes first: (c, h, w), as in y"
    expected = expected.movedim(-1, 0)
    straight = (((1 - fraction) * theta[lower].exp()) + fraction * theta[upper].exp()).movedim(-1, 0)
    assert not _agree(value, straight), "interpolate theta and take the exponential last; this is the straight line between gains"
    steps = [torch.exp(theta[r]).movedim(-1, 0) for r in (level.round().long(), lower)]
    assert not any(_agree(value, s) for s in steps), "the fraction between two trained levels is ignored; every level has gains of its own"
    assert value.shape == expected.shape, f"one gain for each channel and cell: {tuple(expected.shape)}, not {tuple(value.shape)}"
    assert _agree(value, expected), "in each cell: (1 - l) · theta[s] + l · theta[s + 1], then the exponential"
    top = torch.full((2, 2), n - 1.0)
    value = gain_map(theta, top)
    assert _agree(value, torch.exp(theta[-1])[:, None, None].expand(-1, 2, 2)), "at the top level the gains are those of the last row"


@exercise
def gain_4(search):
    """``search(size, target)``: a level in [0, 2] whose file has about ``target`` bytes, in few encodings."""
    low, span, power = random.uniform(800, 3000), random.uniform(1.3, 2.2), random.uniform(0.6, 1.6)
    calls = []

    def size(level):
        calls.append(float(level))
        assert -1e-6 <= level <= 2 + 1e-6, f"the level {float(level):.3g} was tried; levels lie between 0 and 2"
        return round(low * math.exp(span * 2 * (float(level) / 2) ** power))

    smallest, largest = size(0.0), size(2.0)
    for share in (random.uniform(0.1, 0.3), random.uniform(0.7, 0.9), random.uniform(0.4, 0.6)):
        target = smallest ** (1 - share) * largest**share
        calls.clear()
        level = float(search(size, target))
        used = len(calls)
        assert -1e-6 <= level <= 2 + 1e-6, f"return a level between 0 and 2, not {level:.6g}"
        assert used <= 40, f"{used} files were encoded for one target; halve an interval of levels instead"
        reached = size(level)
        assert abs(reached / target - 1) <= 0.02, f"wanted {target:,.0f} bytes, at the level returned the file has {reached:,}"
    assert search(size, smallest / 3) <= 0.01, "a target below the range is answered by the smallest file, level 0"
    assert search(size, largest * 3) >= 1.99, "a target above the range is answered by the largest file, level 2"
