"""Exercises of 08_perceptual_loss."""

import random

import torch

from plic_lib.course.check.exercise import Exercise

NOTEBOOK = "08_perceptual_loss"


def best_guess(values, high, low):
    """Between two values the cost is a straight line, so one of the values is best, and trying them all is enough. The slope turns from
    negative to positive where the share `low / (high + low)` of the values lies below: a quantile. With equal costs it is the median."""
    costs = [(high * (a - values).clamp(min=0) + low * (values - a).clamp(min=0)).sum() for a in values]
    return values[torch.stack(costs).argmin()]


def _deliveries():
    for count, high, low in ((10, 3.0, 1.0), (9, 1.0, 4.0), (8, 1.0, 3.0), (8, 2.0, 1.0)):
        scale = random.uniform(0.5, 2)  # only the ratio of the costs matters
        yield (torch.cat([torch.rand(count - 1), 4 + 4 * torch.rand(1)])[torch.randperm(count)], scale * high, scale * low)


def _cost(a, values, high, low):
    return (high * (a - values).clamp(min=0) + low * (values - a).clamp(min=0)).sum()


def _is_cheapest(seen, expected, values, high, low):
    least, cost = _cost(expected, values, high, low), _cost(float(seen), values, high, low)
    assert cost <= least * 1.0001, f"{float(seen):.4g} costs {cost:.4g}, and {float(expected):.4g} only {least:.4g}"


def _share(values, share):
    """The smallest value with at least this share of the values at or below it."""
    return values.sort().values[torch.arange(1, len(values) + 1) >= share * len(values) - 1e-6][0]


loss_1 = Exercise(
    best_guess,
    _deliveries,
    properties=_is_cheapest,
    hint="Move the guess up by a little. Which values make that dearer, which cheaper, and by how much each? Where do the two balance?",
    rule="return one number, the guess with the least cost in all",
    slips={
        "mean": (
            "the mean is best for squared errors; here a far value counts no more for each unit than a near one",
            lambda v, h, b: v.mean(),
        ),
        "median": ("the median is best where too high and too low cost the same", lambda v, h, b: v.median()),
        "turned": (
            "the two costs are exchanged: where too high is the dear side, the guess has to be low",
            lambda v, h, b: _share(v, h / (h + b)),
        ),
        "interpolated": (
            "the quantile is right, but not between two values: there the cost is a straight line, and lower at one of its ends",
            lambda v, h, b: v.quantile(b / (h + b)),
        ),
        "weighted mean": (
            "this moves the mean by the ratio of the costs; what counts is how many values lie on each side",
            lambda v, h, b: v.mean() * 2 * b / (h + b),
        ),
        "share of the range": (
            "this is a share of the way from smallest to largest; what counts is the share of the values that lie below",
            lambda v, h, b: v.min() + (v.max() - v.min()) * b / (h + b),
        ),
        "cost": (
            "this is the least cost; return the guess that has it",
            lambda v, h, b: min(_cost(a, v, h, b) for a in v),
        ),
    },
)


def converted(alpha, l1, lpips, batch, height, width):
    """Each sum over a mean is a number of things: pixels for the bits, colour values for L1, which also changes its unit, and pictures
    for LPIPS. With these three weights the two losses are equal, and so are all gradients."""
    pixels = batch * height * width
    return alpha / pixels, 255 * l1 / (3 * pixels), lpips / batch


def _settings():
    for _ in range(2):
        weights = random.uniform(0.5, 4), random.uniform(0.01, 0.05), random.uniform(0.5, 2)
        yield (*weights, random.choice((2, 4, 5, 6, 8)), 64 * random.randint(1, 2), 64 * random.randint(3, 4))


def _weights(bits=lambda b, h, w: b * h * w, scale=255.0, values=lambda b, h, w: 3 * b * h * w, pictures=lambda b: b):
    """The three weights, with a choice of what each sum is divided by and of L1's scale."""
    return lambda a, l1, lpips, b, h, w: (a / bits(b, h, w), scale * l1 / values(b, h, w), lpips / pictures(b))


loss_2 = Exercise(
    converted,
    _settings,
    tolerance=(1e-4, 1e-12),
    hint="Write both losses out for one crop of 2 × 2 pixels. Which number leads from each of the colleague's sums to the paper's term?",
    rule="with the three weights the two losses are the same number",
    slips={
        "scale forgotten": (
            "the colleague's differences are in [0, 1], the paper's term is in grey levels: a factor of 255 is missing",
            _weights(scale=1.0),
        ),
        "scale turned": ("255 multiplies: a difference of 1 is one of 255 grey levels", _weights(scale=1 / 255)),
        "pixels for values": ("a pixel has three colour values, and the mean is over them", _weights(values=lambda b, h, w: b * h * w)),
        "values for pixels": ("bits are counted for each pixel, not for each colour value", _weights(bits=lambda b, h, w: 3 * b * h * w)),
        "bits of one picture": ("the bits are those of the whole batch, so divide by all its pixels", _weights(bits=lambda b, h, w: h * w)),
        "L1 of one picture": ("the sum runs over the whole batch, and so does the mean", _weights(values=lambda b, h, w: 3 * h * w)),
        "LPIPS summed": ("the distances of all pictures are added here; the paper's term is their mean", _weights(pictures=lambda b: 1)),
        "LPIPS a pixel": (
            "LPIPS is already one number a picture: divide by the pictures, not by the pixels",
            lambda a, l1, lpips, b, h, w: (a / (b * h * w), 255 * l1 / (3 * b * h * w), lpips / (b * h * w)),
        ),
        "multiplied": (
            "a sum is larger than a mean, so its weight is smaller: divide",
            lambda a, l1, lpips, b, h, w: (a * b * h * w, 255 * l1 * 3 * b * h * w, lpips * b),
        ),
    },
)


def repainted(f, strength):
    """Unit length throws the strength away, so any strength will do: the pattern is all that LPIPS sees of a vector."""
    return f / f.norm(dim=1, keepdim=True) * strength


def _features_and_strengths():
    for _ in range(2):
        channels = random.randint(3, 6)  # as many columns as channels, so that a wrong axis does not raise
        yield torch.rand(2, channels, 3, channels) + 0.05, torch.rand(2, 1, 3, channels) * 3 + 0.5


loss_3 = Exercise(
    repainted,
    _features_and_strengths,
    hint="What does LPIPS keep of a vector, and what does it throw away? Build the new vector from what is kept and the wanted number.",
    rule="at each cell the same direction over the channels, and the wanted length",
    slips={
        "old length kept": (
            "the pattern is right, but the length is the old one times the wanted one; bring the vector to unit length first",
            lambda f, s: f * s,
        ),
        "added": ("adding to all channels turns the vector: LPIPS sees another pattern", lambda f, s: f / f.norm(dim=1, keepdim=True) + s),
        "nothing changed": ("these are the features as they were: their strengths are not the wanted ones", lambda f, s: f),
        "sum for length": (
            "the sum of the channels is not the length; that is the root of the sum of squares",
            lambda f, s: f / f.sum(dim=1, keepdim=True) * s,
        ),
        "largest channel": (
            "now the largest channel has the wanted value; the length of the vector is meant",
            lambda f, s: f / f.amax(dim=1, keepdim=True) * s,
        ),
        "square": (
            "this divides by the square of the length: the root is missing",
            lambda f, s: f / f.square().sum(dim=1, keepdim=True) * s,
        ),
        "each channel": (
            "this gives each channel's map unit length, over the cells; what LPIPS compares is the vector of a cell, over the channels",
            lambda f, s: f / f.norm(dim=(2, 3), keepdim=True) * s,
        ),
        "only the length": (
            "this has the wanted lengths, but no pattern: all channels are the same",
            lambda f, s: s.expand_as(f) / f.shape[1] ** 0.5,
        ),
        "unit": ("these have length 1; the wanted strength is missing", lambda f, s: f / f.norm(dim=1, keepdim=True)),
    },
)


def alphas_of_the_middle(points):
    """The middle must not cost more than either neighbour: that is one bound from each side. Where the middle lies above the line
    through its neighbours, the bounds cross, and no weight of the rate ever chooses it."""
    (r0, d0), (r1, d1), (r2, d2) = points
    low, high = (d1 - d2) / (r2 - r1), (d0 - d1) / (r1 - r0)
    return (low, high) if low < high else None


def _three_codecs():
    for hangs in (True, False, True, False):
        rates = [random.uniform(0.05, 0.3)]
        rates += [rates[0] + random.uniform(0.1, 0.3)]
        rates += [rates[1] + random.uniform(0.1, 0.3)]
        flat, steep = random.uniform(0.2, 0.6), random.uniform(1.5, 4)
        first, second = (steep, flat) if hangs else (flat, steep)
        end = random.uniform(0.05, 0.3)
        middle = end + second * (rates[2] - rates[1])
        yield ([(rates[0], middle + first * (rates[1] - rates[0])), (rates[1], middle), (rates[2], end)],)


def _bounds(points):
    (r0, d0), (r1, d1), (r2, d2) = points
    return (d1 - d2) / (r2 - r1), (d0 - d1) / (r1 - r0)


def _if_any(pair):
    return pair if pair[0] < pair[1] else None


loss_4 = Exercise(
    alphas_of_the_middle,
    _three_codecs,
    hint="The middle costs no more than the first, and no more than the third, each cost being D + αR. Solve both for α. Can both hold?",
    rule="the smallest and the largest α for which the middle codec has the least D + αR, or None where it never has",
    slips={
        "never None": (
            "the middle one may lie above the line through its neighbours; then no α chooses it, and the answer is None",
            _bounds,
        ),
        "in any order": (
            "where the bounds cross, turning them round does not help: then no α chooses the middle one",
            lambda points: tuple(sorted(_bounds(points))),
        ),
        "largest first": ("the smaller α comes first", lambda points: _if_any(_bounds(points)) and _bounds(points)[::-1]),
        "turned over": (
            "this is rate for distortion; α is the distortion that one more bit per pixel has to remove",
            lambda points: _if_any(tuple(1 / bound for bound in _bounds(points)[::-1])),
        ),
        "sign": (
            "the sign: more rate brings less distortion, and α is positive",
            lambda points: _if_any(_bounds(points)) and tuple(-bound for bound in _bounds(points)),
        ),
        "distortion first": (
            "a point is (rate, distortion), in this order",
            lambda points: _if_any(_bounds([point[::-1] for point in points])),
        ),
        "to the other end": (
            "the bounds come from the middle and its neighbours, not from the two ends",
            lambda points: _if_any(_bounds(points)) and (_bounds(points)[0], _bounds([points[0], points[2], points[1]])[1]),
        ),
    },
)


def matched(decoded, originals):
    """The rank of each decoded value, and the original of that rank: the smallest of the ones becomes the smallest of the others. No
    other way of giving out the originals changes the decoded values less. The distribution is then right to the last value, and each
    value can still be wrong: perception is about the first, distortion about the second."""
    return originals.sort().values[decoded.argsort().argsort()]


def _values_and_originals():
    for count in (9, 12):
        yield torch.randn(count) * 0.4 + 0.2, torch.randn(count)[torch.randperm(count)] * 2


loss_5 = Exercise(
    matched,
    _values_and_originals,
    hint="Try two values and two originals first. Which of the two ways to give them out changes less? And for many?",
    rule="exactly the originals' values, given out so that the squared change is the least",
    slips={
        "originals": ("the right values, given out as they came: that ignores the decoded ones", lambda v, o: o),
        "sorted": (
            "the right values, but sorted: the smallest one belongs where the smallest decoded value is",
            lambda v, o: o.sort().values,
        ),
        "sorted once": (
            "the order is not the rank: `argsort` says where the smallest is, and its own `argsort` says which rank each value has",
            lambda v, o: o.sort().values[v.argsort()],
        ),
        "unsorted originals": (
            "the ranks are right, but they have to choose among the sorted originals",
            lambda v, o: o[v.argsort().argsort()],
        ),
        "turned": (
            "the largest original went to the smallest decoded value",
            lambda v, o: o.sort(descending=True).values[v.argsort().argsort()],
        ),
        "mean and spread": (
            "mean and spread agree now, but not the distribution: the values have to be the originals' own",
            lambda v, o: (v - v.mean()) / v.std() * o.std() + o.mean(),
        ),
        "nearest": (
            "each value went to its nearest original, so some originals are used twice and others never",
            lambda v, o: o[(v[:, None] - o).abs().argmin(dim=1)],
        ),
        "nothing changed": ("these are the decoded values as they were", lambda v, o: v),
    },
)
