"""Exercises of 10_low_rate."""

import random
from functools import partial

import torch
import torch.nn.functional as F

from plic_lib.course.check.exercise import Exercise

NOTEBOOK = "10_low_rate"


def taps(k, s, p):
    """Tap $t$ of input pixel $i$ lands on output pixel $s i + t - p$. Its remainder does not depend on $i$."""
    counts = [0] * s
    for t in range(k):
        counts[(t - p) % s] += 1
    return counts


def _deconvolutions():
    yield from ((5, 2, 2), (5, 2, 1), (4, 2, 1), (7, 3, 2), (2, 4, 1))
    yield random.randint(5, 11), 3, random.randint(1, 2)


low_1 = Exercise(
    taps,
    _deconvolutions,
    hint="Every tap of every input pixel lands somewhere. On which remainder does tap t land, and does it depend on the input pixel?",
    rule="every tap reaches one kind of output pixel, of remainder (t - p) mod s; count them",
    slips={
        "padding ignored": ("the counts are right, their order is not: padding moves every tap by p places", lambda k, s, p: taps(k, s, 0)),
        "padding added": ("padding moves the taps the other way: tap t lands on s·i + t - p", lambda k, s, p: taps(k, s, -p)),
        "shared evenly": ("counts are whole numbers; a tap cannot be shared evenly", lambda k, s, p: [k / s] * s),
        "rounded down": ("every tap reaches a pixel, so the counts add up to k", lambda k, s, p: [k // s] * s),
        "first kind": ("one count for each remainder, 0 to s - 1", lambda k, s, p: taps(k, s, p)[:1]),
        "padding cut off": ("padding cuts pixels off at the ends, not taps off the kernel", lambda k, s, p: taps(max(k - 2 * p, 0), s, 0)),
    },
)


def alternation(row):
    """The second difference of a constant or of a slope is zero; that of $a(-1)^j$ is $4a(-1)^j$. Multiplying by $(-1)^j$ gives
    every pixel the same sign, so that the mean keeps it."""
    second = 2 * row[1:-1] - row[:-2] - row[2:]
    sign = 1 - 2 * (torch.arange(1, len(row) - 1) % 2)
    return (sign * second).mean() / 4


def _rows():
    for length in (random.choice((30, 32)), random.choice((31, 33))):
        j = torch.arange(length)
        for sign in (-1, 1):
            swing = sign * random.uniform(0.5, 1) * (-1.0) ** j
            yield (swing,)
            yield (swing + random.uniform(10, 100),)
            yield (swing + random.choice((-1, 1)) * random.uniform(0.3, 0.6) * j,)


def _swing(row):
    return (-1.0) ** torch.arange(len(row))


def _first_differences(row):
    return (_swing(row)[:-1] * (row[:-1] - row[1:])).mean() / 2


low_2 = Exercise(
    alternation,
    _rows,
    tolerance=(1e-3, 1e-3),
    hint="Differences of neighbours remove the constant. What removes the slope as well, and what does it make of +a, -a, +a? "
    "Then bring all signs to one before averaging.",
    rule="a row c + d·j + a·(-1)^j has the amplitude a, whatever c and d are, for an odd and for an even number of pixels",
    slips={
        "plain mean": (
            "this multiplies by (-1)^j and averages: a constant and a slope leave a trace; use second differences",
            lambda row: (_swing(row) * row).mean(),
        ),
        "constant only": (
            "a constant is removed, a slope is not; use second differences",
            lambda row: (_swing(row) * (row - row.mean())).mean(),
        ),
        "first differences": (
            "first differences remove the constant; a slope d leaves d in each of them, which cancels only in pairs: take second "
            "differences",
            _first_differences,
        ),
        "twice": ("twice too large: the second difference of +a, -a, +a is 4a", lambda row: 2 * alternation(row)),
        "four times": ("four times too large: the second difference of +a, -a, +a is 4a", lambda row: 4 * alternation(row)),
        "sign lost": ("the sign is lost: negative where the first pixel is the darker one", lambda row: alternation(row).abs()),
        "sign turned": ("the sign is wrong: positive where the first pixel is the brighter one", lambda row: -alternation(row)),
    },
)


def pooled(x, w):
    """Each tap adds the whole row, scaled, to every second place. One pixel is cut at both ends, then neighbours are
    averaged."""
    n = len(x)
    full = torch.zeros(2 * n + 3)
    for t in range(5):
        full[t : t + 2 * n - 1 : 2] += w[t] * x
    middle = full[1:-1]
    return (middle[:-1] + middle[1:]) / 2


def _rows_and_taps():
    for _ in range(2):
        yield torch.randn(random.randint(6, 11)), torch.rand(5) + torch.tensor([0.5, 0.5, 2.5, 0.5, 1.5])  # kinds of pixels that differ


def _deconvolution(x, w, padding=1):
    return F.conv_transpose1d(x[None, None], w[None, None], stride=2, padding=padding)[0, 0]


def _box(y):
    return (y[1:] + y[:-1]) / 2


low_3 = Exercise(
    pooled,
    _rows_and_taps,
    tolerance=(1e-4, 1e-4),
    hint="How long is the row before and after each of the three steps? Tap t of input pixel i lands on 2i + t, before anything is cut.",
    rule="deconvolution with stride 2 (tap t of pixel i lands on 2i + t), one pixel cut at either end, then the mean of neighbours",
    slips={
        "no box": ("the box is missing: these are the 2n + 1 pixels in front of it", _deconvolution),
        "nothing cut": (
            "nothing was cut: 2n + 3 pixels less one at each end are 2n + 1, and the box leaves 2n",
            lambda x, w: _box(_deconvolution(x, w, 0)),
        ),
        "cut after": (
            "cut first, then average: 2n + 3 pixels less one at each end are 2n + 1, and the box leaves 2n",
            lambda x, w: _box(_deconvolution(x, w, 0))[1:],
        ),
        "summed": ("the box averages two neighbours; this is their sum", lambda x, w: 2 * _box(_deconvolution(x, w))),
        "kernel turned": (
            "the kernel is the wrong way round: tap t of input pixel i lands on 2i + t - 1",
            lambda x, w: _box(_deconvolution(x, w.flip(0))),
        ),
        "one less": (
            "the length is right, but no neighbours were averaged: a constant row does not stay constant",
            lambda x, w: _deconvolution(x, w)[:-1],
        ),
        "pairs": (
            "this averages pairs that do not overlap, and halves the row; the box goes on by one pixel",
            lambda x, w: _box(_deconvolution(x, w))[::2],
        ),
    },
)


def rate_for(quality, bpps, qualities):
    """Sort by rate, find the two points around the wanted quality, and go along the straight line between their
    logarithms."""
    order = torch.argsort(bpps)
    logs, values = torch.log(bpps[order]), qualities[order]
    for k in range(len(values) - 1):
        if values[k] <= quality <= values[k + 1]:
            t = (quality - values[k]) / (values[k + 1] - values[k])
            return torch.exp((1 - t) * logs[k] + t * logs[k + 1])
    return None


def _curve():
    count = random.randint(4, 5)
    bpps = torch.exp(torch.log(torch.tensor(random.uniform(0.03, 0.06))) + (torch.rand(count) * 0.5 + 0.8).cumsum(0))
    return bpps, random.uniform(21, 23) + (torch.rand(count) + 0.5).cumsum(0)


def _curves():
    for k in (0, 1, -2):  # in the first, the second and the last part of the curve
        bpps, values = _curve()
        t = random.uniform(0.35, 0.65)
        yield float((1 - t) * values[k] + t * values[k + 1]), bpps, values
    for order in (lambda n: torch.arange(n - 1, -1, -1), lambda n: torch.arange(n).roll(2)):
        bpps, values = _curve()
        order = order(len(values))
        yield float((values[0] + values[1]) / 2), bpps[order], values[order]
    for beyond in (-0.5, 0.5):
        bpps, values = _curve()
        yield float(values.min() + beyond if beyond < 0 else values.max() + beyond), bpps, values


def _found(quality, bpps, qualities, log=torch.log, exp=torch.exp, ordered=True, anywhere=False, nearest=False):
    order = torch.argsort(bpps) if ordered else torch.arange(len(bpps))
    logs, values = log(bpps[order]), qualities[order]
    if not anywhere and not values.min() <= quality <= values.max():
        return None
    k = int((values <= quality).sum().clamp(1, len(values) - 1)) - 1
    t = (quality - values[k]) / (values[k + 1] - values[k])
    return exp((1 - t.round()) * logs[k] + t.round() * logs[k + 1]) if nearest else exp((1 - t) * logs[k] + t * logs[k + 1])


low_4 = Exercise(
    rate_for,
    _curves,
    tolerance=(1e-3, 0),
    hint="Between which two points does the quality lie, once they are in order? How far along the way between them is it, and where is "
    "that on "
    "an axis of log bpp?",
    rule="a straight line between neighbouring points, over the logarithm of bpp; None where the curve does not reach",
    slips={
        "straight in bpp": (
            "this is linear in bpp; curves are nearly straight over the logarithm of bpp",
            partial(_found, log=lambda t: t, exp=lambda t: t),
        ),
        "logarithm": ("this is the logarithm of the rate; give the rate itself", partial(_found, exp=lambda t: t)),
        "guessed": ("a quality that the curve does not reach has no rate: return None, do not guess", partial(_found, anywhere=True)),
        "not sorted": ("the points may come in any order; sort them first", partial(_found, ordered=False)),
        "each sorted": (
            "this is right here, but the order is broken: sort the points by rate, and qualities along with them",
            lambda q, b, v: _found(q, b.sort().values, v),
        ),
        "nearest point": ("this is the rate of the nearest point; go along the line between two", partial(_found, nearest=True)),
    },
)
