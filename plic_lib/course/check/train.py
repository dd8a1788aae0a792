"""Checks of 12_gpu_training."""

import math
import random

import torch
from torch import Tensor

from plic_lib.course.check import exercise


def _close(a, b, tolerance: float = 1e-4) -> bool:
    return math.isclose(float(a), float(b), rel_tol=tolerance)


def _agree(value: Tensor, expected: Tensor) -> bool:
    return value.shape == expected.shape and torch.allclose(value, expected, rtol=1e-4, atol=1e-6)


@exercise
def train_1(learning_rate):
    """``learning_rate(first, decay, step, steps)``: the first one times the factor of the last fraction reached."""
    steps, first = 1000 * random.randint(2, 9), random.uniform(1e-4, 1e-3)
    fractions = (0.2 + random.choice((0.0, 0.1)), 0.5, 0.7 + random.choice((0.0, 0.1)))
    factors = sorted((random.uniform(0.5, 0.9), random.uniform(0.2, 0.4), random.uniform(0.01, 0.1)), reverse=True)
    decay = list(zip(fractions, factors))
    rate = lambda step: learning_rate(first, decay, step, steps)  # noqa: E731
    begin, end = rate(0), rate(steps - 1)
    assert not _close(begin, 1), "return the learning rate itself, not only its factor"
    assert _close(begin, first), f"before the first fraction the learning rate is {first:.2e}; yours is {float(begin):.2e}"
    assert not _close(end, first * math.prod(factors)), "each factor is relative to the first learning rate: do not multiply them all"
    assert not _close(end, first * factors[0]), "several fractions may have been reached: the last of them counts"
    assert _close(end, first * factors[-1]), f"after the last fraction expected {first * factors[-1]:.2e}, got {float(end):.2e}"
    middle = round((fractions[1] + fractions[2]) / 2 * steps)
    assert _close(rate(middle), first * factors[1]), "between the second and the third fraction the second factor holds"
    assert _close(rate(steps // 2), first * factors[1]), "the new factor holds from the step itself on that reaches the fraction"


@exercise
def train_2(share):
    """``share(step, batch, process, processes)``: the item numbers of one process."""
    processes = random.choice((3, 4, 5))
    size = processes + random.choice((1, 2))  # items of one process: not equal to the number of processes
    batch, step = size * processes, random.randint(3, 50)
    items = [[int(k) for k in share(step, batch, process, processes)] for process in range(processes)]
    counts = [len(own) for own in items]
    assert counts != [batch] * processes, "each process takes only its share of the batch, not all of it"
    assert counts == [size] * processes, f"a batch of {batch} for {processes} processes is {size} items each; yours have {counts}"
    together = [k for own in items for k in own]
    assert len(set(together)) == batch, "two processes take the same item: where does the number of the process come in?"
    assert min(together) != 0, f"step {step} does not begin at item 0: earlier steps took {step * batch} items"
    assert sorted(together) == list(range(step * batch, (step + 1) * batch)), (
        f"together they have to take items {step * batch} to {(step + 1) * batch - 1} at step {step}, as one process would"
    )
    assert together == sorted(together), "all items are taken once, but a process takes neighbours: process 0 the first of the batch"


@exercise
def train_3(average):
    """``average(gradients, counts)``: the gradient of the mean over all samples."""
    shape = (random.randint(2, 4), random.randint(5, 6))
    counts = random.sample(range(1, 9), random.randint(3, 4))
    samples = [torch.randn(count, *shape) + index for index, count in enumerate(counts)]
    gradients = [sample.mean(dim=0) for sample in samples]
    kept = [gradient.clone() for gradient in gradients]
    value = torch.as_tensor(average(gradients, counts))
    assert value.shape == shape, f"the average has the shape of each gradient, {shape}, not {tuple(value.shape)}"
    assert not _agree(value, sum(gradients) / len(gradients)), "the plain average counts a sample of a small share more than one of a large"
    weighted = sum(count * gradient for count, gradient in zip(counts, gradients))
    assert not _agree(value, weighted), "that is the gradient of the sum over the samples: divide by how many there are"
    assert not _agree(value, weighted / len(counts)), "divide by the number of samples, not of processes"
    assert _agree(value, torch.cat(samples).mean(dim=0)), "a gradient of a mean over n samples stands for n of them"
    assert all(torch.equal(a, b) for a, b in zip(gradients, kept)), "the gradients that were handed in have changed"


@exercise
def train_4(clip_all):
    """``clip_all(gradients, largest)``: scaled together to a norm of at most ``largest``."""
    gradients = [torch.randn(random.randint(2, 5), 4) * scale for scale in (0.3, 1.0, 3.0)]
    gradients[2][0, 0] = random.choice((-20.0, 20.0))  # one entry that is most of the norm
    norm = float(torch.cat([g.flatten() for g in gradients]).norm())
    largest = norm * random.uniform(0.3, 0.6)
    value = list(clip_all([g.clone() for g in gradients], largest))
    assert [v.shape for v in value] == [g.shape for g in gradients], "return a list of tensors with the shapes of those handed in"
    alone = [g * min(1.0, largest / float(g.norm())) for g in gradients]
    assert not all(map(_agree, value, alone)), "one norm for all tensors together: clipped one by one, the direction changes"
    assert not all(map(_agree, value, gradients)), (
        f"nothing was shortened: the norm of all is {norm:.2f}, the largest allowed {largest:.2f}"
    )
    assert not all(map(_agree, value, [g.clamp(-largest, largest) for g in gradients])), "that limits each entry; the norm is meant"
    total = float(torch.cat([v.flatten() for v in value]).norm())
    assert _close(total, largest), f"the norm of all together is {total:.3f} afterwards, not {largest:.3f}"
    assert all(map(_agree, value, [g * (largest / norm) for g in gradients])), "all tensors are multiplied by the same number"
    value = list(clip_all([g.clone() for g in gradients], 2 * norm))
    assert all(map(_agree, value, gradients)), "a norm below the largest stays as it is: nothing is made longer"
