"""Exercises of 07_gain_units."""

import math
import random
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from plic_lib.course.check.exercise import Exercise

NOTEBOOK = "07_gain_units"


def rescaled(theta, theta_inverse, factors):
    r"""The symbols are the same again where the gain is smaller by the factor. Then $\hat y$ is the same, too, and the generator has to
    read the same $\hat y \odot m'$ as before: the inverse gain stays. The products $m\,m'$ are smaller by the factor, at all levels
    alike: how large they are is a convention, only their change from level to level is seen in the picture."""
    return theta - torch.log(factors), theta_inverse


def _encoders():
    for _ in range(3):
        levels, channels = random.randint(3, 4), random.randint(3, 6)
        yield torch.randn(levels, channels), torch.randn(levels, channels), torch.rand(channels) * 3 + 1.5


gain_1 = Exercise(
    rescaled,
    _encoders,
    hint="Which gain makes the symbols of the new encoder those of the old one? And of what the generator reads then, what has changed?",
    rule="the same symbols, and the same input of the generator",
    slips={
        "both": (
            "the symbols are right, but the pictures change: the generator did not, and it shall read what it read before",
            lambda theta, inverse, factors: (theta - factors.log(), inverse + factors.log()),
        ),
        "wrong way": ("larger values need a smaller gain", lambda theta, inverse, factors: (theta + factors.log(), inverse)),
        "inverse gain only": (
            "the files change: rounding comes between the encoder and the inverse gain",
            lambda theta, inverse, factors: (theta, inverse - factors.log()),
        ),
        "divided": (
            "theta is the logarithm of the gain: where the gain is divided, something is subtracted from theta",
            lambda theta, inverse, factors: (theta / factors, inverse),
        ),
        "not the logarithm": (
            "theta is the logarithm of the gain: subtract that of the factor",
            lambda theta, inverse, factors: (theta - factors, inverse),
        ),
        "nothing": (
            "left as they are, the symbols grow with the encoder's values, and with them the files",
            lambda theta, inverse, factors: (theta, inverse),
        ),
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


def even_steps(theta, theta_inverse, level):
    r"""Any path will do for the gain, as long as the product stays on its own: $m'$ is what is missing. At the top level there is no
    row above, and the fraction is zero, so any row will do there. Indexing with the map gives (h, w, c); the axis moves at the end."""
    lower = level.floor().long()
    upper = (lower + 1).clamp(max=len(theta) - 1)
    fraction = (level - lower)[..., None]
    step = (1 - fraction) * torch.exp(-theta[lower]) + fraction * torch.exp(-theta[upper])
    product = theta + theta_inverse
    product = torch.exp((1 - fraction) * product[lower] + fraction * product[upper])
    return (1 / step).movedim(-1, 0), (product * step).movedim(-1, 0)


def _level_maps():
    for top in (False, False, True):
        levels, channels = random.randint(3, 5), random.randint(2, 4)
        level = torch.full((5, 7), random.uniform(0.3, 0.4))
        level[1:4, 2:6] = levels - 1.0 if top else levels - 1 - random.uniform(0.3, 0.4)
        yield torch.randn(levels, channels), torch.randn(levels, channels), level


def _steps(theta, inverse, level, gain="steps", inverse_gain="product", upper=None):
    """As the solution, on other paths: ``gain`` and ``inverse_gain`` name them."""
    lower = level.floor().long()
    upper = (lower + 1).clamp(max=len(theta) - 1) if upper is None else upper(lower)
    fraction = (level - lower)[..., None]

    def between(rows):
        return ((1 - fraction) * rows[lower] + fraction * rows[upper]).movedim(-1, 0)

    m = {"steps": 1 / between((-theta).exp()), "gains": between(theta.exp()), "logarithms": between(theta).exp()}[gain]
    product = between(theta + inverse).exp()
    paths = {"product": product / m, "own": between(inverse).exp(), "straight": between(inverse.exp()), "1/m": 1 / m}
    return m, paths[inverse_gain]


def _steps_for_gains(theta, inverse, level):
    m, other = even_steps(theta, inverse, level)
    return 1 / m, other


gain_3 = Exercise(
    even_steps,
    _level_maps,
    hint="The step is 1/m. Once the gain is found: what must not change on the way from one level to the next, and what follows for m'? "
    "Which row lies above the top level?",
    rule="1/m on the straight line between the steps of the two rows, and m·m' on the exponential path between the two products",
    slips={
        "straight gains": (
            "this is the straight line between the gains; here it has to be the one between the steps 1/m",
            partial(_steps, gain="gains"),
        ),
        "exponential": ("this is the library's path; the steps 1/m have to lie on a straight line", partial(_steps, gain="logarithms")),
        "inverse by itself": (
            "the gain is right; the inverse gain took the exponential path by itself, so that the product leaves its own",
            partial(_steps, inverse_gain="own"),
        ),
        "straight inverse": (
            "the gain is right; the inverse gain took a straight line by itself, so that the product leaves the exponential path",
            partial(_steps, inverse_gain="straight"),
        ),
        "1/m": ("the inverse gain is not 1/m: the product is one of the model's own, and not 1", partial(_steps, inverse_gain="1/m")),
        "channel last": (
            "the channel comes first: (c, h, w), as in y",
            lambda theta, inverse, level: tuple(part.movedim(0, -1) for part in even_steps(theta, inverse, level)),
        ),
        "no row above": (
            "at the top level there is no row s + 1, and theta[s + 1] raises an IndexError: there the fraction is zero, any row will do",
            partial(_steps, upper=lambda lower: lower + 1),
        ),
        "steps for gains": (
            "these are the steps: the gain is one over the step",
            _steps_for_gains,
        ),
    },
)


def search(size, target):
    """Sizes grow by nearly equal factors, so the logarithm of the size is nearly a straight line over the level. Each try lies on the
    line between the two known points around the target, and becomes one of them: two files for the ends, and four tries."""
    low, high = 0.0, 2.0
    at_low, at_high, wanted = (torch.tensor(float(value)).log().item() for value in (size(low), size(high), target))
    if not at_low < wanted < at_high:
        return low if wanted <= at_low else high
    level = low
    for _ in range(4):
        level = low + (high - low) * (wanted - at_low) / (at_high - at_low)
        found = torch.tensor(float(size(level))).log().item()
        low, at_low, high, at_high = (level, found, high, at_high) if found < wanted else (low, at_low, level, found)
    return level


def _targets():
    low, span = random.uniform(800, 3000), random.uniform(1.3, 2.2)
    power = random.choice((random.uniform(0.75, 0.88), random.uniform(1.15, 1.35)))  # nearly a straight line, but not quite

    def size(level):
        if not -1e-6 <= level <= 2 + 1e-6:
            raise ValueError(f"the level {float(level):.3g} was tried; levels lie between 0 and 2")
        return round(low * math.exp(span * 2 * (max(float(level), 0) / 2) ** power))

    smallest, largest = size(0.0), size(2.0)
    for share in np.linspace(0.2, 0.85, 10):
        share += random.uniform(-0.03, 0.03)
        yield size, smallest ** (1 - share) * largest**share
    yield size, smallest / 3
    yield size, largest * 3


def _level_and_calls(function, size, target):
    calls = []

    def counted(level):
        calls.append(level)
        return size(level)

    return {"level": float(function(counted, target)), "many": len(calls) > 6, "calls": len(calls)}


def _found(seen, expected, size, target):
    level = seen["level"]
    assert -1e-6 <= level <= 2 + 1e-6, f"return a level between 0 and 2, not {level:.6g}"
    assert not seen["many"], f"{seen['calls']} files were encoded for one target; six have to do"
    reached, smallest, largest = size(level), size(0.0), size(2.0)
    assert target > smallest or level <= 0.01, "a target below the range is answered by the smallest file, level 0"
    assert target < largest or level >= 1.99, "a target above the range is answered by the largest file, level 2"
    inside = smallest < target < largest
    assert not inside or abs(reached / target - 1) <= 0.01, f"wanted {target:,.0f} bytes; at the level returned the file has {reached:,}"


def _halved(size, target, rounds=16, larger=True):
    low, high = 0.0, 2.0
    for _ in range(rounds):
        middle = (low + high) / 2
        low, high = (middle, high) if (size(middle) < target) == larger else (low, middle)
    return low


def _lines(size, target, more, of: Callable[[float], float] = float):
    """Tries on straight lines of the size, or ``of`` it, over the level; after the first two, ``more``."""
    levels = [0.0, 2.0]
    sizes = [of(size(level)) for level in levels]
    for _ in range(more):
        level = float(np.interp(of(target), sizes, levels))
        place = int(np.searchsorted(levels, level))
        levels.insert(place, level)
        sizes.insert(place, of(size(level)))
    return float(np.interp(of(target), sizes, levels))


gain_4 = Exercise(
    search,
    _targets,
    observe=_level_and_calls,
    properties=_found,
    tolerance=(1e-3, 1e-3),
    hint="Section 5: of what is the level nearly a straight line? What do two files tell about the third, which halving does not use?",
    rule="a level from 0 to 2 whose file has the wanted size within 1 %, found with at most six encodings",
    slips={
        "halving": ("halving takes more than six files: it does not use how far off a size was", _halved),
        "six halvings": ("six halvings leave the level too coarse for 1 %: use how far off a size was", partial(_halved, rounds=6)),
        "every level": (
            "this encodes at every level of a fine list; six files have to do",
            lambda size, target: min((i / 1000 for i in range(2001)), key=lambda level: abs(size(level) - target)),
        ),
        "bytes": ("this is a number of bytes; return a level between 0 and 2", lambda size, target: size(1.0) + 10),
        "wrong half": (
            "the wrong half is kept: where the file is too small, the level has to rise",
            partial(_halved, larger=False, rounds=6),
        ),
        "outside": ("a level above 2 was tried; levels lie between 0 and 2", lambda size, target: size(3.0)),
        "straight line in bytes": (
            "bytes do not grow on a straight line with the level; their logarithm nearly does",
            partial(_lines, more=2),
        ),
        "one line": (
            "one line through the ends is not enough: look again at what the file has become",
            partial(_lines, more=0, of=math.log),
        ),
    },
)
