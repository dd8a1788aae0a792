"""Exercises of 14_mindspore."""

import random
from functools import partial

import torch

from plic_lib.course.check.exercise import Exercise

NOTEBOOK = "14_mindspore"


def moved(strides, offsets):
    """A row of a layer's output is as many rows of the picture as the strides after it multiply to. So each layer adds its own offset to
    what has come before, made larger by its stride."""
    total = 0
    for stride, offset in zip(strides, offsets):
        total = total * stride + offset
    return total


def _generators():
    for _ in range(4):
        layers = random.randint(3, 5)
        offsets = [random.choice((-1, 1, 2)) for _ in range(layers - 2)]
        yield [random.randint(2, 4) for _ in range(layers)], [*random.sample((1, 2, 3), 2), *offsets]


def _backwards(strides, offsets):
    return moved(strides[::-1], offsets[::-1])


def _stride_late(strides, offsets):
    total = 0
    for stride, offset in zip(strides, offsets):
        total = (total + offset) * stride
    return total


port_1 = Exercise(
    moved,
    _generators,
    hint="How many rows of the picture is one row behind the last layer? And one row between the last two layers?",
    rule="each layer adds its offset to what came before, which its stride has made larger",
    slips={
        "sum": ("an early row is many rows of the picture: later strides make it larger", lambda strides, offsets: sum(offsets)),
        "own stride too": (
            "a layer's offset is counted in rows of its output: only the strides after it make that larger",
            _stride_late,
        ),
        "backwards": ("the first layer's row is the one that all later strides make larger", _backwards),
        "last only": ("the offsets of all layers count, not the last one's alone", lambda strides, offsets: offsets[-1]),
    },
)


def faulty(original, ported, x, bar):
    """Every layer gets what the *original's* layer before it has put out. Then a fault stays in its own layer, and the next one is judged
    as if all before it were right. The bar is relative, as float32 is."""
    found = []
    for place, (theirs, ours) in enumerate(zip(original, ported)):
        expected = theirs(x)
        if (ours(x) - expected).abs().max() > bar * expected.abs().max():
            found.append(place)
        x = expected
    return found


def _layer(factor, shift):
    """Outputs of very different sizes, as in a codec: what is small in one layer is nothing in another."""
    return lambda x: factor * torch.tanh(x / x.abs().max()) + shift * factor


def _networks():
    for _ in range(3):
        factors = [10.0 ** random.choice((-3, 3)) for _ in range(6)]
        factors[0], factors[5] = 1e3, 1e-3
        shifts = [random.uniform(-0.5, 0.5) for _ in factors]
        wrong = sorted([random.randint(1, 2), 3, 5])
        original = [_layer(f, s) for f, s in zip(factors, shifts)]
        ported = [
            _layer(f, s + random.choice((-1, 1)) * random.uniform(0.05, 0.2)) if place in wrong else _layer(f * (1 + 1e-6), s)
            for place, (f, s) in enumerate(zip(factors, shifts))
        ]
        yield original, ported, torch.randn(4, 30), 1e-4


def _compared(original, ported, x, bar, chained=False, relative=True, first=False, summed=False):
    """As the solution, with one thing otherwise."""
    found, mine = [], x
    for place, (theirs, ours) in enumerate(zip(original, ported)):
        x, mine = theirs(x), ours(mine if chained else x)
        gap, size = (mine - x).abs().max(), x.abs().max() if relative else 1.0
        if summed:
            gap = (mine - x).sum() * 0
        if gap > bar * size:
            found.append(place)
    return found[:1] if first else found


port_2 = Exercise(
    faulty,
    _networks,
    hint="The third layer gets the output of the second. If the second is wrong, what does a gap behind the third one tell of the third?",
    rule="compare each layer on the original's own input, relative to the largest value of the original's output",
    slips={
        "chained": (
            "right layers behind a wrong one are on the list: give each layer what the original's layer before it has put out",
            partial(_compared, chained=True),
        ),
        "absolute": (
            "the bar is a share of the original's largest value: these layers' outputs differ in size by factors of a thousand",
            partial(_compared, relative=False),
        ),
        "first": ("the search ended at the first one; all that are wrong are wanted", partial(_compared, first=True)),
        "end only": (
            "that judges the whole network by its last output; which layers are wrong?",
            lambda original, ported, x, bar: _compared(original, ported, x, bar, chained=True)[-1:],
        ),
        "none": ("nothing was found, but there are layers that differ by more than the bar", partial(_compared, summed=True)),
    },
)


def kernel_epsilon(epsilon, beta_2, step):
    r"""The kernel's root is $\sqrt{v}$, torch's $\sqrt{v/(1-\beta_2^t)}$, which is larger by $1/\sqrt{1-\beta_2^t}$. The factor in front
    mends that for $\sqrt v$, and in the same stroke makes the kernel's epsilon larger by as much. So give it one that is smaller by it."""
    return epsilon * (1 - beta_2**step) ** 0.5


def _steps():
    for step in (1, 2, random.randint(3, 9), random.randint(50, 900)):
        yield 10 ** random.uniform(-8, -4), random.choice((0.99, 0.999)), step


port_3 = Exercise(
    kernel_epsilon,
    _steps,
    tolerance=(1e-6, 0.0),
    hint="Write both steps as a fraction with m above. Which factor takes one denominator to the other, and what does it do to epsilon?",
    rule="choose the kernel's epsilon so that its whole denominator is a multiple of torch's",
    slips={
        "as it is": ("with the same epsilon the kernel's step is shorter where gradients are small", lambda epsilon, beta_2, step: epsilon),
        "the other way": (
            "the kernel makes its epsilon larger by that factor; it needs a smaller one",
            lambda epsilon, beta_2, step: epsilon / (1 - beta_2**step) ** 0.5,
        ),
        "no root": (
            "the second moment stands under a root, and so does its correction",
            lambda epsilon, beta_2, step: epsilon * (1 - beta_2**step),
        ),
        "first step": (
            "this holds for the first step alone: the correction fades with the steps",
            lambda epsilon, beta_2, step: epsilon * (1 - beta_2) ** 0.5,
        ),
        "from zero": (
            "steps count from 1: at the first one the correction is 1 - beta_2, not 0",
            lambda epsilon, beta_2, step: epsilon * (1 - beta_2 ** (step - 1)) ** 0.5,
        ),
    },
)


def flips(ours, theirs):
    """A tie lies at every half, so a number meets one between two values with a probability that is their distance. Expectations of rare
    events add up, whether the latents depend on each other or not."""
    return float((64 * (ours.double() - theirs.double())).abs().sum())


def _means():
    for _ in range(2):
        means = torch.randn(random.randint(2000, 4000)).double() * 3
        yield means + 1e-5 * torch.randn(len(means)).double(), means


port_4 = Exercise(
    flips,
    _means,
    tolerance=(1e-4, 0.0),
    hint="Numbers u and v are rounded to integers, and lie 0.001 apart somewhere on the line. How often does a half lie between them?",
    rule="a mean flips where a tie lies between its two values: with a probability of their distance in steps of 1/64; then add up",
    slips={
        "not in steps": (
            "the grid has steps of 1/64: a distance of d crosses a tie with probability 64 d",
            lambda ours, theirs: float((ours - theirs).abs().sum()),
        ),
        "signs": ("distances, not differences: these cancel each other", lambda ours, theirs: float(64 * (ours - theirs).sum())),
        "mean": (
            "this is the probability for one latent; how many are there?",
            lambda ours, theirs: float(64 * (ours - theirs).abs().mean()),
        ),
        "largest": (
            "this is the largest probability of a single latent; all of them count",
            lambda ours, theirs: float(64 * (ours - theirs).abs().max()),
        ),
        "counted": (
            "these are the flips that happened in this one picture; what is wanted is how many are to be expected",
            lambda ours, theirs: float((torch.round(64 * ours) != torch.round(64 * theirs)).sum()),
        ),
        "both sides": (
            "one tie lies in each step, so that the distance itself is the probability, not twice it",
            lambda ours, theirs: float(128 * (ours - theirs).abs().sum()),
        ),
    },
)
