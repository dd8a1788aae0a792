"""Exercises of 08_perceptual_loss."""

import random

import torch

from plic_lib.course.check.exercise import Exercise, slopes

NOTEBOOK = "08_perceptual_loss"


def best_answers(values):
    """Mean and median. With an even number of values `torch.median` returns the lower of the two in the middle; every value
    between them is as good."""
    return values.mean(), values.median()


def _possible_values():
    for count in (2 * random.randint(3, 6) + 1, 2 * random.randint(3, 6)):
        # one outlier, so that mean and median differ
        yield (torch.cat([torch.rand(count - 1), 4 + 4 * torch.rand(1)])[torch.randperm(count)],)


def _are_best(seen, expected, values):
    assert len(seen) == 2, "return a pair: for the squared error, for the absolute error"
    squared, absolute = (float(v) for v in seen)
    least = [((values - expected[0]) ** 2).sum(), (values - expected[1]).abs().sum()]
    assert ((values - squared) ** 2).sum() <= 1.0001 * least[0], (
        f"{squared:.3f} is not best for the squared error: another constant has less"
    )
    assert (values - absolute).abs().sum() <= 1.0001 * least[1], (
        f"{absolute:.3f} is not best for the absolute error: it depends on how many values lie to each side, not on how far"
    )


loss_1 = Exercise(
    best_answers,
    _possible_values,
    properties=_are_best,
    hint="Where is the slope of each error zero? The slope of |v - a| is +1 or -1, whatever the distance.",
    rule="return a pair: the constant of least squared error, then that of least absolute error",
    slips={
        "exchanged": ("the two are swapped: squared error first", lambda v: (v.median(), v.mean())),
        "mean twice": (
            "the mean is not best for the absolute error: it depends on how many values lie to each side, not on how far",
            lambda v: (v.mean(), v.mean()),
        ),
        "median twice": (
            "the median is not best for the squared error: far values count with their distance",
            lambda v: (v.median(), v.median()),
        ),
        "middle of the range": (
            "the middle of smallest and largest is best for the largest error, not for the sum of squares",
            lambda v: ((v.min() + v.max()) / 2, v.median()),
        ),
        "errors": (
            "these are the least errors; return the constants that have them",
            lambda v: (((v - v.mean()) ** 2).sum(), (v - v.median()).abs().sum()),
        ),
    },
)


def total(bits, x, x_hat, lpips, weights):
    """The bits are those of the batch, so they are divided by all its pixels; L1 is on 0 to 255."""
    batch, _, height, width = x.shape
    alpha, lambda_1, lambda_2 = weights
    return alpha * bits / (batch * height * width) + lambda_1 * 255 * (x - x_hat).abs().mean() + lambda_2 * lpips.mean()


def _batches():
    for _ in range(2):
        batch, height, width = random.randint(2, 4), 8 * random.randint(2, 4), 8 * random.randint(5, 7)
        x, x_hat = torch.rand(2, batch, 3, height, width)
        weights = random.uniform(0.5, 4), random.uniform(0.02, 0.05), random.uniform(0.5, 2)
        yield random.uniform(0.5, 2) * batch * height * width, x, x_hat, torch.rand(batch), weights


def _pixels(x):
    return x.shape[0] * x.shape[2] * x.shape[3]


def _objective(pixels=_pixels, scale=255.0, error=lambda d: d.abs().mean(), average=torch.Tensor.mean):
    """The objective, with a choice of what it divides the bits by, of the error and its scale, and of how LPIPS is averaged."""
    return lambda bits, x, y, lpips, w: w[0] * bits / pixels(x) + w[1] * scale * error(x - y) + w[2] * average(lpips)


loss_2 = Exercise(
    total,
    _batches,
    hint="Bring each term to its unit first: bits per pixel of the whole batch, grey levels, one mean distance. Then weigh and add.",
    rule="α · bits per pixel + λ1 · L1 in grey levels + λ2 · mean LPIPS",
    slips={
        "L1 in 0 to 1": ("here L1 is in grey levels, 0 to 255; the pictures are in [0, 1]", _objective(scale=1)),
        "colours counted": ("a pixel has three colour values, but counts once", _objective(lambda x: x.numel())),
        "one picture's pixels": ("the bits are those of the whole batch: so are the pixels", _objective(lambda x: x.shape[2] * x.shape[3])),
        "LPIPS summed": ("average LPIPS over the batch, do not sum it", _objective(average=torch.Tensor.sum)),
        "bits": ("the rate is in bits per pixel", _objective(lambda x: 1)),
        "a loss each": ("the loss is one number: average LPIPS over the batch", _objective(average=lambda lpips: lpips)),
        "squared": ("λ1 weighs the absolute error, not the squared one", _objective(scale=255**2, error=lambda d: d.square().mean())),
        "L1 summed": ("average the absolute error over the values, do not sum it", _objective(error=lambda d: d.abs().sum())),
        "weights turned": (
            "the weights are (α, λ1, λ2): that of the rate comes first",
            lambda bits, x, y, lpips, w: _objective()(bits, x, y, lpips, w[::-1]),
        ),
    },
)


def unit_length(f):
    """With the constant inside the root, the root is never taken of zero, and its slope is finite."""
    return f * torch.rsqrt((f**2).sum(dim=1, keepdim=True) + 1e-10)


def _features():
    f = torch.rand(2, random.randint(3, 6), 3, 4) + 0.1
    f[0, :, 1, 2] = 0
    yield f, torch.rand_like(f)


def _near_and_at_zero(function, f, pull):
    value = function(f.requires_grad_())
    gradient = slopes(value, f, weights=pull)[0]
    zero = ~f.detach().any(dim=1, keepdim=True).expand_as(f)
    here = value.detach()[zero]
    return {
        "value": value.detach()[~zero],
        "gradient": None if gradient is None else gradient[~zero],
        "value at zero": float(here.abs().max()),
        "finite gradient at zero": gradient is not None and bool(gradient[zero].isfinite().all()),
    }


def _squares(f, *axes):
    return (f**2).sum(dim=axes or 1, keepdim=True)


loss_3 = Exercise(
    unit_length,
    _features,
    observe=_near_and_at_zero,
    tolerance=(1e-3, 1e-4),
    hint="The length is a root. What is the slope of a root at zero? Where would a tiny constant have to stand so that the root is never "
    "taken of zero?",
    rule="each vector over the channels, axis 1, divided by its length; a vector of zeros stays zero, and all gradients are finite",
    slips={
        "constant outside": (
            "the gradient at a vector of zeros is not finite: the root is taken of zero, where its slope is infinite, and neither a "
            "constant "
            "outside of it nor a `where` after it changes that",
            lambda f: f / (torch.sqrt(_squares(f)) + 1e-10),
        ),
        "no constant": (
            "a vector of zeros has no direction, and this divides zero by zero; its result has to be finite all the same",
            lambda f: f / torch.sqrt(_squares(f)),
        ),
        "over the cells": (
            "over the channels (axis 1) each vector has to have length 1; this takes the length over the cells",
            lambda f: f * torch.rsqrt(_squares(f, 2, 3) + 1e-10),
        ),
        "over everything": (
            "each vector over the channels has a length of its own; this takes that of the whole tensor",
            lambda f: f * torch.rsqrt(_squares(f, 0, 1, 2, 3) + 1e-10),
        ),
        "length detached": (
            "the value is right, the gradient is not: the length, too, depends on the features",
            lambda f: f * torch.rsqrt(_squares(f.detach()) + 1e-10),
        ),
        "square": ("this divides by the square of the length: the root is missing", lambda f: f / (_squares(f) + 1e-10)),
        "sum": (
            "this divides by the sum of the channels; the length is the root of the sum of their squares",
            lambda f: f / (f.abs().sum(dim=1, keepdim=True) + 1e-10),
        ),
    },
)


def break_even(first, second):
    """Solve $D_0 + αR_0 = D_1 + αR_1$ for α. The order of the points does not matter."""
    return (first[1] - second[1]) / (second[0] - first[0])


def _pairs_of_points():
    for turned in (False, True, False, True):
        rate, alpha = random.uniform(0.05, 0.6), random.choice((random.uniform(0.1, 0.7), random.uniform(1.5, 5)))
        more, end = random.uniform(0.1, 0.5), random.uniform(0.05, 0.3)
        points = (rate, end + alpha * more), (rate + more, end)
        yield points[::-1] if turned else points


loss_4 = Exercise(
    break_even,
    _pairs_of_points,
    hint="Write the cost of both points with the same α and set them equal. Both costs are D + αR.",
    rule="at this α both points cost the same: D + αR",
    slips={
        "sign": ("the sign: more rate brings less distortion, and α is positive", lambda a, b: (b[1] - a[1]) / (b[0] - a[0])),
        "turned over": (
            "this is rate for distortion; α is the distortion that one more bit per pixel has to remove",
            lambda a, b: (a[0] - b[0]) / (b[1] - a[1]),
        ),
        "ratio of one point": ("this looks at the first point only; α follows from the differences of the two", lambda a, b: a[1] / a[0]),
        "rate first": (
            "a point is (rate, distortion), and the α of both sums follows from their differences",
            lambda a, b: (a[0] - b[1]) / (b[0] - a[1]),
        ),
    },
)


def layer_distance(f, g, weights):
    """The weights become (C, 1, 1), so that each meets its channel; channels are summed, cells averaged."""
    f, g = (v * torch.rsqrt((v**2).sum(dim=1, keepdim=True) + 1e-10) for v in (f, g))
    return (weights[:, None, None] * (f - g) ** 2).sum(dim=1).mean(dim=(1, 2))


def _pairs_of_features():
    for _ in range(2):
        channels = random.randint(3, 6)  # as many columns as channels, so that a wrong axis does not raise
        f, g = torch.rand(2, 2, channels, 3, channels) * (1 + 3 * torch.rand(2, 2, 1, 3, channels)) + 0.05
        yield f, g, torch.rand(channels) + 0.1


def _distance(unit=unit_length, weigh=lambda w: w[:, None, None], power=torch.square, collect=lambda d: d.sum(1).mean((1, 2))):
    return lambda f, g, w: collect(weigh(w) * power(unit(f) - unit(g)))


loss_5 = Exercise(
    layer_distance,
    _pairs_of_features,
    hint="Four things in order: unit length over the channels, difference, square and weigh by channel, one number a picture. Which axes "
    "are "
    "summed, which averaged?",
    rule="unit length, difference, square, weigh and sum the channels, average the cells: one of these differs",
    slips={
        "no unit length": ("bring both to unit length over the channels first", _distance(unit=lambda f: f)),
        "channels averaged": ("sum over the channels; the mean is over the cells only", _distance(collect=lambda d: d.mean((1, 2, 3)))),
        "cells summed": (
            "average over the cells, else a larger picture has a larger distance",
            _distance(collect=lambda d: d.sum((1, 2, 3))),
        ),
        "last axis": ("the weights belong to the channels, axis 1; broadcasting took the last axis", _distance(weigh=lambda w: w)),
        "not squared": ("square the differences", _distance(power=torch.abs)),
        "one for all": ("one distance for each picture of the batch", _distance(collect=lambda d: d.sum(1).mean())),
        "weights inside": (
            "the weights multiply the squares; they are not squared themselves",
            _distance(weigh=lambda w: w[:, None, None] ** 2),
        ),
        "unit of the difference": (
            "each of the two has unit length; this scales their difference",
            lambda f, g, w: (w[:, None, None] * unit_length(f - g) ** 2).sum(1).mean((1, 2)),
        ),
    },
)
