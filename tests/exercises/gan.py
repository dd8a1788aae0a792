import torch
import torch.nn.functional as F

NOTEBOOK = "09_discriminator"


def _loss(real, fake, average=torch.Tensor.mean):
    return average(F.softplus(fake.mean() - real)) + average(F.softplus(fake - real.mean()))


def _with_sigmoids(real, fake):
    more_real, more_fake = torch.sigmoid(real - fake.mean()), torch.sigmoid(fake - real.mean())
    return -torch.log(more_real).mean() - torch.log(1 - more_fake).mean()


def _cut_off_means(real, fake):
    return F.softplus(fake.mean().detach() - real).mean() + F.softplus(fake - real.mean().detach()).mean()


def _field(layers, kernel_less=1, own_stride=False):
    field, steps = 1, 1
    for kernel, stride in layers:
        steps *= stride if own_stride else 1
        field += (kernel - kernel_less) * steps
        steps *= 1 if own_stride else stride
    return field


def _chance(real, fake):
    pairs = real.flatten()[:, None] - fake.flatten()
    return (pairs > 0).float().mean() + 0.5 * (pairs == 0).float().mean()


def _step(detach=True, clear=True, move=True, exchange=False):
    def step(judge, optimizer, loss, x, x_hat):
        if clear:
            optimizer.zero_grad()
        real, fake = judge(x), judge(x_hat.detach() if detach else x_hat)
        (loss(fake, real) if exchange else loss(real, fake)).backward()
        if move:
            optimizer.step()

    return step


EXERCISES = {
    "gan_1": (
        "receptive_field",
        {
            "strides are missing": lambda layers: 1 + sum(kernel - 1 for kernel, _ in layers),
            "own stride": lambda layers: _field(layers, own_stride=True),
            "k - 1": lambda layers: _field(layers, kernel_less=0),
        },
    ),
    "gan_2": (
        "judge_loss",
        {
            "roles": lambda real, fake: _loss(fake, real),
            "each alone": lambda real, fake: F.softplus(-real).mean() + F.softplus(fake).mean(),
            "same place": lambda real, fake: 2 * F.softplus(fake - real).mean(),
            "do not sum": lambda real, fake: _loss(real, fake, torch.Tensor.sum),
            "not finite": _with_sigmoids,
            "through the means": _cut_off_means,
            "two terms is missing": lambda real, fake: F.softplus(fake.mean() - real).mean(),
            "do not average": lambda real, fake: _loss(real, fake) / 2,
        },
    ),
    "gan_3": (
        "forger_loss",
        {
            "helps the judge": lambda real, fake: _loss(real, fake),
            "plain form": lambda real, fake: F.softplus(-fake).mean(),
            "one of the two": lambda real, fake: F.softplus(real.mean() - fake).mean(),
            "minus the other": lambda real, fake: -_loss(real, fake),
            "do not average": lambda real, fake: _loss(fake, real) / 2,
            "not finite": lambda real, fake: _with_sigmoids(fake, real),
        },
    ),
    "gan_4": (
        "chance",
        {
            "same place": lambda real, fake: ((real > fake).float() + 0.5 * (real == fake)).mean(),
            "fake one is above": lambda real, fake: 1 - _chance(real, fake),
            "count half": lambda real, fake: (real.flatten()[:, None] > fake.flatten()).float().mean(),
        },
    ),
    "gan_5": (
        "judge_step",
        {
            "got a gradient": _step(detach=False),
            "clear them": _step(clear=False),
            "have not moved": _step(move=False),
            "exchanged": _step(exchange=True),
        },
    ),
}
