"""Exercises of 02_gdn_autoencoder."""

import random
from functools import partial

import torch

from plic_lib.course.check.exercise import Exercise, slopes

NOTEBOOK = "02_gdn_autoencoder"


def gdn(x, beta, gamma):
    """Row i of γ belongs to output i, and the vectors are rows, so γ is transposed in the product."""
    return x / torch.sqrt(beta + x**2 @ gamma.T)


def _parameters(channels: int):
    """β and γ of a GDN, γ not symmetric."""
    return torch.rand(channels) + 0.5, torch.rand(channels, channels) / channels


def _vectors():
    for _ in range(2):
        channels = random.randint(3, 6)
        yield 3 * torch.randn(channels, channels), *_parameters(channels)  # square, so that a wrong product does not raise


gdn_1 = Exercise(
    gdn,
    _vectors,
    hint="Write the sum over j for one vector first. Of γ's two axes, along which does it run? Then let a matrix product do it for all "
    "rows.",
    rule="the outputs are x_i / sqrt(β_i + Σ_j γ_ij x_j²)",
    slips={
        "IGDN": ("this is the multiplication of IGDN; GDN divides", lambda x, b, g: x * (b + x**2 @ g.T).sqrt()),
        "no root": ("the square root of the activity is missing", lambda x, b, g: x / (b + x**2 @ g.T)),
        "transposed": (
            "row i of gamma belongs to output i: you have summed over its columns (transposed)",
            lambda x, b, g: x / (b + x**2 @ g).sqrt(),
        ),
        "vectors mixed": (
            "this sums over the vectors; the activity of a vector is made of its own channels",
            lambda x, b, g: x / (b + g @ x**2).sqrt(),
        ),
        "diagonal": (
            "only the diagonal of gamma was used; the sum runs over all channels j",
            lambda x, b, g: x / (b + x**2 * g.diagonal()).sqrt(),
        ),
        "no beta": ("β is missing under the root", lambda x, b, g: x / (x**2 @ g.T).sqrt()),
        "no square": ("the activity is made of squares of x", lambda x, b, g: x / (b + x.abs() @ g.T).sqrt()),
    },
)


def soft_round(y):
    """What is detached counts as a constant; `y` outside it carries the gradient."""
    return y + (torch.round(y) - y).detach()


def _latents():
    yield 4 * torch.randn(200), torch.randn(200)


def _value_and_gradient(function, y, weights):
    value = function(y.requires_grad_())
    return {"value": value, "gradient": slopes(value, y, weights=weights)[0]}


gdn_2 = Exercise(
    soft_round,
    _latents,
    observe=_value_and_gradient,
    hint="`detach()` makes a constant of a tensor. Which constant has to be added to y so that the sum is round(y)?",
    rule="the value is that of torch.round(y), the gradient that of y",
    slips={
        "plain": ("the gradient is zero: nothing would be learned through it", torch.round),
        "cut off": ("the result is cut off from y: detach only the part that shall count as a constant", lambda y: torch.round(y.detach())),
        "identity": ("the forward pass has to round; this returns y itself", lambda y: y),
        "noise": (
            "this is noise in the place of rounding: the values are not those of torch.round(y)",
            lambda y: y + torch.rand_like(y) - 0.5,
        ),
        "exchanged": (
            "the two are exchanged: here the value is y's and the gradient that of rounding",
            lambda y: torch.round(y) + (y - torch.round(y)).detach(),
        ),
        "floor": ("this rounds down, not to the nearest", lambda y: y + (torch.floor(y) - y).detach()),
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


def ungdn(y, beta, gamma):
    r"""With $u = x^2$ the definition becomes $u_i = y_i^2 (\beta_i + \sum_j \gamma_{ij} u_j)$, which is linear in $u$:
    $(I - \mathrm{diag}(y^2)\,\gamma)\,u = y^2 \beta$. The iteration of the notebook's hint is the Neumann series of this system: it
    converges for every $y$ that is an output of this GDN, slowly where the outputs are close to their bound."""
    system = torch.eye(len(y)) - (y**2)[:, None] * gamma
    return y.sign() * torch.linalg.solve(system, y**2 * beta).clamp_min(0).sqrt()


def _squares(y, beta, gamma):
    return torch.linalg.solve(torch.eye(len(y)) - (y**2)[:, None] * gamma, y**2 * beta).clamp_min(0)


def _outputs():
    for strength in (0.5, 2.0, 5.0):
        channels = random.randint(3, 6)
        beta, gamma = _parameters(channels)
        x = strength * torch.randn(channels)
        x[0] = -x[0].abs() - strength
        yield x / (beta + gamma @ x**2).sqrt(), beta, gamma


def _few_rounds(y, beta, gamma):
    u = y**2
    for _ in range(5):
        u = y**2 * (beta + gamma @ u)
    return y.sign() * u.sqrt()


gdn_4 = Exercise(
    ungdn,
    _outputs,
    tolerance=(2e-2, 2e-2),
    hint="Square both sides of the definition. In u_i = x_i², what kind of equations are these?",
    rule="GDN of your result has to be y; the unknown squares of x obey linear equations, and an iteration needs enough rounds",
    slips={
        "IGDN": (
            "this is IGDN, which uses the activity of y: it is near the inverse only for weak inputs",
            lambda y, beta, gamma: y * (beta + gamma @ y**2).sqrt(),
        ),
        "sign": ("the magnitudes are right, the sign is lost: it is that of y", lambda y, b, g: _squares(y, b, g).sqrt()),
        "squares": ("these are the squares of x: take the root at the end", lambda y, b, g: y.sign() * _squares(y, b, g)),
        "transposed": (
            "row i of gamma belongs to output i, so y_i² multiplies row i, not column i",
            lambda y, b, g: y.sign() * torch.linalg.solve(torch.eye(len(y)) - y**2 * g, y**2 * b).clamp_min(0).sqrt(),
        ),
        "few rounds": ("an iteration needs many more rounds where the outputs are close to their bound", _few_rounds),
    },
)
