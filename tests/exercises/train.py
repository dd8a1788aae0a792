import torch

NOTEBOOK = "12_gpu_training"


def _factor(decay, step, steps):
    return next((factor for fraction, factor in reversed(decay) if step >= fraction * steps), 1.0)


def _product(first, decay, step, steps):
    for fraction, factor in decay:
        if step >= fraction * steps:
            first = first * factor
    return first


def _earliest(first, decay, step, steps):
    return first * next((factor for fraction, factor in decay if step >= fraction * steps), 1.0)


def _later(first, decay, step, steps):
    return first * next((factor for fraction, factor in reversed(decay) if step > fraction * steps), 1.0)


def _norm(gradients):
    return torch.cat([g.flatten() for g in gradients]).norm()


EXERCISES = {
    "train_1": (
        "learning_rate",
        {
            "not only its factor": lambda first, decay, step, steps: _factor(decay, step, steps),
            "do not multiply": _product,
            "the last of them": _earliest,
            "from the step itself": _later,
        },
    ),
    "train_2": (
        "share",
        {
            "not all of it": lambda step, batch, process, n: range(step * batch, (step + 1) * batch),
            "same item": lambda step, batch, process, n: range(step * batch, step * batch + batch // n),
            "earlier steps": lambda step, batch, process, n: range(process * (batch // n), (process + 1) * (batch // n)),
            "takes neighbours": lambda step, batch, process, n: range(step * batch + process, (step + 1) * batch, n),
        },
    ),
    "train_3": (
        "average",
        {
            "plain average": lambda gradients, counts: sum(gradients) / len(gradients),
            "gradient of the sum": lambda gradients, counts: sum(n * g for n, g in zip(counts, gradients)),
            "not of processes": lambda gradients, counts: sum(n * g for n, g in zip(counts, gradients)) / len(counts),
            "has the shape": lambda gradients, counts: sum(n * g for n, g in zip(counts, gradients)).mean() / sum(counts),
        },
    ),
    "train_4": (
        "clip_all",
        {
            "one by one": lambda gradients, largest: [g * min(1.0, largest / float(g.norm())) for g in gradients],
            "each entry": lambda gradients, largest: [g.clamp(-largest, largest) for g in gradients],
            "nothing is made longer": lambda gradients, largest: [g * (largest / _norm(gradients)) for g in gradients],
            "nothing was shortened": lambda gradients, largest: gradients,
        },
    ),
}
