"""Exercises of 01_rate_and_distortion."""

import math
import random

import torch

from plic_lib.course.check.exercise import Exercise

NOTEBOOK = "01_rate_and_distortion"


def price(p, assumed):
    """A letter costs what the code's maker thought, and comes as often as it does: the cross-entropy. `xlogy` counts
    0 · log 0 as 0; the division turns nats into bits."""
    return -torch.special.xlogy(p, assumed).sum() / torch.log(torch.tensor(2.0))


def _distributions():
    for never in (0, 1, 0, 2, 0):
        count = random.randint(4, 9)
        p, assumed = torch.rand(2, count) ** 2 + 0.05
        p[:never] = assumed[:never] = 0  # a letter that neither comes nor was expected
        order = torch.randperm(count)
        yield p[order] / p.sum(), assumed[order] / assumed.sum()
    yield torch.tensor([0.6, 0.4, 0.0]), torch.tensor([0.7, 0.0, 0.3])  # one that comes was thought impossible, and the reverse


rate_1 = Exercise(
    price,
    _distributions,
    hint="Two tables are in play: one says how often a letter comes, the other how long its code word is. Which is which? And what is 0 "
    "times infinity to a computer, and what should it be here?",
    rule="each letter costs -log2 of what was assumed, and comes with the probability p; a letter that never comes adds 0",
    slips={
        "nats": ("this is in nats; bits need a logarithm to the base 2", lambda p, a: -torch.special.xlogy(p, a).sum()),
        "sign": ("the sign is wrong: log2 of a probability is negative", lambda p, a: torch.special.xlogy(p, a).sum() / math.log(2)),
        "zeros": (
            "a letter that never comes adds nothing, and 0 · log2(0) is NaN in floating point: count it as 0",
            lambda p, a: -(p * torch.log2(a)).sum(),
        ),
        "impossible left out": (
            "a letter that comes and was thought impossible makes the price infinite; this leaves it out",
            lambda p, a: -(p * torch.log2(a))[a > 0].sum(),
        ),
        "right code": (
            "this is the entropy of p, the price with the right code; the code was made for something else",
            lambda p, a: -torch.special.xlogy(p, p).sum() / math.log(2),
        ),
        "entropy of the assumption": (
            "this is the entropy of what was assumed: the letters come as p says",
            lambda p, a: -torch.special.xlogy(a, a).sum() / math.log(2),
        ),
        "exchanged": (
            "the two are exchanged: the code words are as long as was assumed, and the letters come as p says",
            lambda p, a: -torch.special.xlogy(a, p).sum() / math.log(2),
        ),
        "excess": (
            "this is what the wrong code costs on top of the entropy; the question is about the whole price",
            lambda p, a: (torch.special.xlogy(p, p) - torch.special.xlogy(p, a)).sum() / math.log(2),
        ),
        "unweighted": (
            "this adds the lengths of all code words; an average weighs each with how often it comes",
            lambda p, a: -torch.log2(a[a > 0]).sum(),
        ),
    },
)


def pooled_psnr(pairs):
    """All squared errors over the number of all values, then one logarithm."""
    squares = torch.stack([((x - x_hat) ** 2).sum() for x, x_hat in pairs]).sum()
    return -10 * torch.log10(squares / sum(x.numel() for x, _ in pairs))


def _sets():
    for _ in range(2):
        pairs = []
        for error in random.sample([0.02, 0.06, 0.2], 3):
            x = torch.rand(3, random.randint(8, 14), random.choice([6, 15, 40]) + len(pairs))
            pairs.append((x, x + error * torch.randn(x.shape)))
        yield (pairs,)


def _mse(x, x_hat):
    return ((x - x_hat) ** 2).mean()


def _decibels(mse):
    return -10 * torch.log10(mse)


def _pooled_mse(pairs):
    return torch.stack([((x - y) ** 2).sum() for x, y in pairs]).sum() / sum(x.numel() for x, _ in pairs)


rate_2 = Exercise(
    pooled_psnr,
    _sets,
    hint="One sum over all values of all pictures, one number of values, one logarithm. Does a small picture weigh as much as a large one?",
    rule="PSNR is -10 · log10 of the squared errors of all values of all pictures over their number",
    tolerance=(1e-4, 1e-3),
    slips={
        "mean of PSNRs": (
            "this is the mean of the PSNRs: pool the squared errors first, then take one logarithm",
            lambda pairs: sum(_decibels(_mse(*pair)) for pair in pairs) / len(pairs),
        ),
        "weighted mean of PSNRs": (
            "this is a mean of PSNRs, weighted with the sizes; the logarithm comes after the mean, not before",
            lambda pairs: sum(_decibels(_mse(x, y)) * x.numel() for x, y in pairs) / sum(x.numel() for x, _ in pairs),
        ),
        "pictures weigh alike": (
            "this is a mean of the pictures' MSEs: a large picture has more values and weighs more",
            lambda pairs: _decibels(sum(_mse(*pair) for pair in pairs) / len(pairs)),
        ),
        "pixels": (
            "this divides by the number of pixels; each pixel has three values",
            lambda pairs: _decibels(3 * _pooled_mse(pairs)),
        ),
        "sum": (
            "divide the sum of the squares by the number of values",
            lambda pairs: _decibels(sum(((x - y) ** 2).sum() for x, y in pairs)),
        ),
        "peak 255": ("the peak is 1 for pictures in [0, 1], not 255", lambda pairs: _decibels(_pooled_mse(pairs) / 255**2)),
        "root": (
            "the logarithm is of the squared error: 10 · log10, without a square root",
            lambda pairs: _decibels(_pooled_mse(pairs).sqrt()),
        ),
        "natural logarithm": (
            "this takes the natural logarithm; decibels are defined with the decimal one",
            lambda pairs: -10 * torch.log(_pooled_mse(pairs)),
        ),
        "sign": ("the sign is turned: the smaller the error, the larger the PSNR", lambda pairs: -_decibels(_pooled_mse(pairs))),
    },
)


def difference_symbols(x, step):
    """The difference is taken to what the *decoder* has, so each symbol also mends the error of those before. What the
    decoder has is always the nearest multiple of the step; one can also round first and take differences of that."""
    decoded, symbols = 0.0, []
    for value in x.tolist():
        symbols.append(round((value - decoded) / step))
        decoded += step * symbols[-1]
    return torch.tensor(symbols)


def _signals():
    for _ in range(3):
        x = 0.5 + (0.2 * torch.randn(random.randint(80, 160))).cumsum(dim=0)
        yield x.double(), random.uniform(0.3, 0.6)


def _without_drift(symbols, expected, x, step):
    symbols = torch.as_tensor(symbols)
    assert symbols.shape == x.shape, f"one symbol for each of the {len(x)} values; there are {tuple(symbols.shape)}"
    assert torch.equal(symbols.double(), symbols.double().round()), "symbols are whole numbers; the decoder multiplies them by the step"
    worst = float((step * symbols.double().cumsum(dim=0) - x).abs().max())
    assert worst <= 0.501 * step, f"a decoded value is wrong by {worst:.2f}, and half a step is {step / 2:.2f}"


def _open_loop(x, step, rounding=torch.round):
    return rounding(torch.cat([x[:1], x.diff()]) / step)


rate_3 = Exercise(
    difference_symbols,
    _signals,
    hint="The encoder can do all that the decoder does. Which value does the decoder have when the next symbol arrives: the original one?",
    rule="step · (sum of the symbols so far) is never further than half a step from x",
    properties=_without_drift,
    slips={
        "drift": (
            "these are the differences of the originals, rounded: the errors add up. Take the difference to what the decoder has",
            _open_loop,
        ),
        "values": ("these are the symbols of the values; the decoder adds up what it gets", lambda x, step: torch.round(x / step)),
        "decoded": (
            "this is what the decoder will have, in place of the symbols",
            lambda x, step: step * torch.round(x / step),
        ),
        "first one missing": (
            "the first value has no neighbour to its left; its difference is to 0, from where the decoder's sum begins",
            lambda x, step: torch.round(x / step).diff(),
        ),
        "floor": (
            "rounding down is biased by half a step: take the nearest whole number",
            lambda x, step: torch.floor(x / step).diff(prepend=torch.zeros(1, dtype=x.dtype)),
        ),
        "floor and drift": (
            "rounding down is biased, and the biases add up: take the nearest, and the difference to what the decoder has",
            lambda x, step: _open_loop(x, step, torch.floor),
        ),
        "not rounded": (
            "symbols are whole numbers: nothing was rounded",
            lambda x, step: _open_loop(x, step, lambda t: t),
        ),
    },
)


def chosen(rates, distortions):
    """A dearer point j wins over i where the weight is below (D_i - D_j) / (R_j - R_i), a cheaper one where it is above: the
    weights for which i wins lie between the largest of the ones and the smallest of the others."""
    more_rate = rates - rates[:, None]  # of j over i, in row i
    less_error = distortions[:, None] - distortions
    slope = less_error / more_rate
    above = torch.where(more_rate > 0, slope, 0).amax(dim=1)  # the weight has to be above this, and above 0
    below = torch.where(more_rate < 0, slope, torch.inf).amin(dim=1)
    return above.clamp(min=0) < below


def _points():
    """A curve, of which some points are moved up: a little, so that only a line between others is better, or far."""
    for _ in range(4):
        rates = (torch.arange(10) + 0.6 * torch.rand(10)).double() / 4 + 0.2
        curve = 4 * torch.exp2(-1.2 * rates)
        distortions = curve.clone()
        for i, kind in zip(random.sample(range(1, 9), 4), ("dent", "dent", "far", "far")):
            left = curve[i - 1]
            distortions[i] = curve[i] + (0.8 if kind == "dent" else 1.3) * (left - curve[i])
        order = torch.randperm(10)
        yield rates[order], distortions[order]


def _not_dominated(rates, distortions):
    better = (rates[None] <= rates[:, None]) & (distortions[None] <= distortions[:, None])
    return better.sum(dim=1) == 1


def _at_weights(rates, distortions, weights):
    won = torch.zeros(len(rates), dtype=torch.bool)
    for weight in weights:
        won[(distortions + weight * rates).argmin()] = True
    return won


rate_4 = Exercise(
    chosen,
    _points,
    hint="For which weights is point i better than point j, if j costs more bits? And if it costs fewer? All these conditions have to hold "
    "for one weight.",
    rule="true where one weight above 0 makes α · rate + distortion smaller than at every other point",
    slips={
        "not dominated": (
            "these are the points that no other beats in both; a point that lies above the line between two others loses at every weight",
            _not_dominated,
        ),
        "few weights": (
            "a point can win in a narrow range of weights that a few trials step over: reason about all of them",
            lambda r, d: _at_weights(r, d, (0.01, 0.1, 1, 10)),
        ),
        "weight one": ("this is the winner at one weight; other weights have other winners", lambda r, d: _at_weights(r, d, (1,))),
        "ends": ("the cheapest and the best are among them, and what lies between?", lambda r, d: _at_weights(r, d, (1e-9, 1e9))),
        "turned": ("turned round: true for the points that some weight chooses", lambda r, d: ~chosen(r, d)),
        "indices": (
            "these are the indices of the points; return true or false for each point",
            lambda r, d: chosen(r, d).nonzero().flatten(),
        ),
    },
)
