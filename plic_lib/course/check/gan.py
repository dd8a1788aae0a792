"""Checks of 09_discriminator."""

import copy
import math
import random

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plic_lib.course.check import exercise


def _close(value, expected) -> bool:
    value, expected = torch.as_tensor(value).detach(), torch.as_tensor(expected).detach()
    return value.numel() == 1 and math.isclose(float(value), float(expected), rel_tol=2e-5, abs_tol=1e-6)


def _terms(high: Tensor, low: Tensor) -> tuple[Tensor, Tensor]:
    """The two terms of the loss of a network that wants ``high`` above ``low``."""
    return F.softplus(low.mean() - high).mean(), F.softplus(low - high.mean()).mean()


def _loss(high: Tensor, low: Tensor) -> Tensor:
    return sum(_terms(high, low))


def _logits() -> tuple[Tensor, Tensor]:
    shape = 2, 1, random.randint(2, 4), random.randint(5, 7)
    return torch.randn(shape) + random.uniform(0.5, 1.5), torch.randn(shape)


def _is_a_safe_loss(answer) -> None:
    """``answer(high, low)`` is right at usual logits, finite at large ones, and has the slopes of the formula."""
    for _ in range(3):
        high, low = _logits()
        value, expected = torch.as_tensor(answer(high, low)), _loss(high, low)
        assert value.numel() == 1, f"the loss is one number, not {value.numel()}: average over the patches"
        assert not _close(value, expected * high.numel()), "average over the patches, do not sum"
        assert not _close(value, -expected), "the sign: a loss is small where its network does well"
        assert not _close(value, -_loss(low, high)), "this is minus the other side's loss: exchange the roles instead"
        assert not _close(value, expected / 2), "add the two terms, do not average them"
        assert not any(_close(value, term) for term in _terms(high, low)), "one of the two terms is missing"
        assert _close(value, expected), (
            f"expected {expected:.4f}, got {float(value):.4f}: each patch is compared with the mean of the other kind, in both terms"
        )
    high, low = torch.tensor([500.0, -500.0, 3.0]), torch.tensor([-480.0, 490.0, 1.0])
    value = torch.as_tensor(answer(high, low))
    assert value.isfinite(), "not finite at a logit of 500: which function replaces the logarithm of a sigmoid?"
    assert _close(value, _loss(high, low)), "at logits of 500 the value is wrong: something was cut off"
    high, low = (logits.requires_grad_() for logits in _logits())
    value = answer(high, low)
    assert isinstance(value, Tensor) and value.requires_grad, "no slope reaches the logits"
    mine = torch.autograd.grad(value, (high, low), allow_unused=True)
    exact = torch.autograd.grad(_loss(high, low), (high, low))
    assert all(m is not None and torch.allclose(m, e, atol=1e-5) for m, e in zip(mine, exact)), (
        "the value is right, the slopes are not: they pass through the means, too"
    )


@exercise
def gan_1(receptive_field):
    """``receptive_field(layers)``: pixels that one output sees, from (kernel, stride) of each layer."""
    for _ in range(4):
        layers = [(random.randint(3, 5), random.choice((2, 3))) for _ in range(random.randint(3, 5))]
        field, before, after, steps = 1, 1, 1, 1
        for kernel, stride in layers:
            field += (kernel - 1) * steps
            before += kernel * steps
            steps *= stride
            after += (kernel - 1) * steps
        value = receptive_field(layers)
        assert value != 1 + sum(kernel - 1 for kernel, _ in layers), (
            "the strides are missing: after a stride of 2, neighbours are 2 pixels apart"
        )
        assert value != after, "a layer's own stride widens the steps of the layers after it, not its own"
        assert value not in (before, before - 1), "a kernel of k adds k - 1 steps: one of its cells is where the field already was"
        assert value == field, f"for (kernel, stride) = {layers} it is {field} pixels, not {value}"


@exercise
def gan_2(judge_loss):
    """``judge_loss(real, fake)``: the relativistic average loss of the discriminator."""
    real, fake = _logits()
    value = torch.as_tensor(judge_loss(real, fake))
    assert not _close(value, _loss(fake, real)), "the roles are exchanged: the judge wants real above fake"
    assert not _close(value, F.softplus(-real).mean() + F.softplus(fake).mean()), (
        "this judges each alone; a relativistic loss looks at differences"
    )
    assert not _close(value, 2 * F.softplus(fake - real).mean()), (
        "this compares patches at the same place; here each is compared with a mean"
    )
    _is_a_safe_loss(judge_loss)


@exercise
def gan_3(forger_loss):
    """``forger_loss(real, fake)``: the relativistic average loss of the generator."""
    real, fake = _logits()
    fake.requires_grad_()
    value = forger_loss(real, fake)
    if isinstance(value, Tensor) and value.requires_grad and value.numel() == 1:
        downhill = -torch.autograd.grad(value, fake, retain_graph=True, allow_unused=True)[0]
        assert not (downhill < 0).all(), "a step downhill moves every fake logit down: this helps the judge"
    assert not _close(value, F.softplus(-fake).mean()), "this is the plain form: it looks at the fake logits alone"
    _is_a_safe_loss(lambda high, low: forger_loss(low, high))


def _shares(real: Tensor, fake: Tensor) -> tuple[float, float]:
    """How often real lies above fake, and how often both are equal."""
    return float((real > fake).float().mean()), float((real == fake).float().mean())


@exercise
def gan_4(chance):
    """``chance(real, fake)``: how often a random real logit lies above a random fake one."""
    drawn = 0
    while drawn < 3:
        real = torch.randint(0, 5, (1, 4, random.randint(5, 7))).float() + 1
        fake = torch.randint(0, 5, (1, 4, real.shape[2])).float()
        above, equal = _shares(real.flatten()[:, None], fake.flatten())
        here, tied = _shares(real, fake)
        expected, same_place = above + equal / 2, here + tied / 2
        answers = sorted((expected, 1 - expected, same_place, above, above + equal))
        if min(b - a for a, b in zip(answers, answers[1:])) < 1e-3:
            continue  # a wrong answer could pass for another one
        drawn += 1
        value = torch.as_tensor(chance(real, fake))
        assert value.numel() == 1, f"one number, not {value.numel()}"
        assert not _close(value, same_place), "compare with every fake patch, not only with the one at the same place"
        assert not _close(value, 1 - expected), "this is the chance that the fake one is above"
        assert not any(_close(value, wrong) for wrong in (above, above + equal)), "pairs of equal logits count half"
        assert _close(value, expected), f"expected {expected:.3f}, got {float(value):.3f}"
    real, fake = torch.randn(1, 3, 3) + 0.5, torch.randn(1, 7, 5)
    above, _ = _shares(real.flatten()[:, None], fake.flatten())
    assert _close(chance(real, fake), above), "real and fake may have different numbers of patches"


@exercise
def gan_5(judge_step):
    """``judge_step(judge, optimizer, loss, x, x_hat)``: one step of the judge, and of nobody else."""
    painter = nn.Conv2d(3, 3, 3, padding=1)
    judge = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(4, 1, 3, 1, 1))
    x = torch.rand(2, 3, 16, 16)
    for parameter in judge.parameters():  # left over from a generator's step
        parameter.grad = torch.ones_like(parameter)
    steps, x_hat = {}, painter(x).detach()
    for name, real, fake, left in (("right", x, x_hat, 0.0), ("exchanged", x_hat, x, 0.0), ("left over", x, x_hat, 1.0)):
        twin = copy.deepcopy(judge)
        value = _loss(twin(real), twin(fake))
        slopes = torch.autograd.grad(value, list(twin.parameters()))
        steps[name] = [p.detach() - 0.1 * (g + left) for p, g in zip(twin.parameters(), slopes)]
    before = [p.detach().clone() for p in judge.parameters()]
    judge_step(judge, torch.optim.SGD(judge.parameters(), lr=0.1), _loss, x, painter(x))
    after = [p.detach() for p in judge.parameters()]
    is_like = lambda wanted: all(torch.allclose(a, w, atol=1e-6) for a, w in zip(after, wanted))  # noqa: E731
    assert all(p.grad is None for p in painter.parameters()), (
        "the generator's weights got a gradient: cut x_hat off from where it came from"
    )
    assert not is_like(before), "the judge's weights have not moved: loss, slopes, then a step of the optimizer"
    assert not is_like(steps["left over"]), "slopes from an earlier step were added: clear them first"
    assert not is_like(steps["exchanged"]), "real and fake are exchanged"
    assert is_like(steps["right"]), "the judge has moved, but not by one step of the optimizer along the slope of its loss"
    assert all(p.requires_grad for p in judge.parameters()), "the judge is left frozen: the next step could not train it"
