"""Exercises of 12_gpu_training."""

import random

import torch

from plic_lib.course.check.exercise import Exercise

NOTEBOOK = "12_gpu_training"


def learning_rate(first, decay, step, steps):
    """Of the fractions that the step has reached the last one counts, so search from the end. Before the first one, the
    factor is 1."""
    return first * next((factor for fraction, factor in reversed(decay) if step >= fraction * steps), 1.0)


def _schedules():
    steps, first = 1000 * random.randint(2, 9), random.uniform(1e-4, 1e-3)
    fractions = random.uniform(0.2, 0.3), 0.5, random.uniform(0.7, 0.8)
    factors = random.uniform(0.5, 0.9), random.uniform(0.2, 0.4), random.uniform(0.01, 0.1)
    reached = (fractions[1] + fractions[2]) / 2
    for step in (0, round(0.4 * steps), steps // 2 - 1, steps // 2, round(reached * steps), steps - 1):
        yield first, list(zip(fractions, factors)), step, steps


def _product(first, decay, step, steps):
    for fraction, factor in decay:
        first = first * factor if step >= fraction * steps else first
    return first


train_1 = Exercise(
    learning_rate,
    _schedules,
    tolerance=(1e-4, 0),
    hint="Which of the fractions has the step reached? Of several, which one counts? And before the first?",
    rule="the first learning rate times the factor of the last fraction that the step has reached, 1 before the first fraction",
    slips={
        "factor": (
            "return the learning rate itself, not only its factor",
            lambda first, decay, step, steps: learning_rate(1.0, decay, step, steps),
        ),
        "product": ("each factor is relative to the first learning rate: do not multiply them all", _product),
        "first reached": (
            "several fractions may have been reached: the last of them counts",
            lambda first, decay, step, steps: first * next((factor for fraction, factor in decay if step >= fraction * steps), 1.0),
        ),
        "a step late": (
            "the new factor holds from the step itself on that reaches the fraction",
            lambda first, decay, step, steps: first * next((f for part, f in reversed(decay) if step > part * steps), 1.0),
        ),
        "fractions as steps": (
            "a fraction of all steps is meant: multiply it by `steps` before comparing",
            lambda first, decay, step, steps: learning_rate(first, decay, step, 1),
        ),
        "no start": (
            "before the first fraction the learning rate is the first one",
            lambda first, decay, step, steps: first * next((f for part, f in reversed(decay) if step >= part * steps), decay[0][1]),
        ),
    },
)


def share(step, batch, process, processes):
    """Earlier steps took `step * batch` items, earlier processes of this step `process * own`."""
    own = batch // processes
    first = step * batch + process * own
    return list(range(first, first + own))


def _processes():
    processes = random.choice((3, 4, 5))
    batch = processes * (processes + random.choice((1, 2)))  # items of one process: not as many as there are processes
    for step in (random.randint(3, 50), 0, random.randint(3, 50)):
        for process in range(processes):
            yield step, batch, process, processes


train_2 = Exercise(
    share,
    _processes,
    hint="How many items were taken before this step, by all processes? How many within this step by the processes before this one?",
    rule="together the processes take items step · batch up to (step + 1) · batch - 1, each a run of neighbours, process 0 the first",
    slips={
        "whole batch": (
            "each process takes only its share of the batch, not all of it",
            lambda step, batch, process, n: range(step * batch, (step + 1) * batch),
        ),
        "same items": (
            "two processes take the same item: where does the number of the process come in?",
            lambda step, batch, process, n: range(step * batch, step * batch + batch // n),
        ),
        "step ignored": (
            "every step takes the same items: earlier steps took step · batch of them",
            lambda step, batch, process, n: share(0, batch, process, n),
        ),
        "every n-th": (
            "all items are taken once, but a process takes neighbours: process 0 the first of the batch",
            lambda step, batch, process, n: range(step * batch + process, (step + 1) * batch, n),
        ),
        "own batches": (
            "`batch` is that of all processes together; each takes batch / processes",
            lambda step, batch, process, n: range((step * n + process) * batch, (step * n + process + 1) * batch),
        ),
        "steps of own": (
            "a step moves on by the batch of all processes, not by the share of one",
            lambda step, batch, process, n: range((step + process) * (batch // n), (step + process + 1) * (batch // n)),
        ),
        "from 1": (
            "processes count from 0: process 0 takes the first items",
            lambda step, batch, process, n: share(step, batch, process - 1, n),
        ),
    },
)


def average(gradients, counts):
    """A mean over $n$ samples, times $n$, is their sum. Sums may be added; one division at the end makes a mean again."""
    return sum(count * gradient for count, gradient in zip(counts, gradients)) / sum(counts)


def _gradients():
    for processes in (3, 4):
        shape = (random.randint(2, 4), random.randint(5, 6))
        counts = random.sample(range(1, 9), processes)
        yield [torch.randn(shape) / count**0.5 + index for index, count in enumerate(counts)], counts


def _average_and_given(function, gradients, counts):
    given = [gradient.clone() for gradient in gradients]
    value = function(gradients, counts)
    return {"average": value, "the gradients handed in": [bool(torch.equal(a, b)) for a, b in zip(gradients, given)]}


def _in_place(gradients, counts):
    for gradient, count in zip(gradients, counts):
        gradient *= count / sum(counts)
    return sum(gradients)


def _summed(gradients, counts):
    return sum(count * gradient for count, gradient in zip(counts, gradients))


train_3 = Exercise(
    average,
    _gradients,
    observe=_average_and_given,
    hint="A gradient of a mean over n samples, times n, is what? Sums of all processes may be added.",
    rule="a gradient of a mean over n samples stands for n of them",
    slips={
        "plain mean": (
            "the plain average counts a sample of a small share more than one of a large",
            lambda gradients, counts: sum(gradients) / len(gradients),
        ),
        "sum": ("that is the gradient of the sum over the samples: divide by how many there are", _summed),
        "by processes": (
            "divide by the number of samples, not of processes",
            lambda gradients, counts: _summed(gradients, counts) / len(counts),
        ),
        "one number": ("the average has the shape of each gradient", lambda gradients, counts: torch.stack(gradients).mean()),
        "shares turned": (
            "a gradient of more samples counts more, not less",
            lambda gradients, counts: sum(g / n for g, n in zip(gradients, counts)) / sum(1 / n for n in counts),
        ),
        "in place": ("the gradients that were handed in have changed: an optimiser would take them as they are now", _in_place),
        "plain sum": ("this adds means; each stands for as many samples as its count", lambda gradients, counts: sum(gradients)),
    },
)


def clip_all(gradients, largest):
    """One norm for all entries of all tensors, one factor for all of them, and never a factor above 1. So the direction
    stays."""
    norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
    factor = min(1.0, largest / norm.item())
    return [factor * gradient for gradient in gradients]


def _norm(gradients):
    return float(torch.cat([g.flatten() for g in gradients]).norm())


def _lists_of_gradients():
    for of_the_norm in (random.uniform(0.3, 0.6), random.uniform(0.3, 0.6), 2.0):
        gradients = [torch.randn(random.randint(2, 5), 4) * scale for scale in (0.3, 1.0, 3.0)]
        gradients[2][0, 0] = random.choice((-20.0, 20.0))  # one entry that is most of the norm
        yield gradients, of_the_norm * _norm(gradients)


train_4 = Exercise(
    clip_all,
    _lists_of_gradients,
    hint="How long is the vector of all entries of all tensors? By which one number have all to be multiplied, and when by none?",
    rule="all tensors are multiplied by the same number, so that their norm together is at most the largest; what is short enough stays",
    slips={
        "one by one": (
            "one norm for all tensors together: clipped one by one, the direction changes",
            lambda gradients, largest: [g * min(1.0, largest / float(g.norm())) for g in gradients],
        ),
        "entries": (
            "that limits each entry; the norm is meant",
            lambda gradients, largest: [g.clamp(-largest, largest) for g in gradients],
        ),
        "made longer": (
            "a norm below the largest stays as it is: nothing is made longer",
            lambda gradients, largest: [g * (largest / _norm(gradients)) for g in gradients],
        ),
        "nothing": ("nothing was shortened", lambda gradients, largest: gradients),
        "squared norm": (
            "this divides by the square of the norm: the root of the sum of squares is missing",
            lambda gradients, largest: [g * min(1.0, largest / _norm(gradients) ** 2) for g in gradients],
        ),
        "norms added": (
            "norms do not add up; their squares do",
            lambda gradients, largest: [g * min(1.0, largest / sum(float(h.norm()) for h in gradients)) for g in gradients],
        ),
        "to length 1": (
            "the norm is brought to 1 here, not to the largest",
            lambda gradients, largest: [g / max(1.0, _norm(gradients)) for g in gradients],
        ),
    },
)
