"""Exercises of 09_discriminator."""

import random
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plic_lib.course.check.exercise import Exercise, slopes
from plic_lib.training.discriminator import discriminator_loss

NOTEBOOK = "09_discriminator"

AFTERWORD = """
**To think about.** With weak noise among the fakes, "fine contrast" no longer separates the kinds: the judge would have to tell grain
from structure, by its direction and its place. A film photograph has grain of its own. Such a judge would call it fake, and a generator
that learned from it would paint it smooth.
"""


def seen(layers, i, size):
    """From the logit back to the picture: output `i` of a layer reads the inputs from `stride * i - padding` on, as many as the kernel
    is long. What lies in the padding is no pixel."""
    first = last = i
    for kernel, stride, padding in reversed(layers):
        first = stride * first - padding
        last = stride * last - padding + kernel - 1
    return max(first, 0), min(last, size - 1)


def _lists_of_layers():
    draw = lambda strides: (random.choice((3, 4, 5)), random.choice(strides), random.choice((1, 2)))
    for _ in range(3):
        layers = [(5, 2, 1), *(draw((1, 2)) for _ in range(random.randint(1, 2))), (3, 1, 2)]
        yield layers, random.randint(8, 12), 400
        yield layers, 0, 400
        i = random.randint(8, 12)
        yield layers, i, i * 2 ** sum(stride == 2 for _, stride, _ in layers) + 2


def _seen(layers, i, size, padded=True, less=1, clipped=True, backwards=True):
    first = last = i
    for kernel, stride, padding in layers[::-1] if backwards else layers:
        first = stride * first - padded * padding
        last = stride * last - padded * padding + kernel - less
    return (max(first, 0), min(last, size - 1)) if clipped else (first, last)


gan_1 = Exercise(
    seen,
    _lists_of_layers,
    hint="Begin at the logit. Which values does output i of the last layer read? Of these the first and the last are all that the layer "
    "before has to be asked about.",
    rule="the first and the last pixel, counted from 0, that output i can see in a row of `size` pixels",
    slips={
        "no padding": ("the padding is missing: it moves the window to the left", partial(_seen, padded=False)),
        "whole kernel": ("a kernel of k reads k values, the first included: this is one too far each time", partial(_seen, less=0)),
        "wrong way": ("this begins with the first layer; the way back begins at the last", partial(_seen, backwards=False)),
        "outside": ("some of these lie in the padding, left or right of the picture", partial(_seen, clipped=False)),
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


def _with_sigmoids(high, low):
    above, below = torch.sigmoid(high - low.mean()), torch.sigmoid(low - high.mean())
    return -torch.log(above).mean() - torch.log(1 - below).mean()


def _cut_off_means(high, low):
    return F.softplus(low.mean().detach() - high).mean() + F.softplus(low - high.mean().detach()).mean()


_ONE_TERM = "one of the two terms is missing: one asks the real patches, one the fake ones"

gan_2 = Exercise(
    judge_loss,
    _logits,
    observe=_loss_and_slopes,
    tolerance=(2e-5, 1e-5),
    hint="How much more real than the average fake is a real patch, how much less a fake one than the average real? softplus(-d) is "
    "-log sigmoid(d), for any d.",
    rule="each patch is compared with the mean of the other kind, in both terms; value and slopes count, also at logits of 500",
    slips={
        "roles": ("the roles are exchanged: the judge wants real above fake", lambda real, fake: judge_loss(fake, real)),
        "alone": ("this judges each alone; look at differences", lambda real, fake: F.softplus(-real).mean() + F.softplus(fake).mean()),
        "summed": ("average over the patches, do not sum", lambda real, fake: real.numel() * judge_loss(real, fake)),
        "a loss each": (
            "the loss is one number: average",
            lambda real, fake: F.softplus(fake.mean() - real) + F.softplus(fake - real.mean()),
        ),
        "sign": ("the sign: a loss is small where its network does well", lambda real, fake: -judge_loss(real, fake)),
        "terms averaged": ("add the two terms, do not average them", lambda real, fake: judge_loss(real, fake) / 2),
        "first term": (_ONE_TERM, lambda real, fake: F.softplus(fake.mean() - real).mean()),
        "second term": (_ONE_TERM, lambda real, fake: F.softplus(fake - real.mean()).mean()),
        "overflow": ("not finite at a logit of 500: which function replaces the logarithm of a sigmoid?", _with_sigmoids),
        "means detached": ("the value is right, the slopes are not: they pass through the means, too", _cut_off_means),
        "same place": (
            "here each patch is compared with a mean, not with its place",
            lambda real, fake: 2 * F.softplus(fake - real).mean(),
        ),
        "means only": ("each patch has a term; this compares the means", lambda real, fake: 2 * F.softplus(fake.mean() - real.mean())),
    },
)


def pull(real, fake):
    r"""$L_G = \frac1n \sum_i \mathrm{softplus}(r_i - \bar f) + \frac1m \sum_j \mathrm{softplus}(\bar r - f_j)$, and
    softplus has the sigmoid as its slope. A fake logit moves the first sum through the mean, by $1/m$ in each term, and the second by
    itself. Both slopes are negative: all fake logits are pulled up, the lowest most."""
    through_the_mean = torch.sigmoid(real - fake.mean()).mean()
    by_itself = torch.sigmoid(real.mean() - fake)
    return -(through_the_mean + by_itself) / fake.numel()


def _unequal_numbers():
    for _ in range(3):
        n = random.randint(3, 6)
        yield torch.randn(n) + random.uniform(-1, 1.5), torch.randn(n + random.choice((-1, 1, 2)))
    yield torch.tensor([500.0, -500.0, 3.0, 0.0]), torch.tensor([-480.0, 490.0, 1.0])


def _mean_first(real, fake):
    return -(torch.sigmoid(real.mean() - fake.mean()) + torch.sigmoid(real.mean() - fake)) / fake.numel()


def _other_count(real, fake):
    return -torch.sigmoid(real - fake.mean()).sum() / real.numel() ** 2 - torch.sigmoid(real.mean() - fake) / fake.numel()


def _judges(real, fake):
    return (torch.sigmoid(fake.mean() - real).mean() + torch.sigmoid(fake - real.mean())) / fake.numel()


def _through_the_mean(real, fake):
    return -(torch.sigmoid(real - fake.mean()).mean() / fake.numel()).expand(fake.shape)


gan_3 = Exercise(
    pull,
    _unequal_numbers,
    hint="A fake logit stands in both terms of the loss: in one by itself, in the other as one part of a mean. Softplus has the "
    "sigmoid as its slope.",
    rule="the slope of the generator's loss over each fake logit, through both terms",
    slips={
        "sign": ("the sign: more of a fake logit makes the generator's loss smaller", lambda real, fake: -pull(real, fake)),
        "by itself alone": (
            "the way through the mean is missing: each fake logit is a part of the mean in the other term",
            lambda real, fake: -torch.sigmoid(real.mean() - fake) / fake.numel(),
        ),
        "through the mean alone": ("each fake logit also stands in a term of its own", _through_the_mean),
        "summed": ("a mean over m logits gives each of them 1/m of the slope", lambda real, fake: fake.numel() * pull(real, fake)),
        "mean of what": ("the mean of the sigmoids is not the sigmoid of the mean", _mean_first),
        "number of real": ("through the mean of the fake logits it is their number that divides, not that of the real ones", _other_count),
        "judge's": ("this is the slope of the judge's loss", _judges),
    },
)


def right_and_worse(n, loss):
    """Places that differ far more than the two kinds: each fake patch lies just below its real one, and half of all patches
    lie on the wrong side of the other kind's mean. A whole picture is like that: wood here, a dark corner there."""
    fake = 10.0 * loss * torch.arange(n)
    return fake + 1, fake


def _numbers_of_places():
    for _ in range(3):
        yield random.randint(2, 40), random.uniform(1.5, 20)


def _is_right_and_worse(answer, expected, n, loss):
    real, fake = (torch.as_tensor(logits).float() for logits in answer)
    assert real.shape == fake.shape == (n,), f"return two tensors of {n} logits each, not {tuple(real.shape)} and {tuple(fake.shape)}"
    assert bool(real.isfinite().all() and fake.isfinite().all()), "logits are finite numbers"
    assert bool((real > fake).all()), "somewhere the real logit is not above the fake one of the same place"
    reached = float(discriminator_loss(real, fake))
    assert reached >= loss, f"at every place right, but the loss is only {reached:.3g}, not {loss:.3g}"


def _far_apart(n, loss):
    return torch.full((n,), 10.0 * loss), torch.full((n,), -10.0 * loss)


gan_4 = Exercise(
    right_and_worse,
    _numbers_of_places,
    properties=_is_right_and_worse,
    hint="The loss never compares a patch with the one at its own place, only with a mean over all places. When is a real patch far below "
    "the average fake one, although it lies above its own?",
    rule="return two tensors of n logits: real above fake at every place, and a loss of the judge of at least `loss`",
    slips={
        "no spread": (
            "with all places alike each real patch also beats the average fake one",
            lambda n, loss: (torch.ones(n), torch.zeros(n)),
        ),
        "wide gap": ("what has to be wide is the spread over the places, not the gap of the kinds", _far_apart),
        "wrong everywhere": ("the judge is wrong: real has to be above fake at every place", lambda n, loss: _far_apart(n, loss)[::-1]),
        "equal": ("real and fake are equal somewhere, and that is not above", lambda n, loss: (10.0 * loss * torch.arange(n),) * 2),
        "exchanged": ("fake is above real at every place: exchange the two", lambda n, loss: right_and_worse(n, loss)[::-1]),
    },
)


def generator_step(generator, judge, optimizer, loss, x):
    """Frozen weights let slopes through and keep none. They may be trained again as soon as the judge has been asked: what
    backward does was decided then."""
    judge.requires_grad_(False)
    real, fake = judge(torch.cat([x, generator(x)])).chunk(2)
    judge.requires_grad_(True)
    optimizer.zero_grad()
    loss(real, fake).backward()
    optimizer.step()


def _photographs():
    yield (torch.rand(2, 3, 16, 16),)


def _generators_loss(real, fake):
    return judge_loss(fake, real)


def _after_a_step(function, x):
    judge = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(4, 1, 3, 1, 1))
    generator = nn.Conv2d(3, 3, 3, padding=1)
    before = [p.detach().clone() for p in judge.parameters()]
    for parameter in generator.parameters():  # left over from an earlier step
        parameter.grad = torch.ones_like(parameter)
    function(generator, judge, torch.optim.SGD(generator.parameters(), lr=0.1), _generators_loss, x)
    return {
        "slopes in the judge": any(p.grad is not None and bool(p.grad.any()) for p in judge.parameters()),
        "a judge that can be trained": all(p.requires_grad for p in judge.parameters()),
        "a judge that has moved": any(not torch.equal(p, old) for p, old in zip(judge.parameters(), before)),
        "the generator's weights": torch.cat([p.detach().flatten() for p in generator.parameters()]),
    }


def _step(freeze=True, thaw=True, clear=True, move=True, exchange=False, detach=False, sign=1):
    def step(generator, judge, optimizer, loss, x):
        judge.requires_grad_(not freeze)
        x_hat = generator(x)
        real, fake = judge(x), judge(x_hat.detach() if detach else x_hat)
        judge.requires_grad_(thaw)
        if clear:
            optimizer.zero_grad()
        (sign * (loss(fake, real) if exchange else loss(real, fake))).backward()
        if move:
            optimizer.step()

    return step


def _without_slopes(generator, judge, optimizer, loss, x):
    with torch.no_grad():
        real, fake = judge(torch.cat([x, generator(x)])).chunk(2)
    optimizer.zero_grad()
    loss(real, fake).backward()
    optimizer.step()


gan_5 = Exercise(
    generator_step,
    _photographs,
    observe=_after_a_step,
    tolerance=(1e-4, 1e-6),
    hint="The slope has to pass through the judge and leave nothing in it. Which of detach, no_grad, requires_grad_(False) lets it pass?",
    rule="one step of the generator along the slope of its loss; in the judge no slopes, no moved weights, and all of them trainable again",
    slips={
        "not frozen": ("slopes were left in the judge: its next step would add them to its own", _step(freeze=False)),
        "left frozen": ("the judge is left frozen: its next step could not train it", _step(thaw=False)),
        "detached": ("the generator has not moved: x_hat was cut off from it", _step(freeze=False, detach=True)),
        "no_grad": ("under no_grad nothing can be walked back, not even through the judge to the picture", _without_slopes),
        "not cleared": ("slopes from an earlier step were added to the generator's: clear them first", _step(clear=False)),
        "no step": ("the generator's weights have not moved: loss, slopes, then a step of the optimizer", _step(move=False)),
        "exchanged": ("real and fake are exchanged: this step helps the judge", _step(exchange=True)),
        "uphill": ("this step goes uphill: a loss is made smaller", _step(sign=-1)),
    },
)
