"""Exercises of 13_results."""

import math
import random

import torch

from plic_lib.course.check.exercise import Exercise
from plic_lib.course.random_curves import curves, drawn_means, interval, mean_gap, on_line, pairs_of_curves

NOTEBOOK = "13_results"


def fitting_level(sizes, pixels, bpp):
    """The budget is for the sum: a picture may exceed its share. Sizes rise with the level, so the number of levels that fit,
    less one, is the highest of them."""
    fits = 8 * sizes.sum(dim=1) <= bpp * pixels.sum()
    return int(fits.sum()) - 1


def _sets_of_files():
    for _ in range(4):
        pixels = torch.tensor([100_000, 400_000, 1_600_000])
        # the small picture is costly, the large one cheap: their shares of the budget differ
        shares = torch.tensor([2.4, 1.0, 0.7]) + 0.1 * torch.rand(3)
        sizes = (0.05 * torch.linspace(1, 6, 21)[:, None] * shares * pixels / 8).round().long()
        level = random.randrange(10, 18)
        order = torch.randperm(3)
        yield sizes[:, order], pixels[order], 1.01 * 8 * float(sizes[level].sum()) / float(pixels.sum())


def _last(fits):
    return int(fits.sum()) - 1


results_1 = Exercise(
    fitting_level,
    _sets_of_files,
    hint="How many bits may all files have together? How many do they have at each level?",
    rule="the highest level at which all bytes together, as bits, stay within bpp times all pixels",
    slips={
        "mean of bpp": (
            "this is the mean over the pictures of their bpp; the budget is for all bytes together, over all pixels",
            lambda s, p, bpp: _last((8 * s / p).mean(dim=1) <= bpp),
        ),
        "bytes": ("the highest level does not fit; are bytes counted as bits?", lambda s, p, bpp: _last(s.sum(dim=1) <= bpp * p.sum())),
        "each picture": (
            "a picture may exceed its share of the budget if another stays below it",
            lambda s, p, bpp: _last((8 * s <= bpp * p).all(dim=1)),
        ),
        "one lower": ("the level below is returned; indices count from 0", lambda s, p, bpp: fitting_level(s, p, bpp) - 1),
        "one higher": (
            "this is the first level that does not fit; return the last that does",
            lambda s, p, bpp: fitting_level(s, p, bpp) + 1,
        ),
        "lowest": (
            "every level below fits, too; return the highest of those that fit",
            lambda s, p, bpp: int((8 * s.sum(dim=1) <= bpp * p.sum()).int().argmax()),
        ),
    },
)


def rate_for(rates, values, wanted):
    """Find the point to the right, then take the weighted mean of the two logarithms."""
    right = int((values < wanted).sum())
    part = (wanted - values[right - 1]) / (values[right] - values[right - 1])
    return torch.exp((1 - part) * torch.log(rates[right - 1]) + part * torch.log(rates[right]))


results_2 = Exercise(
    rate_for,
    curves,
    tolerance=(1e-3, 1e-4),
    hint="Which two points lie around the wanted quality, and how far between them is it? Walk that part of the way along the logarithm "
    "of the rate.",
    rule="on the straight line between the two points around the wanted quality, over the logarithm of the rate",
    slips={
        "straight in the rate": ("this is straight over the rate itself; the axis is its logarithm", on_line),
        "logarithm": ("this is the logarithm of the rate; turn it back with exp", lambda r, v, wanted: on_line(r.log(), v, wanted)),
        "nearest point": (
            "this is the rate of the nearest point; the wanted quality lies between two",
            lambda r, v, wanted: r[int((v - wanted).abs().argmin())],
        ),
        "part turned": (
            "the part of the way is counted from the wrong end: the nearer a point, the larger its weight",
            lambda r, v, wanted: on_line(r.log(), v, wanted, turned=True).exp(),
        ),
        "whole curve": (
            "this goes straight from the first point to the last; take the two points around the wanted quality",
            lambda r, v, wanted: on_line(r[[0, -1]].log(), v[[0, -1]], wanted).exp(),
        ),
    },
)


def bd_lines(rates, values, test_rates, test_values):
    """One grid over the common range, both curves on it, the trapezoid sum of their gap over the width, and back from the
    logarithm."""
    low, high = max(values[0], test_values[0]), min(values[-1], test_values[-1])
    grid = torch.linspace(float(low), float(high), 4001, dtype=torch.float64)

    def log_rate(rates, values):
        rates, values = rates.double(), values.double()
        right = torch.searchsorted(values, grid).clamp(1, len(values) - 1)
        part = (grid - values[right - 1]) / (values[right] - values[right - 1])
        return torch.lerp(torch.log(rates)[right - 1], torch.log(rates)[right], part)

    gap = log_rate(test_rates, test_values) - log_rate(rates, values)
    return 100 * (torch.exp(torch.trapezoid(gap, grid) / (grid[-1] - grid[0])) - 1)


results_3 = Exercise(
    bd_lines,
    pairs_of_curves,
    tolerance=(0.005, 0.2),
    hint="Which qualities do both curves reach? Put both on one grid of qualities, as logarithms of the rate; the mean gap is the "
    "logarithm of a factor.",
    rule="average the gap of the logarithms of the rates over the qualities that both curves reach; exp makes a factor of it, and 1 is 0 %",
    slips={
        "sign": (
            "the sign of the gap is turned: positive where the tested codec needs more bytes than the anchor",
            lambda *both: 100 * math.expm1(-mean_gap(*both)),
        ),
        "logarithm": ("this is the mean gap of the logarithms; exp turns it into a factor", lambda *both: 100 * mean_gap(*both)),
        "ratio": (
            "this is the ratio in per cent; a codec against itself gives 0",
            lambda *both: 100 * math.exp(mean_gap(*both)),
        ),
        "power of ten": (
            "natural logarithms are undone by exp, not by a power of 10",
            lambda *both: 100 * (10 ** mean_gap(*both) - 1),
        ),
        "fraction": ("this is a fraction; the answer is in per cent", lambda *both: math.expm1(mean_gap(*both))),
        "not divided": (
            "this is the area between the curves; the mean gap is the area over the width of the common range",
            lambda r, v, tr, tv: (
                100 * math.expm1(mean_gap(r, v, tr, tv) * (min(float(v[-1]), float(tv[-1])) - max(float(v[0]), float(tv[0]))))
            ),
        ),
        "all qualities": (
            "beyond the end of a curve there is nothing to compare: average over the qualities that both curves reach",
            lambda *both: 100 * math.expm1(mean_gap(*both, low=min, high=max)),
        ),
        "rates": (
            "this takes the gap of the rates themselves, in which the high rates drown the low ones; take their logarithms",
            lambda r, v, tr, tv: 100 * mean_gap(r, v, tr, tv, axis=lambda t: t) / float(mean_gap(0 * r, v, r, v, axis=lambda t: t)),
        ),
    },
)


def paired_interval(a, b, draws=1000):
    """Subtract first, then draw: both figures of a picture stay together."""
    difference = a - b
    chosen = torch.randint(len(difference), (draws, len(difference)))
    means = difference[chosen].mean(dim=1)
    return means.quantile(0.025), means.quantile(0.975)


def _pictures():
    b = 8 * torch.randn(50) + 30
    yield b + random.choice([-1, 1]) * random.uniform(0.8, 1.2) + 0.5 * torch.randn(50), b, 2000


def _centre_and_width(function, a, b, draws):
    """The interval's centre, from the mean difference, and its width, both in units of what they should be."""
    low, high = (float(v) for v in function(a, b, draws))
    difference = a - b
    error = float(difference.std(correction=0)) / math.sqrt(len(a))
    return {"centre": ((low + high) / 2 - float(difference.mean())) / error, "width": (high - low) / (2 * 1.96 * error)}


def _covers(seen, expected, a, b, draws):
    assert seen["width"] > 0, "return the lower bound first"
    assert abs(seen["centre"]) < 1, f"the interval is not around the mean difference {float((a - b).mean()):.3f}"
    assert 0.92 < seen["width"] < 1.1, (
        f"the interval is {seen['width']:.2f} times as wide as it should be; take the quantiles 0.025 and 0.975 of the drawn means"
    )


results_4 = Exercise(
    paired_interval,
    _pictures,
    observe=_centre_and_width,
    properties=_covers,
    tolerance=(0.1, 0.1),
    hint="Draw pictures, not figures: with a picture come both its figures. How many are drawn, and how often?",
    rule="draw as many pictures as there are, with repetition, `draws` times; the quantiles 0.025 and 0.975 of the mean differences",
    slips={
        "sign": ("the sign is turned: the difference is a - b", lambda a, b, n: interval(drawn_means(b - a, n))),
        "unpaired": (
            "far too wide: draw the same pictures for a and b, so that what they share cancels",
            lambda a, b, n: interval(drawn_means(a, n) - drawn_means(b, n)),
        ),
        "single pictures": (
            "this is the spread of single pictures; the interval is of the mean over all drawn pictures",
            lambda a, b, n: interval(a - b),
        ),
        "bounds exchanged": ("return the lower bound first", lambda a, b, n: interval(drawn_means(a - b, n))[::-1]),
        "90 %": (
            "this leaves 5 % on either side, so 90 % in the middle; 95 % leave 2.5 %",
            lambda a, b, n: interval(drawn_means(a - b, n), 0.05),
        ),
        "extremes": (
            "these are the extremes of all draws; leave 2.5 % out on either side",
            lambda a, b, n: interval(drawn_means(a - b, n), 0.0),
        ),
    },
)


def opposite_orders(count):
    """One picture that fails decides the pooled figure, and weighs as little as any other in the mean."""
    return [20.0] + [40.0] * (count - 1), [33.0] * count


def _counts():
    for _ in range(3):
        yield (random.randrange(4, 13),)


def _orders(function, count):
    """Which of the two sets is ahead by a decibel or more, 1 or -1, by the mean and when pooled; and whether they are sets as asked."""
    a, b = (torch.as_tensor(values, dtype=torch.float64) for values in function(count))
    pooled = lambda p: -10 * float(torch.log10((10 ** (-p / 10)).mean()))
    side = lambda gap: float(gap >= 1) - float(gap <= -1)
    within = all(bool(((15 <= p) & (p <= 45)).all()) for p in (a, b))
    sizes = len(a) == len(b) == count
    return {"asked": float(sizes and within), "mean": side(float((a - b).mean())) if sizes else 0.0, "pooled": side(pooled(a) - pooled(b))}


results_5 = Exercise(
    opposite_orders,
    _counts,
    observe=_orders,
    hint="Which pictures decide a pooled figure? Give one of the two codecs a single picture that goes wrong.",
    rule="a is ahead of b by at least 1 dB in the mean, and behind it by at least 1 dB when the squared errors are averaged",
    slips={
        "exchanged": ("a and b are exchanged: a has to be ahead in the mean", lambda count: opposite_orders(count)[::-1]),
        "same order": (
            "both figures put a ahead; what would make its pooled figure fall, and its mean hardly?",
            lambda count: ([40.0] * count, [33.0] * count),
        ),
        "too little spread": (
            "a is ahead in the mean, but not a decibel behind when pooled: its worst picture has to be worse",
            # pooled, both are at 33 dB
            lambda count: ([-10 * math.log10(count * 10**-3.3 - (count - 1) * 10**-3.6)] + [36.0] * (count - 1), [33.0] * count),
        ),
        "too far down": (
            "a is behind in both: its mean has to stay a decibel above b's",
            lambda count: ([15.0] * 2 + [32.0] * (count - 2), [33.0] * count),
        ),
        "other sets": (
            "return two lists of `count` figures each, between 15 and 45 dB",
            lambda count: tuple(values[:2] for values in opposite_orders(count)),
        ),
    },
)


def break_even(saving, container_a, container_b):
    """At equal files, p + a = (1 - saving) p + b for the p bytes of A's coded picture. So p is (b - a) / saving, and A's file has a
    more."""
    return (container_b - container_a) / saving + container_a


def _containers():
    for _ in range(4):
        yield random.uniform(0.03, 0.25), random.randrange(20, 60), random.randrange(200, 400)


results_6 = Exercise(
    break_even,
    _containers,
    hint="Write down both files for a coded picture of p bytes in A. For which p are they equal?",
    rule="the size of A's whole file at which B's whole file has as many bytes",
    slips={
        "coded picture": (
            "these are the bytes of A's coded picture alone; its container belongs to the file",
            lambda saving, a, b: (b - a) / saving,
        ),
        "A without container": (
            "A's file has a container, too: only the difference of the two has to be made up for",
            lambda saving, a, b: b / saving,
        ),
        "sign": ("the larger container has to be made up for, so the answer is positive", lambda saving, a, b: (a - b) / saving + a),
        "saving of B": (
            "the saving is a fraction of A's bytes, not of B's",
            lambda saving, a, b: (b - a) * (1 - saving) / saving + a,
        ),
        "remaining part": (
            "B keeps 1 - saving of A's bytes; what makes up for the container is what it saves",
            lambda saving, a, b: (b - a) / (1 - saving) + a,
        ),
    },
)
