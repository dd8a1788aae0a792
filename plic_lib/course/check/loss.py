"""Checks of 08_perceptual_loss."""

import math
import random

import torch
from torch import Tensor

from plic_lib.course.check import exercise


def _close(a, b, tolerance: float = 1e-3) -> bool:
    return math.isclose(float(a), float(b), rel_tol=tolerance, abs_tol=1e-6)


def _agree(value: Tensor, expected: Tensor) -> bool:
    return value.shape == expected.shape and torch.allclose(value, expected, rtol=1e-3, atol=1e-5)


def _squared(values: Tensor, answer) -> Tensor:
    return ((values - answer) ** 2).sum()


def _absolute(values: Tensor, answer) -> Tensor:
    return (values - answer).abs().sum()


def _unit(f: Tensor) -> Tensor:
    return f / f.norm(dim=1, keepdim=True)


@exercise
def loss_1(best_answers):
    """``best_answers(values)``: the constants of least squared and least absolute error."""
    for count in (2 * random.randint(3, 6) + 1, 2 * random.randint(3, 6)):
        values = torch.cat([torch.rand(count - 1), 4 + 4 * torch.rand(1)])  # one outlier, so that mean and median differ
        for_squared, for_absolute = (float(a) for a in best_answers(values))
        middle = values.median()
        assert not (_close(for_squared, middle) and _close(for_absolute, values.mean())), "the two are swapped: squared error first"
        assert _squared(values, for_squared) <= _squared(values, values.mean()) * 1.0001, (
            f"{for_squared:.3f} is not best for the squared error: another constant has less"
        )
        assert _absolute(values, for_absolute) <= _absolute(values, middle) * 1.0001, (
            f"{for_absolute:.3f} is not best for the absolute error: it depends on how many values lie to each side, not on how far"
        )


@exercise
def loss_2(total):
    """``total(bits, x, x_hat, lpips, weights)``: alpha · bpp + lambda_1 · L1 + lambda_2 · LPIPS."""
    batch, height, width = random.randint(2, 4), 8 * random.randint(2, 4), 8 * random.randint(5, 7)
    x, x_hat = torch.rand(2, batch, 3, height, width)
    lpips, bits = torch.rand(batch), random.uniform(0.5, 2) * batch * height * width
    weights = random.uniform(0.5, 4), random.uniform(0.02, 0.05), random.uniform(0.5, 2)
    pixels, error = batch * height * width, (x - x_hat).abs().mean()
    cost = lambda rate, l1, perception: weights[0] * rate + weights[1] * l1 + weights[2] * perception  # noqa: E731
    expected = cost(bits / pixels, 255 * error, lpips.mean())
    value = torch.as_tensor(total(bits, x, x_hat, lpips, weights))
    assert value.numel() == 1, f"the loss is one number, not {value.numel()}: average LPIPS over the batch"
    assert not _close(value, cost(bits / pixels, error, lpips.mean())), "here L1 is in grey levels, 0 to 255; the pictures are in [0, 1]"
    assert not _close(value, cost(bits / pixels / 3, 255 * error, lpips.mean())), "a pixel has three colour values, but counts once"
    assert not _close(value, cost(bits * batch / pixels, 255 * error, lpips.mean())), (
        "the bits are those of the whole batch: so are the pixels"
    )
    assert not _close(value, cost(bits / pixels, 255 * error, lpips.sum())), "average LPIPS over the batch, do not sum it"
    assert not _close(value, cost(bits, 255 * error, lpips.mean())), "the rate is in bits per pixel"
    assert _close(value, expected), f"expected {float(expected):.4f}, got {float(value):.4f}"


@exercise
def loss_3(unit_length):
    """``unit_length(f)``: feature vectors (B, C, h, w) of unit length over C, finite gradients everywhere."""
    f = torch.rand(2, random.randint(3, 6), 3, 4) + 0.1
    value = unit_length(f)
    assert value.shape == f.shape, f"the shape stays {tuple(f.shape)}, not {tuple(value.shape)}"
    norms = value.norm(dim=1)
    assert torch.allclose(norms, torch.ones_like(norms), atol=1e-2), (
        f"over the channels (axis 1) each vector has to have length 1; here lengths are {norms.min():.2f} … {norms.max():.2f}"
    )
    assert _agree(value, _unit(f)), "the direction of the vectors has changed: divide each by its length"
    f[0, :, 1, 2] = 0
    f = f.requires_grad_()
    value = unit_length(f)
    assert torch.isfinite(value).all(), "a vector of zeros has no direction; its result has to be finite all the same"
    assert not value.detach()[0, :, 1, 2].any(), "a vector of zeros stays zero"
    assert value.requires_grad, "no gradient reaches the features"
    gradient = torch.autograd.grad((value * torch.rand_like(value)).sum(), f)[0]
    assert torch.isfinite(gradient).all(), "the gradient at a vector of zeros is not finite: where does the tiny constant have to stand?"
    elsewhere = f.detach()[1:].requires_grad_()
    pull = torch.rand_like(elsewhere)
    mine, exact = (torch.autograd.grad((normalise(elsewhere) * pull).sum(), elsewhere)[0] for normalise in (unit_length, _unit))
    assert _agree(mine, exact), "away from zero the gradient has changed: the length, too, depends on the features"


@exercise
def loss_4(break_even):
    """``break_even(first, second)``: the alpha at which two (rate, distortion) points cost the same."""
    for _ in range(3):
        alpha, rates = random.uniform(0.1, 5), sorted(random.uniform(0.05, 0.6) for _ in range(2))
        rates[1] += 0.1
        end = random.uniform(0.05, 0.3)
        points = [(rates[0], end + alpha * (rates[1] - rates[0])), (rates[1], end)]
        random.shuffle(points)
        value = float(break_even(*points))
        assert not _close(value, -alpha), "the sign: more rate brings less distortion, and α is positive"
        assert not _close(value, 1 / alpha), "this is rate for distortion; α is the distortion that one more bit per pixel has to remove"
        costs = [d + value * r for r, d in points]
        assert _close(*costs), f"with α = {value:.3f} the points cost {costs[0]:.4f} and {costs[1]:.4f}, which is not the same"


@exercise
def loss_5(layer_distance):
    """``layer_distance(f, g, weights)``: one layer of LPIPS, (B,)."""
    channels = random.randint(3, 6)
    f, g = torch.rand(2, 2, channels, 3, channels) * (1 + 3 * torch.rand(2, 2, 1, 3, channels)) + 0.05
    weights = torch.rand(channels) + 0.1
    column = weights[None, :, None, None]
    square = column * (_unit(f) - _unit(g)) ** 2
    value = torch.as_tensor(layer_distance(f, g, weights))
    assert value.shape == (2,), f"one distance for each picture of the batch: shape (2,), not {tuple(value.shape)}"
    assert not _agree(value, (column * (f - g) ** 2).sum(dim=1).mean(dim=(1, 2))), "bring both to unit length over the channels first"
    assert not _agree(value, square.mean(dim=(1, 2, 3))), "sum over the channels; the mean is over the cells only"
    assert not _agree(value, square.sum(dim=(1, 2, 3))), "average over the cells, else a larger picture has a larger distance"
    assert not _agree(value, (weights * (_unit(f) - _unit(g)) ** 2).sum(dim=1).mean(dim=(1, 2))), (
        "the weights belong to the channels, axis 1; broadcasting took the last axis"
    )
    assert not _agree(value, (column * (_unit(f) - _unit(g)).abs()).sum(dim=1).mean(dim=(1, 2))), "square the differences"
    assert _agree(value, square.sum(dim=1).mean(dim=(1, 2))), (
        "unit length, difference, square, weigh and sum the channels, average the cells: one of these differs"
    )
