"""Exercises of 04_hyperprior."""

import math
import random

import torch

from plic_lib.course.check.exercise import Exercise, slopes

NOTEBOOK = "04_hyperprior"


def gaussian_price(k, scale):
    """The mass of the unit bin, from the tail of the bell, where erfc is precise."""
    near, far = (k.abs() - 0.5) / scale, (k.abs() + 0.5) / scale
    return -torch.log2((torch.erfc(near / 2**0.5) - torch.erfc(far / 2**0.5)) / 2)


def _symbols():
    for low, high in ((0.6, 0.75), (1.5, 2.5)):
        scale = random.uniform(low, high)
        far = round(7.5 * scale)  # where a float32 distribution function is 1
        yield torch.tensor([0.0, 1.0, -1.0, 2.0, -2.0, far, -far])[torch.randperm(7)], scale


def _price(k, scale):
    near, far = (k.double().abs() - 0.5) / scale, (k.double().abs() + 0.5) / scale
    return 1 - torch.log2(torch.erfc(near / 2**0.5) - torch.erfc(far / 2**0.5))


def _by_difference(k, scale, low=-0.5, high=0.5):
    bell = torch.distributions.Normal(0.0, scale)
    return -torch.log2(bell.cdf(k + high) - bell.cdf(k + low))


hyper_1 = Exercise(
    gaussian_price,
    _symbols,
    tolerance=(1e-3, 1e-3),
    hint="A symbol stands for the values that round to it: which share of the bell is that? Far out, compute it from the tail; "
    "the bell is symmetric, so |k| will do.",
    rule="the price is -log2 of the mass of the bin from k - 1/2 to k + 1/2",
    slips={
        "probability": ("this is the probability; the price is -log2 of it", lambda k, scale: torch.exp2(-_price(k, scale))),
        "nats": ("this is in nats; bits need a logarithm to the base 2", lambda k, scale: _price(k, scale) * math.log(2)),
        "density": (
            "this is the density at k; a symbol has the mass of the bin from k - 1/2 to k + 1/2",
            lambda k, scale: -torch.distributions.Normal(0.0, scale).log_prob(k) / math.log(2),
        ),
        "variance": ("scale is the standard deviation, not the variance", lambda k, scale: _price(k, math.sqrt(scale))),
        "sum": ("one price a symbol is asked for; this is the sum", lambda k, scale: _price(k, scale).sum()),
        "far": (
            "far to the right this subtracts 1 from 1 and the price is infinite: subtract small tails, erfc at |k| - 1/2 and |k| + 1/2",
            _by_difference,
        ),
        "bin shifted": ("the bin reaches half a step to either side of k", lambda k, scale: _by_difference(k, scale, 0, 1)),
    },
)


def best_scale(values):
    r"""Setting the derivative of $\log\sigma + v^2 / 2\sigma^2$, summed over the values, to zero gives $\sigma^2 = $ mean of
    $v^2$. The Gaussian has mean 0, so nothing is subtracted."""
    return values.square().mean().sqrt()


def _large_values():
    for side in (-1, 1):
        spread = random.uniform(5, 9)
        yield (spread * torch.randn(400) + side * random.uniform(1.4, 1.8) * spread,)


hyper_2 = Exercise(
    best_scale,
    _large_values,
    tolerance=(0.02, 0),
    hint="Write the price of one value with the density in place of the bin, add over all values, and ask where the slope over σ is zero.",
    rule="the price, summed over the values, is lowest where σ² is the mean of v²",
    slips={
        "square": ("this is the mean square; the scale is its root", lambda v: v.square().mean()),
        "spread": ("this is the spread around the average, but the mean of the Gaussian is 0", lambda v: v.std()),
        "Laplace": ("mean magnitude is the best scale of a Laplacian; a Gaussian weighs squares", lambda v: v.abs().mean()),
        "average": ("this is the average of the values, not how far they lie from 0", lambda v: v.mean()),
    },
)


def extra_bits(true, assumed):
    """The probabilities of the true scale weigh the difference of the prices. The sum runs over the integers that can occur
    at all; beyond, both factors leave the range of floating point."""

    def price(scale):
        near, far = (k - 0.5) / scale, (k + 0.5) / scale
        return -torch.log2((torch.erfc(near / 2**0.5) - torch.erfc(far / 2**0.5)) / 2)

    k = torch.arange(0, int(8 * true) + 2, dtype=torch.float64)
    own = price(true)
    times = torch.where(k == 0, 1.0, 2.0)  # k and -k
    return (times * torch.exp2(-own) * (price(assumed) - own)).sum()


def _pairs_of_scales():
    for true in (0.4, 0.5, 0.6, 0.7, random.uniform(1, 1.5)):
        yield true, true * random.choice([random.uniform(0.6, 0.75), random.uniform(1.5, 2.2)])
    yield (random.uniform(0.5, 3),) * 2


def _everywhere(true, assumed):
    k = torch.arange(-100.0, 101.0, dtype=torch.float64)
    own, other = _price(k, true), _price(k, assumed)
    return (torch.exp2(-own) * (other - own)).sum()


def _densities(true, assumed):
    return ((true / assumed) ** 2 - 1) / 2 / math.log(2) - math.log2(true / assumed)


def _magnitudes(true, assumed):
    k = torch.arange(0.0, int(8 * true) + 2)
    return (torch.exp2(-_price(k, true)) * (_price(k, assumed) - _price(k, true))).sum()


hyper_3 = Exercise(
    extra_bits,
    _pairs_of_scales,
    tolerance=(0.01, 1e-3),
    hint="A symbol occurs with the probability of one scale and is paid at the price of the other. What would it cost under its own? "
    "Sum over the integers that do occur.",
    rule="the sum over the integers of p_true(k) · (price_assumed(k) - price_true(k))",
    slips={
        "sign": (
            "the sign is wrong: extra is the price under assumed less the price under true",
            lambda true, assumed: -extra_bits(true, assumed),
        ),
        "nats": ("this is in nats; bits need a logarithm to the base 2", lambda true, assumed: extra_bits(true, assumed) * math.log(2)),
        "densities": ("this compares the densities; symbols are integers, so sum over their bins", _densities),
        "exchanged": (
            "the two scales are swapped: the symbols follow true, so weigh with its probabilities",
            lambda true, assumed: extra_bits(assumed, true),
        ),
        "not finite": ("not finite: leave out symbols so far away that their probability is zero", _everywhere),
        "one side": ("this sums over k from 0 upwards; the symbols below zero cost as much", _magnitudes),
    },
)


def lower_bound(x, bound):
    """Forward the maximum; backward the arriving gradient, where x is inside or where descent would raise it."""

    class Bounded(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.clamp(min=bound)

        @staticmethod
        def backward(ctx, *gradients):
            (x,), (gradient,) = ctx.saved_tensors, gradients
            return gradient * ((x >= bound) | (gradient < 0))

    return Bounded.apply(x)


def _bounds():
    bound = random.randint(-8, 8) / 8
    x = bound + torch.tensor([-2.0, -0.5, -1.0, -0.3, 0.4, 1.5, 0.7, 2.0, 0.0, 0.0]) * random.uniform(0.5, 1.5)
    yield x, bound, torch.tensor([1.0, -1.0] * 5) * (torch.rand(10) + 0.5)


def _value_and_gradient(function, x, bound, arriving):
    value = function(x.requires_grad_(), bound)
    return {"value": value, "gradient": slopes(value, x, weights=arriving)[0]}


def _bounded(passes):
    """A lower bound of which the gradient passes where ``passes(x, bound, gradient)``."""

    class Bounded(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, bound):
            ctx.save_for_backward(x)
            ctx.bound = bound
            return x.clamp(min=bound)

        @staticmethod
        def backward(ctx, *gradients):
            return gradients[0] * passes(ctx.saved_tensors[0], ctx.bound, gradients[0]), None

    return Bounded.apply


hyper_4 = Exercise(
    lower_bound,
    _bounds,
    observe=_value_and_gradient,
    hint="Descent goes against the gradient. Which sign moves a value below the bound up? Forward and backward are two methods of a "
    "`torch.autograd.Function`.",
    rule="forward the larger of x and the bound; backward the arriving gradient where x is at or above the bound or the gradient "
    "negative, else zero",
    slips={
        "clamp": (
            "a value below the bound is stuck: a negative gradient, which raises it, has to pass",
            lambda x, bound: x.clamp(min=bound),
        ),
        "everything passes": (
            "below the bound a positive gradient would push further out and has to be stopped",
            lambda x, bound: x + (x.clamp(min=bound) - x).detach(),
        ),
        "sign": (
            "the sign is the wrong way round: descent goes against the gradient, so a negative one raises x",
            _bounded(lambda x, bound, gradient: (x >= bound) | (gradient > 0)),
        ),
        "negative only": (
            "at or above the bound the gradient passes, whatever its sign",
            _bounded(lambda x, bound, gradient: gradient < 0),
        ),
        "upper bound": ("this is the smaller of x and the bound", lambda x, bound: x.clamp(max=bound)),
        "cut off": (
            "the result has lost its connection to x, so there is no gradient at all",
            lambda x, bound: x.detach().clamp(min=bound),
        ),
        "at the bound": (
            "a value at the bound counts as inside: its gradient passes",
            _bounded(lambda x, bound, gradient: (x > bound) | (gradient < 0)),
        ),
    },
)
