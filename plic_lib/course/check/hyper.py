"""Exercises of 04_hyperprior."""

import math
import random
from functools import partial

import torch

from plic_lib.course.check.exercise import Exercise, slopes

NOTEBOOK = "04_hyperprior"


def break_even(true, assumed, message_bits):
    """A symbol comes with the probability of the true scale. The message saves the difference of its two prices, on average so
    many bits a symbol, and it pays as soon as all symbols together save more than it costs.

    Where the assumed scale is far too small, it prices symbols at hundreds of bits. A floor would cap just these, and a
    difference of two Φ would make them infinite. So the price is put together from logarithms of Φ:
    log(A - B) = log A + log(1 - B / A)."""

    def price(scale):
        near, far = (torch.special.log_ndtr((edge - q) / scale) for edge in (0.5, -0.5))
        return -(near + torch.log(-torch.expm1(far - near))) / torch.log(torch.tensor(2.0))

    q = torch.arange(0, 60, dtype=torch.float64)
    times = torch.where(q == 0, 1, 2)  # q and -q
    own = price(true)
    saved = (times * torch.exp2(-own) * (price(assumed) - own)).sum()
    return int(torch.ceil(message_bits / saved))


def _price(q, scale):
    near, far = (torch.special.log_ndtr((edge - q.double().abs()) / scale) for edge in (0.5, -0.5))
    return -(near + torch.log(-torch.expm1(far - near))) / math.log(2)


def _by_difference(q, scale):
    near, far = (q.abs() - 0.5) / scale, (q.abs() + 0.5) / scale
    return 1 - torch.log2(torch.erfc(near / 2**0.5) - torch.erfc(far / 2**0.5))


def _with_a_floor(q, scale):
    return _by_difference(q, scale).clamp(max=120)


def _saved(true, assumed, first=-60, last=60, price=_price):
    """Bits a symbol that the true scale saves."""
    q = torch.arange(first, last + 1, dtype=torch.float64)
    own = price(q, true)
    return float((torch.exp2(-own) * (price(q, assumed) - own)).sum())


def _needed(saved):
    """The answer of one who finds that a symbol saves so much."""
    return lambda true, assumed, bits: math.ceil(bits / saved(true, assumed))


def _blocks():
    pairs = [(4.0, 0.2)]  # where a floor or an underflow changes the answer
    for low in (0.3, 0.5, 0.8, 1.2):
        true = random.uniform(low, 1.3 * low)
        pairs.append((true, true * random.choice([random.uniform(0.5, 0.7), random.uniform(1.6, 2.4)])))
    for true, assumed in pairs:
        yield true, assumed, (random.randint(40, 300) - 0.5) * _saved(true, assumed)


hyper_1 = Exercise(
    break_even,
    _blocks,
    hint="How many bits does one symbol lose, on average, while the decoder assumes the wrong scale? Section 2 has the sum. Then ask "
    "whether `gaussian_bits`, with its floor, will do for a true scale of 4 and an assumed one of 0.2.",
    rule="the smallest whole number n for which n times the extra bits a symbol, summed over the integers, exceed the message",
    slips={
        "floor": ("a floor caps the prices of far symbols, which are hundreds of bits here", _needed(partial(_saved, price=_with_a_floor))),
        "no number": (
            "0 · ∞ is no number: where both values of Φ underflow the price is infinite; work with the logarithm of Φ",
            _needed(partial(_saved, price=_by_difference)),
        ),
        "exchanged": (
            "the two scales are swapped: the symbols follow `true`, so weigh with its probabilities",
            _needed(lambda true, assumed: _saved(assumed, true)),
        ),
        "nats": ("this is in nats; bits need a logarithm to the base 2", _needed(lambda *scales: _saved(*scales) * math.log(2))),
        "densities": (
            "this compares the densities; symbols are integers, so sum over their bins",
            _needed(lambda true, assumed: ((true / assumed) ** 2 - 1) / 2 / math.log(2) - math.log2(true / assumed)),
        ),
        "one side": ("this sums over q from 0 upwards; the symbols below zero cost as much", _needed(partial(_saved, first=0))),
        "one too few": (
            "with so many symbols the message still costs more than it saves: round up",
            lambda true, assumed, bits: int(bits / _saved(true, assumed)),
        ),
        "one symbol": (
            "these are the bits that one symbol saves; how many symbols pay for the message?",
            lambda true, assumed, bits: _saved(true, assumed),
        ),
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


def breaking_symbol(scale):
    """Below 1 the numbers of float32 lie 2⁻²⁴ apart, so Φ is rounded to 1 where less than 2⁻²⁵ is missing, about 5.4 scales
    out: there both edges of a bin give 1. The true price is only some thirty bits, as the mass there is some 2⁻³⁰, which
    float32 can hold with ease; the 1 beside it hides it. On the left, where Φ is small, nothing is hidden."""
    return int(5.5 * scale) + 2


def _scales():
    for low, high in ((1, 2), (2, 4), (4, 8)):
        yield (random.uniform(low, high),)


def _two_prices(function, scale):
    symbol = float(function(scale))
    upper, lower = (torch.special.ndtr(torch.tensor((symbol + edge) / scale)) for edge in (0.5, -0.5))
    price = float(_price(torch.tensor(symbol), scale))
    return {"symbol": symbol, "broken": bool(upper == lower), "price": price}


def _breaks(seen, expected, scale):
    symbol, price = seen["symbol"], seen["price"]
    assert symbol == int(symbol), f"a symbol is a whole number, and this is {symbol:g}"
    assert seen["broken"], f"for the scale {scale:.2f} the difference at {symbol:g} is not zero: the naive price is finite"
    assert price < 40, (
        f"for the scale {scale:.2f} the symbol {symbol:g} costs {price:.0f} bits in truth: there is a cheaper one that breaks"
    )


hyper_3 = Exercise(
    breaking_symbol,
    _scales,
    observe=_two_prices,
    properties=_breaks,
    hint="Numbers of float32 just below 1 lie 2⁻²⁴ ≈ 6 · 10⁻⁸ apart. How many scales from the middle is less than half of that missing? "
    "And on which side?",
    rule="a whole number for which float32 makes the difference zero and whose true price is below 40 bits",
    slips={
        "not far enough": (
            "at four scales Φ is still well below 1 and the difference is a number: go further out",
            lambda scale: math.ceil(4 * scale),
        ),
        "left": (
            "on the left Φ is small, and float32 has small numbers in plenty: nothing breaks there until far out",
            lambda scale: -math.ceil(3 * scale + 0.5),
        ),
        "float64": (
            "that is where float64 gives up, and the true price is above 40 bits; float32 does so much earlier",
            lambda scale: math.ceil(8.5 * scale + 0.5),
        ),
        "no symbol": ("a symbol is a whole number", lambda scale: 5.5 * scale + 0.5),
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


def paddings(kernel, stride):
    """n values make (n - 1) · stride + kernel, and stride · n are wanted: kernel - stride too many. Padding takes away two at a
    time, one at each end, and output_padding gives one back where that number is odd."""
    too_many = kernel - stride
    return (too_many + 1) // 2, too_many % 2


def _kernels():
    pairs = [(kernel, stride) for stride in (2, 3, 4) for kernel in range(stride, stride + 7)]
    random.shuffle(pairs)
    return pairs


hyper_5 = Exercise(
    paddings,
    _kernels,
    hint="Count how long the output is before anything is cut off, as for the stamps of section 4. How many values are too many, and how "
    "many does one unit of padding take away?",
    rule="kernel - stride = 2 · padding - output_padding, with the smallest output_padding",
    slips={
        "as for a convolution": (
            "this works for odd kernels, though output_padding is not always the smallest; even kernels give one value too few",
            lambda kernel, stride: (kernel // 2, stride - 1),
        ),
        "rounded down": (
            "where kernel - stride is odd, the output has one value too many: pad more, and give one back",
            lambda kernel, stride: ((kernel - stride) // 2, 0),
        ),
        "not rounded up": (
            "output_padding adds a value; where one is too many, padding has to take away two first",
            lambda kernel, stride: ((kernel - stride) // 2, (kernel - stride) % 2),
        ),
        "swapped": ("first padding, then output_padding", lambda kernel, stride: ((kernel - stride) % 2, (kernel - stride + 1) // 2)),
        "one end": ("padding takes away a value at each end, so two", lambda kernel, stride: (kernel - stride, 0)),
    },
)
