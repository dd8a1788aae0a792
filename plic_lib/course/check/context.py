"""Exercises of 05_context_and_gather."""

import random
from functools import partial

import torch
import torch.nn.functional as F

from plic_lib.course.check.exercise import Exercise

NOTEBOOK = "05_context_and_gather"


def step_of(i, j, k):
    """The tap that decides lies one row up and k // 2 to the right. It must have a smaller step, so the factor is k // 2 + 1."""
    return j + (k // 2 + 1) * i


def _cells():
    yield 0, 0, 5
    for k in (5, 3, 7, 9):
        yield random.randint(k, 20), random.randint(21, 30), k


context_1 = Exercise(
    step_of,
    _cells,
    hint="All visible cells have to lie in earlier steps. Which of them is the last to be decoded?",
    rule="the factor of i is the smallest for which every visible cell has a smaller step, and the first cell has step 0",
    slips={
        "too early": (
            "a cell would be decoded in the same step as the visible cell one row up and k // 2 to the right",
            lambda i, j, k: j + (k // 2) * i,
        ),
        "too late": ("legal, but slower than necessary; which visible cell forces the factor?", lambda i, j, k: j + k * i),
        "always 3": ("3 is the factor of the 5 × 5 window; a larger window needs more, a smaller one less", lambda i, j, k: j + 3 * i),
        "from 1": ("the first cell, (0, 0), is step 0", lambda i, j, k: 1 + j + (k // 2 + 1) * i),
        "exchanged": ("rows and columns are exchanged: the codec goes row by row", lambda i, j, k: i + (k // 2 + 1) * j),
        "sum": ("cells with equal i + j see each other: one lies up and to the right of the other", lambda i, j, k: i + j),
    },
)


def number_of_steps(height, width):
    """The last row starts 3 (height − 1) steps after the first and takes width steps. With one or two columns a row is
    finished before the next may begin, and each row adds only width steps."""
    return min(width, 3) * (height - 1) + width


def _grids():
    sizes = [(32, 48), (1, 9), (9, 3)] + [(random.randint(2, 60), random.randint(4, 60)) for _ in range(4)]
    return sizes + [(random.randint(3, 30), 1), (random.randint(3, 30), 2)]


context_2 = Exercise(
    number_of_steps,
    _grids,
    hint="When does the last cell of the last row come? Then take a grid of one column: which numbers belong to no cell?",
    rule="count the different values of j + 3 i on the grid",
    slips={
        "a step a cell": ("that is one step a cell; cells with equal j + 3 i share one", lambda h, w: h * w),
        "a row too many": ("the last row is number height - 1, so there is one row too many", lambda h, w: w + 3 * h),
        "from 0": ("steps count from 0, so there is one more than the largest number", lambda h, w: w - 1 + 3 * (h - 1)),
        "empty steps": (
            "with fewer than three columns some numbers belong to no cell, and these empty steps do not count",
            lambda h, w: w + 3 * (h - 1),
        ),
        "exchanged": ("height and width are exchanged: a row further down costs three steps", lambda h, w: min(h, 3) * (w - 1) + h),
    },
)


def exact_dot(weights, activations, bits):
    """Integers, exact in float64 as long as all sums stay below 2⁵³; one division by a power of two at the end, which is
    exact too."""
    w = torch.round(weights.double() * 2**bits)
    a = torch.round(activations.double() * 2**bits)
    return (w * a).sum() / 4**bits


def _pairs_of_vectors():
    for bits in (12, 8, 3):
        yield torch.randn(2000), torch.randn(2000), bits, [torch.randperm(2000) for _ in range(6)]


def _as_it_is(number):
    """A tensor; Python's floats are float64 already, and would become float32."""
    return torch.as_tensor(number, dtype=torch.float64 if isinstance(number, float) else None)


def _in_any_order(function, weights, activations, bits, orders):
    value, *others = (_as_it_is(function(weights[order], activations[order], bits)) for order in [slice(None), *orders])
    return {
        "the same in any order": all(torch.equal(value, other) for other in others),
        "a float64": value.dtype == torch.float64,
        "the value": float(value),
    }


def _is_exact(seen, expected, weights, activations, bits, orders):
    assert seen["the same in any order"], "another order of the elements gives another last bit: add whole numbers, in float64 or int64"
    assert seen["a float64"], "return a float64: float32 cannot hold the sum exactly"
    assert seen["the value"] == expected["the value"], (
        f"exact, but not the wanted number: {seen['the value']:.6f} instead of {expected['the value']:.6f}; "
        f"round each factor to the nearest multiple of 2^-{bits} before multiplying"
    )


def _dot(w, a, bits, rounding=torch.round, scale=4, dtype=torch.float64):
    return (rounding(w.to(dtype) * 2**bits) * rounding(a.to(dtype) * 2**bits)).sum() / scale**bits


context_3 = Exercise(
    exact_dot,
    _pairs_of_vectors,
    observe=_in_any_order,
    properties=_is_exact,
    tolerance=(1e-5, 1e-3),
    hint="Sums of whole numbers do not depend on the order, as long as the type holds them. How does a multiple of 2^-bits become a whole "
    "number?",
    rule="round each factor to multiples of 2^-bits, and add whole numbers that the type can hold",
    slips={
        "float32": (
            "this adds float32 numbers as they are: another order gives another last bit; add whole numbers, in float64 or int64",
            lambda w, a, b: (w * a).sum(),
        ),
        "float64": (
            "float64 is more precise, but its sums depend on the order, too, unless the factors are rounded first",
            lambda w, a, b: (w.double() * a.double()).sum(),
        ),
        "rounded in float32": (
            "the factors are whole numbers, but their sum exceeds what float32 holds exactly: go to float64 before adding",
            partial(_dot, dtype=torch.float32),
        ),
        "scale forgotten": ("the scale is missing: each of the factors was multiplied by 2^bits", partial(_dot, scale=1)),
        "scale once": ("both factors were multiplied by 2^bits, so their product by 4^bits", partial(_dot, scale=2)),
        "product rounded": (
            "this rounds the products; round each factor to the nearest multiple of 2^-bits before multiplying",
            lambda w, a, b: torch.round(w.double() * a.double() * 2**b).sum() / 2**b,
        ),
        "rounded down": ("this rounds down; round to the nearest multiple", lambda w, a, b: _dot(w, a, b, torch.floor)),
    },
)


def most_inputs(weight_bits, activation_bits):
    """No sum of n products is larger than n times the largest product, and none of its partial sums either, in any order. Below
    2⁵² means at most 2⁵² - 1."""
    largest = (2 ** (weight_bits - 1) - 1) * (2 ** (activation_bits - 1) - 1)
    return (2**52 - 1) // largest


def _bits():
    for low, high in ((4, 8), (6, 10), (8, 12), (10, 14), (12, 16)):
        yield random.randint(low, high), random.randint(low, high)


def _inputs(limit, first, second=None):
    """Answers with another limit, or another largest factor."""
    return lambda weight_bits, activation_bits: (limit - 1) // (first(weight_bits) * (second or first)(activation_bits))


_signed = lambda bits: 2 ** (bits - 1) - 1

context_4 = Exercise(
    most_inputs,
    _bits,
    hint="Which weights and activations make the sum as large as possible? How large is one product then, and how many of them fit?",
    rule="the largest n for which n times the largest product is below 2^52",
    slips={
        "2^53": ("the limit asked for is 2^52, as halves have to be exact too", _inputs(2**53, _signed)),
        "float32": ("2^24 is where float32 stops to hold every integer; the sums are in float64", _inputs(2**24, _signed)),
        "sign forgotten": ("one of the bits is the sign: the largest value is 2^(bits - 1) - 1", _inputs(2**52, lambda bits: 2**bits - 1)),
        "powers of two": (
            "the largest value is 2^(bits - 1) - 1, one less than a power of two: a few more inputs fit",
            _inputs(2**52 + 1, lambda bits: 2 ** (bits - 1)),
        ),
        "one factor": ("a term is a product: the activation counts as well as the weight", _inputs(2**52, _signed, lambda bits: 1)),
        "one too many": ("with so many inputs the sum can reach 2^52", lambda w, a: (2**52 - 1) // (_signed(w) * _signed(a)) + 1),
    },
)


def is_causal(layer, channels, height, width):
    """Change one cell in all channels at once, and look at all outputs up to and including that cell. A random change in
    every channel cannot cancel by accident. In float arithmetic an unchanged output may still differ in its last bit, so the
    comparison has a tolerance."""
    x = torch.randn(1, channels, height, width)
    before = layer(x)
    for cell in range(height * width):
        changed = x.clone()
        changed[0, :, cell // width, cell % width] += torch.randn(channels)
        moved = (layer(changed) - before).abs().amax(dim=1).flatten()
        if moved[: cell + 1].max() > 1e-5:
            return False
    return True


def _layer(channels: int, k: int, leak: tuple[int, int] | None = None, leaking_channel: int | None = None):
    """A masked convolution with a nonlinearity, with one further tap for all channels or for one."""
    weight = torch.randn(5, channels, k, k)
    weight.flatten(2)[..., k * k // 2 :] = 0
    if leak:
        which = slice(None) if leaking_channel is None else slice(leaking_channel, leaking_channel + 1)
        weight[:, which, k // 2 + leak[0], k // 2 + leak[1]] = 1 + torch.rand(weight[:, which, 0, 0].shape)
    bias = torch.randn(5)
    return lambda x: F.leaky_relu(F.conv2d(x, weight.to(x), bias.to(x), padding=k // 2), 0.1)


def _layers():
    channels, height, width = 3, random.randint(4, 5), random.randint(4, 5)
    same, own = _layer(channels, 5), _layer(channels, 5, (0, 0))

    def in_row(row):
        here = (torch.arange(height) == row)[:, None].float()
        return lambda x: same(x) + here.to(x) * own(x)

    layers = [(_layer(channels, k), f"a masked convolution of type A, {k} × {k}, is causal") for k in (3, 5, 7)] + [
        (own, "a mask of type B shows each cell itself; that is not causal"),
        (_layer(channels, 5, (0, 1)), "this layer sees the cell to the right, which is later"),
        (_layer(channels, 5, (1, -2)), "this layer sees a cell of the row below, which is later, although it lies to the left"),
        (in_row(0), "this layer leaks in its first row only: look at every cell"),
        (in_row(height - 1), "this layer leaks in its last row only: look at every cell"),
    ]
    channel = f"one channel of {channels} leaks and the others do not: look at all of them"
    layers += [(_layer(channels, 5, (0, 0), leaking), channel) for leaking in range(channels)]
    return [(layer, channels, height, width, kind) for layer, kind in layers]


def _answer_and_probes(function, layer, channels, height, width, kind):
    """The answer, and whether the layer was given a NaN on the way."""
    poisoned = []

    def watched(x):
        poisoned.append(bool(x.isnan().any()))
        return layer(x)

    return {"causal": bool(function(watched, channels, height, width)), "NaN": any(poisoned)}


def _is_right(seen, expected, layer, channels, height, width, kind):
    assert seen["causal"] == expected["causal"], kind


def _tested(layer, channels, height, width, cells=slice(None), which=slice(None), own=True, probe=1.0):
    """A test, for all cells in one batch, that looks at some cells, at some channels, at its own cell or not."""
    places = torch.arange(height * width)
    x, change = torch.randn(1, channels, height * width), torch.zeros(height * width, channels, height * width)
    change[places, which, places] = probe
    before, after = (layer(v.unflatten(-1, (height, width))).flatten(2) for v in (x, x + change))
    moved = ~((after - before).abs() < 1e-5).all(dim=1)
    too_early = places < places[:, None] + own
    return not (moved & too_early)[cells].any()


context_5 = Exercise(
    is_causal,
    _layers,
    observe=_answer_and_probes,
    properties=_is_right,
    hint="Change the input at one cell and compare the outputs. At which cells must they be the same as before? Do it for every cell, "
    "and in every channel.",
    rule="True if and only if no output depends on its own cell or on a later one, in any channel",
    slips={
        "always true": ("this calls every layer causal, also those that leak", lambda f, c, h, w: True),
        "always false": ("this calls no layer causal, though a masked convolution of type A is", lambda f, c, h, w: False),
        "own cell": (
            "a mask of type B shows each cell itself; that is not causal, so the output at the changed cell must not move either",
            partial(_tested, own=False),
        ),
        "one channel": ("some layers leak through one channel only: change all of them", partial(_tested, which=slice(1))),
        "one cell": (
            "some layers leak in their first or in their last row only: try every cell",
            lambda f, c, h, w: _tested(f, c, h, w, cells=h // 2 * w + w // 2),
        ),
        "NaN probe": (
            "a NaN times a weight of zero is NaN, so a masked convolution seems to leak: change the cell by a finite number",
            partial(_tested, probe=torch.nan),
        ),
    },
)
