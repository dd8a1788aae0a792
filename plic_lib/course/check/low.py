"""Exercises of 10_low_rate."""

import random
from functools import partial

import torch
import torch.nn.functional as F

from plic_lib.course.check.exercise import Exercise

NOTEBOOK = "10_low_rate"


def taps(k, stride, padding):
    """Tap $j$ of input pixel $i$ lands on output pixel $stride · i + j - padding$. Its remainder does not depend on $i$."""
    counts = [0] * stride
    for j in range(k):
        counts[(j - padding) % stride] += 1
    return counts


def _deconvolutions():
    yield from ((5, 2, 2), (5, 2, 1), (4, 2, 1), (7, 3, 2), (2, 4, 1))
    yield random.randint(5, 11), 3, random.randint(1, 2)


low_1 = Exercise(
    taps,
    _deconvolutions,
    hint="Every tap of every input pixel lands somewhere. On which remainder does tap j land, and does it depend on the input pixel?",
    rule="every tap reaches one kind of output pixel, of remainder (j - padding) mod stride; count them",
    slips={
        "padding ignored": (
            "the counts are right, their order is not: padding moves every tap by so many places",
            lambda k, stride, padding: taps(k, stride, 0),
        ),
        "padding added": (
            "padding moves the taps the other way: tap j lands on stride · i + j - padding",
            lambda k, stride, padding: taps(k, stride, -padding),
        ),
        "shared evenly": ("counts are whole numbers; a tap cannot be shared evenly", lambda k, stride, padding: [k / stride] * stride),
        "rounded down": ("every tap reaches a pixel, so the counts add up to k", lambda k, stride, padding: [k // stride] * stride),
        "first kind": ("one count for each remainder, 0 to stride - 1", lambda k, stride, padding: taps(k, stride, padding)[:1]),
        "padding cut off": (
            "padding cuts pixels off at the ends, not taps off the kernel",
            lambda k, stride, padding: taps(max(k - 2 * padding, 0), stride, 0),
        ),
    },
)


def causes(strides, cycles, pixels):
    """A constant is a picture of period 1. What layer number i adds repeats, when it arrives at full size, after the product of the
    strides from i to the last. A pattern of such a period holds a wave if a whole number of its cycles fits into the period.
    Of four layers of stride 2, a tooth at 1/16 convicts the first alone; one at 1/2 convicts none, since all can make it."""
    found, period = [], 1
    for number in range(len(strides), 0, -1):
        period *= strides[number - 1]
        if (cycles * period) % pixels == 0:
            found.insert(0, number)
    return found


def _generators():
    yield [2, 2, 2, 2], 1, 2
    yield [2, 2, 2, 2], random.choice((1, 3)), 8
    yield [2, 2, 2, 2], random.choice((1, 3, 5, 7)), 16
    yield [2, 3, 2], random.choice((1, 5)), 12
    yield [3, 2, 2], random.choice((1, 5)), 12
    yield [2, 2, 3], 1, 3
    yield [3, 2, 2], 1, 4
    yield [2, 2], 1, 3


def _causes(strides, cycles, pixels, period_of=lambda strides, i: int(torch.tensor(strides[i:]).prod()), numbers=None):
    fits = [cycles * period_of(strides, i) % pixels == 0 for i in range(len(strides))]
    return [numbers(i, len(strides)) if numbers else i + 1 for i in range(len(strides)) if fits[i]]


low_2 = Exercise(
    causes,
    _generators,
    hint="After how many pixels of the finished picture does the pattern repeat that one deconvolution makes of a constant? "
    "Which waves fit into that period a whole number of times?",
    rule="what a layer adds repeats after the product of its own stride and of all later ones; the wave has to fit into that period",
    slips={
        "the last that can": (
            "this is one layer only: every layer whose period holds the wave can be the cause",
            lambda strides, cycles, pixels: causes(strides, cycles, pixels)[-1:],
        ),
        "earlier strides": (
            "this multiplies the strides before the layer; its pattern is stretched by those that come after",
            partial(_causes, period_of=lambda strides, i: int(torch.tensor(strides[: i + 1]).prod())),
        ),
        "own stride left out": (
            "the layer's own stride belongs to its period: the last layer's pattern repeats after its stride, not after one pixel",
            partial(_causes, period_of=lambda strides, i: int(torch.tensor(strides[i + 1 :]).prod())),
        ),
        "own stride only": (
            "later layers stretch the pattern too: its period is the product of the strides from here to the last",
            partial(_causes, period_of=lambda strides, i: strides[i]),
        ),
        "counted from the end": (
            "the right layers, counted from the end; number 1 is the first",
            partial(_causes, numbers=lambda i, n: n - i),
        ),
        "counted from zero": ("the right layers, counted from 0; number 1 is the first", partial(_causes, numbers=lambda i, n: i)),
    },
)


def folded(w):
    """Averaging neighbours puts half of every tap where it was and half one place further: one at an even place, one at an odd. So the
    even and the odd taps have the same sum, half that of w, whatever the kernel."""
    nothing = torch.zeros(1)
    return (torch.cat((w, nothing)) + torch.cat((nothing, w))) / 2


def _taps():
    for _ in range(2):
        yield (torch.rand(5) + torch.tensor([0.5, 0.5, 2.5, 0.5, 1.5]),)  # a kernel that differs from its mirror image


low_3 = Exercise(
    folded,
    _taps,
    tolerance=(1e-4, 1e-4),
    hint="Give the two layers a single pixel of value 1 and write down what comes out, place by place.",
    rule="the pooled layer answers a single 1 with the taps, plus the taps one place further, halved: six numbers",
    slips={
        "five taps": (
            "these are five taps; averaging neighbours spreads the answer to a single pixel over one place more",
            lambda w: ((F.pad(w, (0, 1)) + F.pad(w, (1, 0))) / 2)[:5],
        ),
        "summed": ("twice too large: the box averages two neighbours", lambda w: 2 * folded(w)),
        "turned": ("the kernel is the wrong way round: tap 0 lands first", lambda w: folded(w).flip(0)),
        "three averaged": ("an average of three neighbours gives seven taps, and leaves a third of the swing", lambda w: _box(w, 3)),
        "averaged inside": (
            "this averages the taps with each other where they overlap, and loses the halves at both ends",
            lambda w: (w[1:] + w[:-1]) / 2,
        ),
        "padded": ("this is the kernel with a zero behind it: nothing was averaged", lambda w: F.pad(w, (0, 1))),
        "minus": (
            "this is half the difference of neighbours; the box takes their mean",
            lambda w: (F.pad(w, (0, 1)) - F.pad(w, (1, 0))) / 2,
        ),
    },
)


def _box(w, width):
    return F.conv1d(F.pad(w, (width - 1, width - 1))[None, None], torch.full((1, 1, width), 1 / width))[0, 0]


def rate_for(quality, bpps, qualities):
    """Sort by rate, find the two points around the wanted quality, and go along the straight line between their
    logarithms."""
    order = torch.argsort(bpps)
    logs, values = torch.log(bpps[order]), qualities[order]
    for i in range(len(values) - 1):
        if values[i] <= quality <= values[i + 1]:
            share = (quality - values[i]) / (values[i + 1] - values[i])
            return torch.exp((1 - share) * logs[i] + share * logs[i + 1])
    return None


def _curve():
    count = random.randint(4, 5)
    bpps = torch.exp(torch.log(torch.tensor(random.uniform(0.03, 0.06))) + (torch.rand(count) * 0.5 + 0.8).cumsum(0))
    return bpps, random.uniform(21, 23) + (torch.rand(count) + 0.5).cumsum(0)


def _curves():
    for i in (0, 1, -2):  # in the first, the second and the last part of the curve
        bpps, values = _curve()
        share = random.uniform(0.35, 0.65)
        yield float((1 - share) * values[i] + share * values[i + 1]), bpps, values
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
    i = int((values <= quality).sum().clamp(1, len(values) - 1)) - 1
    share = (quality - values[i]) / (values[i + 1] - values[i])
    share = share.round() if nearest else share
    return exp((1 - share) * logs[i] + share * logs[i + 1])


low_4 = Exercise(
    rate_for,
    _curves,
    tolerance=(1e-3, 0),
    hint="Between which two points does the quality lie, once they are in order? How far along the way between them is it, and where is "
    "that on an axis of log bpp?",
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
