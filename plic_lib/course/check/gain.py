"""Exercises of 07_gain_units."""

import math
import random
from functools import partial

import torch

from plic_lib.course.check.exercise import Exercise

NOTEBOOK = "07_gain_units"


def between(lower, upper, fraction):
    """A straight line between the logarithms, and the exponential of it."""
    return torch.exp((1 - fraction) * torch.log(lower) + fraction * torch.log(upper))


def _fractions():
    for fraction in (random.uniform(0.25, 0.4), random.uniform(0.6, 0.75), 0.0, 1.0):
        lower = torch.rand(random.randint(3, 8)) + 0.1
        yield lower, lower * (torch.rand(len(lower)) * 3 + 1.5), fraction


gain_1 = Exercise(
    between,
    _fractions,
    hint="Equal steps of the fraction shall multiply the gain by equal factors. Of which function of the gain is that a straight line?",
    rule="lower at fraction 0, upper at fraction 1, and equal factors for equal steps in between, in each channel",
    slips={
        "straight gains": (
            "this is the straight line between the gains; equal steps of the fraction have to multiply the gain by equal factors",
            lambda a, b, f: (1 - f) * a + f * b,
        ),
        "straight steps": (
            "this is the straight line between the step sizes 1/m; equal steps of the fraction have to multiply the step by equal factors",
            lambda a, b, f: 1 / ((1 - f) / a + f / b),
        ),
        "ends exchanged": ("the ends are swapped: fraction 0 is the lower gain, fraction 1 the upper", lambda a, b, f: a**f * b ** (1 - f)),
        "logarithm": ("this is the logarithm of the gain: take its exponential", lambda a, b, f: (1 - f) * a.log() + f * b.log()),
        "one for all": ("one gain for each of the channels, not their mean", lambda a, b, f: (a ** (1 - f) * b**f).mean()),
    },
)


def through(y, m, m_inverse):
    """The vectors become columns of shape (c, 1, 1), so that each gain meets its channel."""
    return torch.round(y * m[:, None, None]) * m_inverse[:, None, None]


def _latents_and_gains():
    for _ in range(2):
        channels = random.randint(4, 7)  # as many rows and columns as channels, so that a wrong axis does not raise
        yield 3 * torch.randn(channels, channels, channels), torch.rand(channels) * 2 + 0.3, torch.rand(channels) + 0.2


def _column(v):
    return v[:, None, None]


gain_2 = Exercise(
    through,
    _latents_and_gains,
    hint="Broadcasting lines shapes up at the last axis. Which shape does a vector need so that it meets the first axis of y?",
    rule="multiply by the gain of the channel, round, multiply by its inverse gain",
    slips={
        "last axis": ("the channel is the first axis of y; broadcasting took the last one", lambda y, m, i: torch.round(y * m) * i),
        "middle axis": (
            "the channel is the first axis of y; this meets the second",
            lambda y, m, i: torch.round(y * m[:, None]) * i[:, None],
        ),
        "1/m": (
            "the inverse gain is a vector of its own, trained with the rest; it is not 1/m",
            lambda y, m, i: torch.round(y * _column(m)) / _column(m),
        ),
        "symbols": (
            "the inverse gain is missing: these are the symbols, not what the generator reads",
            lambda y, m, i: torch.round(y * _column(m)),
        ),
        "rounded last": ("round between the two gains, not after both", lambda y, m, i: torch.round(y * _column(m) * _column(i))),
        "not rounded": ("nothing was rounded: the symbols are whole numbers", lambda y, m, i: y * _column(m) * _column(i)),
        "divided": (
            "the gain multiplies: a larger gain means finer steps and more bits",
            lambda y, m, i: torch.round(y / _column(m)) * _column(i),
        ),
    },
)


def gain_map(theta, level):
    """Indexing `theta` with the map gives (h, w, c); the axis moves at the end. At the top level there is no row above, and
    the fraction is zero, so any row will do there."""
    lower = level.floor().long()
    upper = (lower + 1).clamp(max=len(theta) - 1)
    fraction = (level - lower)[..., None]
    return torch.exp((1 - fraction) * theta[lower] + fraction * theta[upper]).movedim(-1, 0)


def _level_maps():
    for top in (False, False, True):
        n, channels = random.randint(3, 5), random.randint(2, 4)
        level = torch.full((5, 7), random.uniform(0.2, 0.4))
        level[1:4, 2:6] = n - 1.0 if top else n - 1 - random.uniform(0.2, 0.4)
        yield torch.randn(n, channels), level


def _interpolated(theta, level, last=torch.exp, first=lambda t: t, upper=None, swapped=False):
    lower = level.floor().long()
    fraction = (level - lower)[..., None]
    fraction = 1 - fraction if swapped else fraction
    upper = (lower + 1).clamp(max=len(theta) - 1) if upper is None else upper(lower)
    return last((1 - fraction) * first(theta[lower]) + fraction * first(theta[upper])).movedim(-1, 0)


def _at_most_row_below_top(theta, level):
    lower = level.floor().long().clamp(max=len(theta) - 2)
    fraction = (level - level.floor())[..., None]
    return torch.exp((1 - fraction) * theta[lower] + fraction * theta[lower + 1]).movedim(-1, 0)


gain_3 = Exercise(
    gain_map,
    _level_maps,
    hint="`theta[lower]` with a map of row numbers gives (h, w, c). Which axis has to come first in the end? And which row lies above the "
    "top level?",
    rule="in each cell: (1 - l) · theta[s] + l · theta[s + 1], then the exponential",
    slips={
        "channel last": ("the channel comes first: (c, h, w), as in y", lambda theta, level: gain_map(theta, level).movedim(0, -1)),
        "exponential first": (
            "interpolate theta and take the exponential last; this is the straight line between gains",
            partial(_interpolated, last=lambda t: t, first=torch.exp),
        ),
        "logarithms": ("these are the log-gains: the exponential is missing", partial(_interpolated, last=lambda t: t)),
        "nearest level": (
            "the fraction between two trained levels is ignored; every level has gains of its own",
            lambda theta, level: torch.exp(theta[level.round().long()]).movedim(-1, 0),
        ),
        "level below": (
            "the fraction between two trained levels is ignored, and the level below is taken",
            lambda theta, level: torch.exp(theta[level.floor().long()]).movedim(-1, 0),
        ),
        "fraction turned": ("the fraction is the weight of the row above, not of the row below", partial(_interpolated, swapped=True)),
        "no row above": (
            "at the top level there is no row s + 1, and theta[s + 1] raises an IndexError: there the fraction is zero, any row will do",
            partial(_interpolated, upper=lambda lower: lower + 1),
        ),
        "top": ("at the top level the gains are those of the last row", _at_most_row_below_top),
    },
)


def search(size, target):
    """Sixteen halvings leave an interval of 2/65,536 levels. Targets out of range end at 0 or next to 2 by themselves."""
    low, high = 0.0, 2.0
    for _ in range(16):
        middle = (low + high) / 2
        low, high = (middle, high) if size(middle) < target else (low, middle)
    return low


def _targets():
    low, span, power = random.uniform(800, 3000), random.uniform(1.3, 2.2), random.uniform(0.6, 1.6)

    def size(level):
        if not -1e-6 <= level <= 2 + 1e-6:
            raise ValueError(f"the level {float(level):.3g} was tried; levels lie between 0 and 2")
        return round(low * math.exp(span * 2 * (float(level) / 2) ** power))

    smallest, largest = size(0.0), size(2.0)
    for share in (0.15, 0.3, 0.45, 0.55, 0.7, 0.85):
        share += random.uniform(-0.05, 0.05)
        yield size, smallest ** (1 - share) * largest**share
    yield size, smallest / 3
    yield size, largest * 3


def _level_and_calls(function, size, target):
    calls = []

    def counted(level):
        calls.append(level)
        return size(level)

    return {"level": float(function(counted, target)), "many": len(calls) > 40, "calls": len(calls)}


def _found(seen, expected, size, target):
    level = seen["level"]
    assert -1e-6 <= level <= 2 + 1e-6, f"return a level between 0 and 2, not {level:.6g}"
    assert not seen["many"], f"{seen['calls']} files were encoded for one target; halve an interval of levels instead"
    reached, smallest, largest = size(level), size(0.0), size(2.0)
    assert target > smallest or level <= 0.01, "a target below the range is answered by the smallest file, level 0"
    assert target < largest or level >= 1.99, "a target above the range is answered by the largest file, level 2"
    inside = smallest < target < largest
    assert not inside or abs(reached / target - 1) <= 0.02, f"wanted {target:,.0f} bytes; at the level returned the file has {reached:,}"


def _halved(size, target, rounds=16, larger=True):
    low, high = 0.0, 2.0
    for _ in range(rounds):
        middle = (low + high) / 2
        low, high = (middle, high) if (size(middle) < target) == larger else (low, middle)
    return low


def _straight(size, target):
    smallest, largest = size(0.0), size(2.0)
    return min(max(2 * (target - smallest) / (largest - smallest), 0), 2)


gain_4 = Exercise(
    search,
    _targets,
    observe=_level_and_calls,
    properties=_found,
    tolerance=(1e-3, 1e-3),
    hint="Encode at the level in the middle: on which side of it does the wanted size lie? How often can an interval of 2 be halved with "
    "40 "
    "encodings?",
    rule="a level from 0 to 2 whose file has the wanted size within 2 %, found with at most 40 encodings",
    slips={
        "every level": (
            "this encodes at every level of a fine list; halve an interval of levels instead",
            lambda size, target: min((k / 1000 for k in range(2001)), key=lambda level: abs(size(level) - target)),
        ),
        "bytes": ("this is a number of bytes; return a level between 0 and 2", lambda size, target: size(1.0) + 10),
        "wrong half": ("the wrong half is kept: where the file is too small, the level has to rise", partial(_halved, larger=False)),
        "outside": ("a level above 2 was tried; levels lie between 0 and 2", lambda size, target: size(3.0)),
        "straight line": ("bytes do not grow on a straight line with the level: look again after the first guess, and halve", _straight),
        "few halvings": ("too few halvings: the level is still too coarse for 2 %", partial(_halved, rounds=3)),
    },
)
