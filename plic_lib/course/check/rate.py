"""Exercises of 01_rate_and_distortion."""

import math
import random

import torch

from plic_lib.course.check.exercise import Exercise

NOTEBOOK = "01_rate_and_distortion"


def entropy(p):
    """`xlogy` counts 0 · log 0 as 0; the division turns nats into bits."""
    return -torch.special.xlogy(p, p).sum() / torch.log(torch.tensor(2.0))


def _distributions():
    for zeros in (0, 0, 0, 1, 2):
        weights = torch.cat([torch.rand(random.randint(3, 9)) + 0.05, torch.zeros(zeros)])
        yield ((weights / weights.sum())[torch.randperm(len(weights))],)


rate_1 = Exercise(
    entropy,
    _distributions,
    hint="The entropy is an average: how many bits does each value cost, and how often does it occur? What does a value cost that never "
    "occurs?",
    rule="the entropy is the sum of -p · log2(p), where 0 · log2(0) counts as 0",
    slips={
        "nats": ("this is in nats; bits need a logarithm to the base 2", lambda p: -torch.special.xlogy(p, p).sum()),
        "sign": ("the sign is wrong: log2 of a probability is negative", lambda p: torch.special.xlogy(p, p).sum() / math.log(2)),
        "zeros": ("a value that never occurs has p = 0, and 0 · log2(0) counts as 0, not as NaN", lambda p: -(p * torch.log2(p)).sum()),
        "unweighted": ("this adds the bits of all values; an average weighs each with its probability", lambda p: -torch.log2(p).sum()),
        "mean": (
            "the weights p make it an average already: add, and do not divide by the number of values",
            lambda p: -torch.special.xlogy(p, p).mean() / math.log(2),
        ),
    },
)


def psnr(x, x_hat):
    """One mean over everything, then one logarithm."""
    return -10 * torch.log10(((x - x_hat) ** 2).mean())


def _pictures():
    for _ in range(2):
        x = torch.rand(3, 16, 16)
        yield x, x + torch.randn(3, 16, 16) * torch.tensor([0.02, 0.05, 0.2])[:, None, None]


rate_2 = Exercise(
    psnr,
    _pictures,
    hint="One mean of the squared errors, over everything; the square of the largest possible value over it; ten times its decimal "
    "logarithm.",
    rule="PSNR is 10 · log10 of peak² over the mean squared error",
    tolerance=(1e-4, 1e-3),
    slips={
        "each channel": (
            "average the squared error over all channels first, then take the logarithm once",
            lambda x, y: -10 * torch.log10(((x - y) ** 2).mean(dim=(1, 2))).mean(),
        ),
        "peak 255": (
            "the peak is 1 for pictures in [0, 1], not 255",
            lambda x, y: 20 * math.log10(255) - 10 * torch.log10(((x - y) ** 2).mean()),
        ),
        "root": (
            "the logarithm is of the squared error: 10 · log10, without a square root",
            lambda x, y: -10 * torch.log10(((x - y) ** 2).mean().sqrt()),
        ),
        "natural logarithm": (
            "this takes the natural logarithm; decibels are defined with the decimal one",
            lambda x, y: -10 * torch.log(((x - y) ** 2).mean()),
        ),
        "sign": ("the sign is turned: the smaller the error, the larger the PSNR", lambda x, y: 10 * torch.log10(((x - y) ** 2).mean())),
        "absolute": (
            "this is built on the absolute error; PSNR is built on the mean of the squares",
            lambda x, y: -20 * torch.log10((x - y).abs().mean()),
        ),
    },
)


def quantise(x, step):
    """The symbol is `round(x / step)`; the decoder multiplies."""
    return step * torch.round(x / step)


def _values_and_steps():
    for _ in range(2):
        yield 4 * torch.randn(400), random.uniform(0.3, 0.9)


rate_3 = Exercise(
    quantise,
    _values_and_steps,
    hint="Measured in steps, the nearest multiple is the nearest whole number.",
    rule="every result is a multiple of the step, and no error exceeds half a step",
    slips={
        "symbols": ("these are the symbols; the decoder multiplies them by the step again", lambda x, step: torch.round(x / step)),
        "floor": ("rounding down is biased by half a step: take the nearest multiple", lambda x, step: step * torch.floor(x / step)),
        "ceil": ("rounding up is biased by half a step: take the nearest multiple", lambda x, step: step * torch.ceil(x / step)),
        "truncated": (
            "this rounds towards zero, as conversion to an integer does: errors reach a whole step",
            lambda x, step: step * torch.trunc(x / step),
        ),
        "step forgotten": ("this rounds to whole numbers; the step is not 1", lambda x, step: torch.round(x)),
    },
)


def best(rates, distortions, weight):
    """The smallest sum wins."""
    return (distortions + weight * rates).argmin()


def _points():
    for weight in (1e6, 1e-6, 3.0, 0.3, 0.03):
        rates = torch.sort(torch.rand(12) * 5 + 0.1, descending=True).values
        distortions = 20 * torch.exp2(-2 * rates) * (1 + 0.1 * torch.rand(12))
        order = torch.randperm(12)
        yield rates[order], distortions[order], weight


rate_4 = Exercise(
    best,
    _points,
    hint="Each point has one cost. Which function of a tensor returns the index of its smallest value, not the value?",
    rule="the index of the point for which distortion + weight · rate is smallest",
    slips={
        "weight forgotten": ("the weight is missing: one bit is not worth one unit of distortion", lambda r, d, w: (d + r).argmin()),
        "best picture": ("this takes the best picture, whatever it costs: where does the rate come in?", lambda r, d, w: d.argmin()),
        "cheapest": ("this takes the cheapest point, however bad it looks: where does the distortion come in?", lambda r, d, w: r.argmin()),
        "weight exchanged": ("the weight stands before the wrong term: it is that of the rate", lambda r, d, w: (w * d + r).argmin()),
        "cost": ("this is the smallest cost; return the index of its point", lambda r, d, w: (d + w * r).min()),
        "largest": ("this is the most expensive point", lambda r, d, w: (d + w * r).argmax()),
    },
)
