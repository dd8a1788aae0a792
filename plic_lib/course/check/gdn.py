"""Exercises of 02_gdn_autoencoder."""

import math
import random
from functools import partial

import torch

from plic_lib.course.check.exercise import Exercise, slopes

NOTEBOOK = "02_gdn_autoencoder"


def far_out(r, beta, gamma):
    r"""With $t\,r$ for $r$ the activity is $\beta_i + t^2 \sum_j \gamma_{ij} r_j^2$. For large $t$ it outgrows $\beta_i$, its root grows
    like $t$, and the $t$ of the numerator cancels. What is left knows the *pattern* of the responses and nothing of their strength."""
    return r / torch.sqrt(gamma @ r**2)


def _parameters(channels: int):
    """β and γ of a GDN, γ not symmetric."""
    return torch.rand(channels) + 0.5, (torch.rand(channels, channels) + 0.05) / channels


def _patterns():
    for _ in range(3):
        channels = random.randint(3, 6)
        yield torch.randn(channels), *_parameters(channels)


gdn_1 = Exercise(
    far_out,
    _patterns,
    hint="Write t·r for r in the definition of GDN. Which of the two terms under the root can be forgotten when t is a million, and what "
    "happens to t?",
    rule="the limit of r_i t / sqrt(β_i + t² Σ_j γ_ij r_j²) as t grows",
    slips={
        "once": ("this is GDN of r itself, at t = 1; with t without end, β counts for nothing", lambda r, b, g: r / (b + g @ r**2).sqrt()),
        "each alone": (
            "this is the bound, which a response reaches where all others are silent; here they speak as well",
            lambda r, b, g: r.sign() / g.diagonal().sqrt(),
        ),
        "length one": ("this is r at length 1: right where all of γ is 1 only", lambda r, b, g: r / r.norm()),
        "transposed": (
            "row i of gamma belongs to output i: you have summed over its columns (transposed)",
            lambda r, b, g: r / (r**2 @ g).sqrt(),
        ),
        "no root": ("the square root of the activity is missing: without it the limit would depend on t", lambda r, b, g: r / (g @ r**2)),
        "sign": ("the magnitudes are right; GDN keeps the signs", lambda r, b, g: r.abs() / (g @ r**2).sqrt()),
        "nothing": ("β alone does not hold against t: look at the other term under the root", lambda r, b, g: r / b.sqrt()),
    },
)


def coarse(y, step):
    r"""Only the rounding hides: `y / step` and the product with `step` are differentiated as they stand. The step's gradient is
    then $\mathrm{round}(y/\Delta) - y/\Delta$, the error in steps. A gain $m$ (notebook 07) is a step $1/m$, and learns in this way."""
    scaled = y / step
    return step * (scaled + (torch.round(scaled) - scaled).detach())


def _stepped():
    for _ in range(2):
        yield 4 * torch.randn(60), torch.tensor(random.choice((random.uniform(0.2, 0.7), random.uniform(1.5, 3)))), torch.randn(60)


def _value_and_gradients(function, y, step, weights):
    value = function(y.requires_grad_(), step.requires_grad_())
    of_y, of_step = slopes(value, y, step, weights=weights)
    return {"value": value, "gradient of y": of_y, "gradient of the step": of_step}


gdn_2 = Exercise(
    coarse,
    _stepped,
    observe=_value_and_gradients,
    tolerance=(1e-3, 1e-4),
    hint="What is inside `detach()` is a constant for the gradient, the step in it too. How little can be put inside, so that the value is "
    "still right?",
    rule="the value is step * round(y / step), and of all operations only the rounding is left out of the gradient",
    slips={
        "as it was": (
            "this is the code of the question: all of the step stands inside `detach`, so no gradient reaches it",
            lambda y, step: y + (step * torch.round(y / step) - y).detach(),
        ),
        "plain": ("no gradient reaches y: nothing stands in for the rounding", lambda y, step: step * torch.round(y / step)),
        "cut off": (
            "the result is cut off from both: detach only what the rounding changes",
            lambda y, step: (step * torch.round(y / step)).detach(),
        ),
        "step outside only": (
            "the product reaches the step, but the division y / step does not: its step is detached",
            lambda y, step: step * (y / step.detach() + (torch.round(y / step) - y / step).detach()),
        ),
        "not multiplied": (
            "these are the symbols; the decoder multiplies them by the step",
            lambda y, step: y / step + (torch.round(y / step) - y / step).detach(),
        ),
        "not rounded": ("the forward pass has to round; this returns y itself", lambda y, step: step * (y / step)),
        "floor": (
            "this rounds down, not to the nearest",
            lambda y, step: step * (y / step + (torch.floor(y / step) - y / step).detach()),
        ),
        "integers": (
            "this rounds to whole numbers; the step says how far apart the values lie",
            lambda y, step: y + (torch.round(y) - y).detach(),
        ),
    },
)


def receptive_field(kernels, strides):
    """The taps of a layer lie as many pixels apart as the product of the strides *before* it. A kernel of k taps has
    k − 1 gaps."""
    width, apart = 1, 1
    for kernel, stride in zip(kernels, strides):
        width += (kernel - 1) * apart
        apart *= stride
    return width


def _layers():
    for depth in (1, 1, *(random.randint(3, 5) for _ in range(6))):
        strides = [random.choice((2, 3)), random.choice((2, 3)), *(random.choice((1, 2, 3)) for _ in range(3))]
        yield [random.choice((3, 5, 7)) for _ in range(depth)], strides[:depth]


def _field(kernels, strides, gaps=1, own=False):
    width, apart = 1, 1
    for kernel, stride in zip(kernels, strides):
        width += (kernel - gaps) * apart * (stride if own else 1)
        apart *= stride
    return width


gdn_3 = Exercise(
    receptive_field,
    _layers,
    hint="Begin at the first layer: one output sees `kernel` pixels. How many pixels lie between neighbours of its output, and so between "
    "the taps of the next layer?",
    rule="each layer widens the patch by its kernel less one, times the distance of its taps in pixels",
    slips={
        "no strides": (
            "the strides are not used: later taps lie further apart in pixels",
            lambda kernels, strides: 1 + sum(k - 1 for k in kernels),
        ),
        "own stride": ("a layer's own stride spreads the taps of the layers after it, not its own", partial(_field, own=True)),
        "whole kernel": ("a kernel of k taps has k - 1 gaps: one of its taps is where the patch already was", partial(_field, gaps=0)),
        "last first": (
            "this begins at the last layer; the lists begin with the first",
            lambda kernels, strides: _field(kernels[::-1], strides[::-1]),
        ),
    },
)


def price(r, b):
    r"""$\mathrm{d}g/\mathrm{d}r = 1/\sqrt{r^2 + b^2}$ by the chain rule; the density of $r$ is $\varphi(g)$ times that."""
    g = torch.asinh(r / b)
    density = torch.exp(-(g**2) / 2) / (2 * torch.pi) ** 0.5 / torch.sqrt(r**2 + b**2)
    return -torch.log2(density)


def _bent():
    for b in (random.uniform(0.1, 0.4), random.uniform(2.5, 4)):
        yield torch.cat([3 * torch.randn(4), torch.tensor([5.0])]), b


def _price(r, b, slope=1.0, constant=True, base=2.0):
    g = torch.asinh(r / b)
    nats = g**2 / 2 + (math.log(2 * math.pi) / 2 if constant else 0) + slope * torch.log(r**2 + b**2) / 2
    return nats / math.log(base)


gdn_4 = Exercise(
    price,
    _bent,
    hint="The strip between r and r + dr holds the same probability as the strip between g and g + dg. So what is the density of r, given "
    "that of g and the slope of the curve?",
    rule="the price is -log2 of the normal density at g, times the slope dg/dr at r",
    slips={
        "no slope": ("this prices g, not r: the curve stretches, and its slope belongs into the density of r", partial(_price, slope=0)),
        "slope divides": (
            "the slope works the wrong way round: where the curve is steep, a strip of r becomes a wide strip of g, so r is likely there",
            partial(_price, slope=-1),
        ),
        "inner slope": (
            "the slope of asinh(r / b) by r has the inner derivative 1 / b too: together 1 / sqrt(r² + b²)",
            lambda r, b: _price(r, b) - math.log2(b),
        ),
        "nats": ("this is in nats; bits need a logarithm to the base 2", partial(_price, base=math.e)),
        "no constant": ("the normal density has a factor 1 / sqrt(2π)", partial(_price, constant=False)),
        "density": ("this is the density; the price is its -log2", lambda r, b: 2 ** -_price(r, b)),
        "sign": ("the sign is wrong: the price is minus the logarithm", lambda r, b: -_price(r, b)),
        "no curve": ("this prices r as if it were the standard normal itself", lambda r, b: (r**2 + math.log(2 * math.pi)) / math.log(4)),
    },
)


def ungdn(g, beta, gamma):
    r"""With $u = r^2$ the definition becomes $u_i = g_i^2 (\beta_i + \sum_j \gamma_{ij} u_j)$, which is linear in $u$:
    $(I - \mathrm{diag}(g^2)\,\gamma)\,u = g^2 \beta$. The iteration of the hint is the Neumann series of this system: it
    converges for every $g$ that is an output of this GDN, slowly where the outputs are close to their bound."""
    system = torch.eye(len(g)) - (g**2)[:, None] * gamma
    return g.sign() * torch.linalg.solve(system, g**2 * beta).clamp_min(0).sqrt()


def _squares(g, beta, gamma):
    return torch.linalg.solve(torch.eye(len(g)) - (g**2)[:, None] * gamma, g**2 * beta).clamp_min(0)


def _outputs():
    for strength in (0.5, 2.0, 5.0):
        channels = random.randint(3, 6)
        beta, gamma = _parameters(channels)
        r = strength * torch.randn(channels)
        r[0] = -r[0].abs() - strength
        yield r / (beta + gamma @ r**2).sqrt(), beta, gamma


def _few_rounds(g, beta, gamma):
    u = g**2
    for _ in range(5):
        u = g**2 * (beta + gamma @ u)
    return g.sign() * u.sqrt()


gdn_5 = Exercise(
    ungdn,
    _outputs,
    tolerance=(2e-2, 2e-2),
    hint="Square both sides of the definition. In u_i = r_i², what kind of equations are these? Solve them at once, or repeat "
    "u ← g² (β + γ u) until nothing changes.",
    rule="GDN of your result has to be g; the unknown squares of r obey linear equations, and an iteration needs enough rounds",
    slips={
        "IGDN": (
            "this is IGDN, which uses the activity of g: it is near the inverse only for weak inputs",
            lambda g, beta, gamma: g * (beta + gamma @ g**2).sqrt(),
        ),
        "sign": ("the magnitudes are right, the sign is lost: it is that of g", lambda *outputs: _squares(*outputs).sqrt()),
        "squares": ("these are the squares of r: take the root at the end", lambda g, *parameters: g.sign() * _squares(g, *parameters)),
        "transposed": (
            "row i of gamma belongs to output i, so g_i² multiplies row i, not column i",
            lambda g, beta, gamma: g.sign() * torch.linalg.solve(torch.eye(len(g)) - g**2 * gamma, g**2 * beta).clamp_min(0).sqrt(),
        ),
        "few rounds": ("an iteration needs many more rounds where the outputs are close to their bound", _few_rounds),
    },
)
