"""Checks of 13_results."""

import math
import random

import torch

from plic_lib.course.check import exercise


@exercise
def results_1(fitting_level):
    """``fitting_level(sizes, pixels, bpp)``: the highest level whose files together stay within the budget."""
    for _ in range(4):
        pixels = torch.tensor([100_000, 400_000, 1_600_000])
        # the small picture is costly, the large one cheap: their shares of the budget differ
        shares = torch.tensor([2.4, 1.0, 0.7]) + 0.1 * torch.rand(3)
        scale = 0.05 * torch.linspace(1, 6, 11)[:, None]
        sizes = (scale * shares * pixels / 8).round().long()
        level = random.randrange(3, 9)
        bpp = 1.01 * 8 * float(sizes[level].sum()) / float(pixels.sum())
        answer = int(fitting_level(sizes, pixels, bpp))
        mean = int(((8 * sizes / pixels).mean(dim=1) <= bpp).sum()) - 1
        each = int((8 * sizes <= bpp * pixels).all(dim=1).sum()) - 1
        assert 0 <= answer < len(sizes), "return an index of a level, from 0"
        assert answer != len(sizes) - 1, "the highest level does not fit; are bytes counted as bits?"
        assert answer != mean, "this is the mean over the pictures of their bpp; the budget is for all bytes together, over all pixels"
        assert answer != each or each < 0, "a picture may exceed its share of the budget if another stays below it"
        assert answer == level, f"for {bpp:.4f} bpp the highest level that fits is {level}, not {answer}"


def _rising(n: int, start: float, end: float) -> torch.Tensor:
    """``n`` rising numbers from ``start`` to ``end`` at uneven steps, double."""
    steps = torch.cumsum(0.3 + torch.rand(n, dtype=torch.float64), 0)
    return start + (end - start) * (steps - steps[0]) / (steps[-1] - steps[0])


def _line(x: torch.Tensor, y: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    right = torch.searchsorted(x, at).clamp(1, len(x) - 1)
    return torch.lerp(y[right - 1], y[right], (at - x[right - 1]) / (x[right] - x[right - 1]))


@exercise
def results_2(rate_for):
    """``rate_for(rates, values, wanted)``: where a curve reaches a quality, straight over the logarithm of the rate."""
    for _ in range(4):
        rates = torch.exp(_rising(5, -3, 0))
        values = _rising(5, 25, 25 + 5 * random.uniform(1, 2))
        k = random.randrange(4)
        part = random.uniform(0.35, 0.65)
        wanted = float((1 - part) * values[k] + part * values[k + 1])
        expected = float(torch.exp((1 - part) * rates[k].log() + part * rates[k + 1].log()))
        linear = float((1 - part) * rates[k] + part * rates[k + 1])
        value = float(rate_for(rates, values, wanted))
        assert abs(value - linear) > 1e-4 * linear, "this is straight over the rate itself; the axis is its logarithm"
        assert abs(value - math.log(expected)) > 1e-4, "this is the logarithm of the rate; turn it back with exp"
        assert float(rates[k]) < value < float(rates[k + 1]), (
            f"{wanted:.2f} lies between points {k} and {k + 1}, so the rate lies between {rates[k]:.3f} and {rates[k + 1]:.3f}"
        )
        assert math.isclose(value, expected, rel_tol=1e-3), f"the rate is {expected:.4f} bpp, not {value:.4f}"


@exercise
def results_3(bd_lines):
    """``bd_lines(rates, values, test_rates, test_values)``: mean gap of log rates over the common range, in per cent."""
    for _ in range(3):
        rates, values = torch.exp(_rising(6, -3, 0)), _rising(6, 25, 34)
        # a range inside the other one, or beside it
        test_rates, test_values = torch.exp(_rising(5, -2.6, 0.4)), _rising(5, *random.choice([(26.5, 32), (27, 36)]))
        low, high = max(float(values[0]), float(test_values[0])), min(float(values[-1]), float(test_values[-1]))
        grid = torch.linspace(low, high, 20001, dtype=torch.float64)
        gap = _line(test_values, test_rates.log(), grid) - _line(values, rates.log(), grid)
        # choose the factor between the codecs so that typical slips give answers far from each other
        mean = random.choice([-0.7, -0.3, 0.25, 0.6])
        test_rates = test_rates * math.exp(mean - float(torch.trapezoid(gap, grid) / (high - low)))
        expected = 100 * math.expm1(mean)
        value = float(bd_lines(rates, values, test_rates, test_values))
        near = lambda other, value=value: abs(value - other) < 0.2 + 0.002 * abs(other)  # noqa: E731
        assert math.isfinite(value), "the result is not a finite number; the common range ends where the first curve ends"
        assert near(expected) or not near(100 * math.expm1(-mean)), (
            "the sign of the gap is turned: positive where the tested codec needs more bytes than the anchor"
        )
        assert near(expected) or not near(100 * mean), "this is the mean gap of the logarithms; exp turns it into a factor"
        assert near(expected) or not near(100 * math.exp(mean)), "this is the ratio in per cent; a codec against itself gives 0"
        assert near(expected), (
            f"expected {expected:+.2f} %, got {value:+.2f} %; average over {low:.2f} to {high:.2f}, the qualities that both curves reach"
        )


@exercise
def results_4(paired_interval):
    """``paired_interval(a, b, draws)``: 95 % of bootstrap means of a - b, the pictures drawn together."""
    n, gap = 60, random.choice([-1, 1]) * random.uniform(0.8, 1.2)
    common = 8 * torch.randn(n)
    b = common + 30
    a = b + gap + 0.5 * torch.randn(n)
    low, high = (float(v) for v in paired_interval(a, b, 1000))
    difference = a - b
    centre, error = float(difference.mean()), float(difference.std(correction=0)) / math.sqrt(n)
    width = (high - low) / (2 * 1.96 * error)
    assert low < high, "return the lower bound first"
    assert abs((low + high) / 2 + centre) > 3 * error, "the sign is turned: the difference is a - b"
    assert width < 3 or not abs((high - low) / (2 * 1.96 * float(difference.std())) - 1) < 0.4, (
        "this is the spread of single pictures; the interval is of the mean over all drawn pictures"
    )
    assert width < 3, "far too wide: draw the same pictures for a and b, so that what they share cancels"
    assert abs((low + high) / 2 - centre) < error, f"the interval is not around the mean difference {centre:.3f}"
    assert 0.88 < width < 1.15, f"the interval is {width:.2f} times as wide as it should be; take the quantiles 0.025 and 0.975"
