"""Exercises of 09_discriminator."""

import random
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plic_lib.course.check.exercise import Exercise, slopes

NOTEBOOK = "09_discriminator"

AFTERWORD = """
**To think about.** With weak noise among the fakes, "fine contrast" no longer separates the kinds: the judge would have to tell grain
from structure, by its direction and its place. A film photograph has grain of its own. Such a judge would call it fake, and a generator
that learned from it would paint it smooth.
"""


def receptive_field(layers):
    """A layer widens the field by its kernel less one, in steps as long as the product of the strides before it."""
    field, step = 1, 1
    for kernel, stride in layers:
        field += (kernel - 1) * step
        step *= stride
    return field


def _lists_of_layers():
    for _ in range(4):
        yield ([(random.randint(3, 5), random.choice((2, 3))) for _ in range(random.randint(3, 5))],)


def _field(layers, less=1, own=False):
    field, step = 1, 1
    for kernel, stride in layers:
        field += (kernel - less) * step * (stride if own else 1)
        step *= stride
    return field


gan_1 = Exercise(
    receptive_field,
    _lists_of_layers,
    hint="Begin at the picture: how many pixels lie between neighbours after the first layer? A kernel of k has k - 1 gaps.",
    rule="each layer adds its kernel less one, times the product of the strides before it",
    slips={
        "no strides": (
            "the strides are missing: after a stride of 2, neighbours are 2 pixels apart",
            lambda layers: 1 + sum(kernel - 1 for kernel, _ in layers),
        ),
        "own stride": ("a layer's own stride widens the steps of the layers after it, not its own", partial(_field, own=True)),
        "whole kernel": ("a kernel of k adds k - 1 steps: one of its cells is where the field already was", partial(_field, less=0)),
        "from nothing": ("before the first layer one pixel sees itself: begin with 1, not with 0", lambda layers: _field(layers) - 1),
        "last first": ("this begins at the last layer; the list begins with the first", lambda layers: _field(layers[::-1])),
    },
)


def judge_loss(real, fake):
    r"""Real patches above the average fake one, fake ones below the average real one. `softplus(-d)` is
    $-\log \mathrm{sigmoid}(d)$ without overflow. The means carry slopes, too: do not detach them."""
    softplus = torch.nn.functional.softplus
    return softplus(fake.mean() - real).mean() + softplus(fake - real.mean()).mean()


def _logits():
    for _ in range(2):
        shape = 2, 1, random.randint(2, 4), random.randint(5, 7)
        yield torch.randn(shape) + random.uniform(0.5, 1.5), torch.randn(shape)
    yield torch.tensor([500.0, -500.0, 3.0]), torch.tensor([-480.0, 490.0, 1.0])


def _loss_and_slopes(function, real, fake):
    value = function(real.requires_grad_(), fake.requires_grad_())
    one = isinstance(value, Tensor) and value.numel() == 1
    return {"loss": value, "slopes": slopes(value, real, fake) if one else (None, None)}


def _terms(high, low):
    return F.softplus(low.mean() - high).mean(), F.softplus(low - high.mean()).mean()


def _with_sigmoids(high, low):
    above, below = torch.sigmoid(high - low.mean()), torch.sigmoid(low - high.mean())
    return -torch.log(above).mean() - torch.log(1 - below).mean()


def _cut_off_means(high, low):
    return F.softplus(low.mean().detach() - high).mean() + F.softplus(low - high.mean().detach()).mean()


def _of_both(loss):
    """Slips of a loss of ``(high, low)`` that wants high above low; for either side."""
    return {
        "summed": ("average over the patches, do not sum", lambda high, low: high.numel() * loss(high, low)),
        "a loss each": (
            "the loss is one number: average over the patches",
            lambda high, low: F.softplus(low.mean() - high) + F.softplus(low - high.mean()),
        ),
        "sign": ("the sign: a loss is small where its network does well", lambda high, low: -loss(high, low)),
        "minus the other's": ("this is minus the other side's loss: exchange the roles instead", lambda high, low: -loss(low, high)),
        "terms averaged": ("add the two terms, do not average them", lambda high, low: loss(high, low) / 2),
        "first term": (
            "one of the two terms is missing: each side has one for its own kind and one for the other",
            lambda high, low: _terms(high, low)[0],
        ),
        "second term": (
            "one of the two terms is missing: each side has one for its own kind and one for the other",
            lambda high, low: _terms(high, low)[1],
        ),
        "overflow": ("not finite at a logit of 500: which function replaces the logarithm of a sigmoid?", _with_sigmoids),
        "means detached": ("the value is right, the slopes are not: they pass through the means, too", _cut_off_means),
        "same place": (
            "this compares patches at the same place; here each is compared with a mean",
            lambda high, low: 2 * F.softplus(low - high).mean(),
        ),
        "means only": (
            "this compares the two means; each patch is compared with the mean of the other kind",
            lambda high, low: 2 * F.softplus(low.mean() - high.mean()),
        ),
    }


_RULE = "each patch is compared with the mean of the other kind, in both terms; value and slopes count, also at logits of 500"

gan_2 = Exercise(
    judge_loss,
    _logits,
    observe=_loss_and_slopes,
    tolerance=(2e-5, 1e-5),
    hint="How much more real than the average fake is a real patch, how much less a fake one than the average real? softplus(-d) is "
    "-log sigmoid(d), for any d.",
    rule=_RULE,
    slips={
        "roles": ("the roles are exchanged: the judge wants real above fake", lambda real, fake: judge_loss(fake, real)),
        "alone": (
            "this judges each alone; a relativistic loss looks at differences",
            lambda real, fake: F.softplus(-real).mean() + F.softplus(fake).mean(),
        ),
        **_of_both(judge_loss),
    },
)


def forger_loss(real, fake):
    r"""The same with the roles exchanged: $-\mathbb E[\log(1 - D(x_r, x_f))] - \mathbb E[\log D(x_f, x_r)]$."""
    softplus = torch.nn.functional.softplus
    return softplus(real - fake.mean()).mean() + softplus(real.mean() - fake).mean()


def _turned(function):
    return lambda real, fake: function(fake, real)


gan_3 = Exercise(
    forger_loss,
    _logits,
    observe=_loss_and_slopes,
    tolerance=(2e-5, 1e-5),
    hint="The generator wants the fake logits above the real ones. What has to change places in the judge's loss?",
    rule=_RULE,
    slips={
        "judge's": ("a step downhill moves every fake logit down: this helps the judge", judge_loss),
        "alone": ("this is the plain form: it looks at the fake logits alone", lambda real, fake: F.softplus(-fake).mean()),
        **{name: (sentence, _turned(slip)) for name, (sentence, slip) in _of_both(judge_loss).items()},
    },
)


def chance(real, fake):
    """All pairs, by broadcasting. This chance has a name: the area under the ROC curve. It depends on the order of the logits
    alone, so a few very large ones cannot move it far."""
    difference = real.flatten()[:, None] - fake.flatten()
    return ((difference > 0).float() + 0.5 * (difference == 0).float()).mean()


def _tied_logits():
    for _ in range(4):
        shape = 1, 4, random.randint(5, 7)
        yield torch.randint(0, 5, shape).float() + 1, torch.randint(0, 5, shape).float()
    yield torch.randn(1, 3, 3) + 0.5, torch.randn(1, 7, 5)  # as many as there are


def _share(real, fake, ties=0.5):
    return (real > fake).float().mean() + ties * (real == fake).float().mean()


def _all_pairs(real, fake, ties=0.5):
    return _share(real.flatten()[:, None], fake.flatten(), ties)


gan_4 = Exercise(
    chance,
    _tied_logits,
    hint="Every real logit meets every fake one. Which shapes make a table of all pairs?",
    rule="the share of all pairs in which the real logit is larger, equal ones counting half",
    slips={
        "same place": ("compare with every fake patch, not only with the one at the same place", _share),
        "fake above": ("this is the chance that the fake one is above", lambda real, fake: 1 - _all_pairs(real, fake)),
        "ties lost": ("pairs of equal logits count half, not nothing", lambda real, fake: _all_pairs(real, fake, 0)),
        "ties won": ("pairs of equal logits count half, not whole", lambda real, fake: _all_pairs(real, fake, 1)),
        "against the mean": (
            "this compares each real logit with the mean of the fake ones, not with every one",
            lambda real, fake: _share(real, fake.mean()),
        ),
        "pairs counted": (
            "this is the number of pairs; divide by how many pairs there are",
            lambda real, fake: _all_pairs(real, fake) * real.numel() * fake.numel(),
        ),
    },
)


def judge_step(judge, optimizer, loss, x, x_hat):
    """`detach` cuts the picture off from its generator; `zero_grad` clears what an earlier generator's step may have left."""
    real, fake = judge(torch.cat([x, x_hat.detach()])).chunk(2)
    optimizer.zero_grad()
    loss(real, fake).backward()
    optimizer.step()


def _photographs():
    yield (torch.rand(2, 3, 16, 16),)


def _after_a_step(function, x):
    judge = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(4, 1, 3, 1, 1))
    generator = nn.Conv2d(3, 3, 3, padding=1)
    for parameter in judge.parameters():  # left over from a generator's step
        parameter.grad = torch.ones_like(parameter)
    function(judge, torch.optim.SGD(judge.parameters(), lr=0.1), judge_loss, x, generator(x))
    return {
        "a gradient in the generator": any(p.grad is not None for p in generator.parameters()),
        "a judge that can be trained": all(p.requires_grad for p in judge.parameters()),
        "the judge's weights": torch.cat([p.detach().flatten() for p in judge.parameters()]),
    }


def _step(detach=True, clear=True, move=True, exchange=False, freeze=False, sign=1):
    def step(judge, optimizer, loss, x, x_hat):
        if clear:
            optimizer.zero_grad()
        real, fake = judge(x), judge(x_hat.detach() if detach else x_hat)
        (sign * (loss(fake, real) if exchange else loss(real, fake))).backward()
        if move:
            optimizer.step()
        judge.requires_grad_(not freeze)

    return step


gan_5 = Exercise(
    judge_step,
    _photographs,
    observe=_after_a_step,
    tolerance=(1e-4, 1e-6),
    hint="Four lines: clear the slopes, judge both pictures, walk back, step. Which way back must stay closed, and how is it closed?",
    rule="one step of the optimizer along the slope of its loss, nothing in the generator, and a judge that can be trained again",
    slips={
        "not detached": ("the generator's weights got a gradient: cut x_hat off from where it came from", _step(detach=False)),
        "not cleared": ("slopes from an earlier step were added: clear them first", _step(clear=False)),
        "no step": ("the judge's weights have not moved: loss, slopes, then a step of the optimizer", _step(move=False)),
        "exchanged": ("real and fake are exchanged", _step(exchange=True)),
        "uphill": ("this step goes uphill: a loss is made smaller", _step(sign=-1)),
        "left frozen": ("the judge is left frozen: the next step could not train it", _step(freeze=True)),
    },
)
