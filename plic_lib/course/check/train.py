"""Exercises of 12_gpu_training."""

import math
import random
from functools import partial

import torch

from plic_lib.course.check.exercise import Exercise

NOTEBOOK = "12_gpu_training"


def learning_rate(first, decay, cooldown, step, steps):
    """Of the milestones that the step has reached the last one counts, so search from the end. The cooldown multiplies whatever
    holds by then, and it begins at the last step before it with a factor of 1."""
    rate = first * next((factor for milestone, factor in reversed(decay) if step >= milestone), 1.0)
    begins = steps - cooldown
    return rate * (1 - ((step - begins) / cooldown) ** 0.5) if step > begins else rate


def _schedules():
    steps, first = 1000 * random.randint(6, 9), random.uniform(1e-4, 1e-3)
    milestones = [round(part * steps) for part in (random.uniform(0.1, 0.2), random.uniform(0.3, 0.4), random.uniform(0.5, 0.6))]
    decay = list(zip(milestones, (random.uniform(0.6, 0.9), random.uniform(0.3, 0.5), random.uniform(0.1, 0.2))))
    cooldown = round(random.uniform(0.15, 0.3) * steps)
    begins = steps - cooldown
    for step in (0, milestones[1] - 1, milestones[1], begins, begins + cooldown // 10, begins + cooldown // 4, begins + cooldown // 2):
        yield first, decay, cooldown, step, steps


def _rate(first, decay, cooldown, step, steps, reached=None, fall=lambda part: 1 - math.sqrt(part), late=0):
    found = [factor for milestone, factor in decay if step >= milestone + late]
    begins = steps - cooldown
    return first * (reached or (lambda f: f[-1] if f else 1.0))(found) * (fall((step - begins) / cooldown) if step > begins else 1.0)


train_1 = Exercise(
    learning_rate,
    _schedules,
    tolerance=(1e-4, 0),
    hint="Which of the milestones has the step reached, and which of several counts? How large is the share of the cooldown that is over?",
    rule="the first learning rate times the factor of the last milestone that was reached, and in the cooldown times 1 minus the root of "
    "the share that is over",
    slips={
        "product": ("each factor is relative to the first learning rate: do not multiply them all", partial(_rate, reached=math.prod)),
        "first reached": (
            "several milestones may have been reached: the last of them counts",
            partial(_rate, reached=lambda found: found[0] if found else 1.0),
        ),
        "a step late": ("the new factor holds from the milestone itself on", partial(_rate, late=1)),
        "straight": (
            "in the cooldown the rate falls by the root of the share that is over, quickly at first; this falls on a straight line",
            partial(_rate, fall=lambda part: 1 - part),
        ),
        "root of the rest": (
            "this is the root of the share that is left; the rate is 1 minus the root of the share that is over",
            partial(_rate, fall=lambda part: math.sqrt(1 - part)),
        ),
        "no milestones": (
            "the cooldown multiplies the rate that holds by then, not the first one",
            lambda first, decay, cooldown, step, steps: _rate(first, [] if step > steps - cooldown else decay, cooldown, step, steps),
        ),
        "no cooldown": ("over the last steps, `cooldown` of them, the rate falls to zero", partial(_rate, fall=lambda part: 1.0)),
        "share of all steps": (
            "the share of the cooldown is meant, not that of all steps",
            lambda first, decay, cooldown, step, steps: _rate(
                first, decay, cooldown, step, steps, fall=lambda part: 1 - math.sqrt(step / steps)
            ),
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
        "every n-th": (
            "all items are taken once, but a process takes neighbours: process 0 the first of the batch",
            lambda step, batch, process, n: range(step * batch + process, (step + 1) * batch, n),
        ),
        "own batches": (
            "`batch` is that of all processes together; each takes batch / processes",
            lambda step, batch, process, n: range((step * n + process) * batch, (step * n + process + 1) * batch),
        ),
        "from 1": (
            "processes count from 0: process 0 takes the first items",
            lambda step, batch, process, n: share(step, batch, process - 1, n),
        ),
    },
)


def missing(state, saved, course):
    """An experiment for each name: everything but this one. What is left out and changes nothing is a cache, a clock, or a function
    of something that is saved. Two entries that hide each other would need pairs; a state of independent parts does not."""
    whole = course(state)
    others = (name for name in state if name not in saved)
    return sorted(name for name in others if course({n: value for n, value in state.items() if n != name}) != whole)


def _runs():
    """Toy trainings of one weight: Adam's memory acts at once, an average in the check, a steered weight after the next check."""
    for _ in range(3):
        needed = ["weight", "step", "momentum", "squares", "average", "alpha"]
        harmless = ["crops_read", "seconds", "best_loss"]
        step = 4 * random.randint(5, 7) + random.randint(0, 1)  # some steps before the next check, and before alpha acts
        state = {"weight": random.uniform(2, 4), "step": step, "momentum": random.uniform(0.5, 1)}
        state |= {"squares": random.uniform(1, 3), "average": random.uniform(5, 6), "alpha": random.uniform(2, 3)}
        state |= {"crops_read": random.randint(100, 900), "seconds": random.uniform(10, 90), "best_loss": random.uniform(0, 1)}
        lost = ["average", "alpha", random.choice(("momentum", "squares"))]
        kept = [name for name in needed if name not in lost] + random.sample(harmless, 1)
        yield state, kept, _course


def _course(entries):
    """(loss, check) of the next twelve steps; a check every fourth step, else None."""
    fresh = {"weight": 0.0, "step": 0, "momentum": 0.0, "squares": 0.0, "average": 0.0, "alpha": 1.0}
    run, figures = fresh | dict(entries), []
    for _ in range(12):
        noise = math.sin(1000 * run["step"])  # chance as a function of the step
        alpha = run["alpha"] if run["step"] % 4 == 3 else 1.0  # the level that alpha belongs to is not trained in every step
        slope = run["weight"] - 1 + 0.1 * noise * alpha
        figures.append([0.5 * slope**2, None])
        run["momentum"] = 0.9 * run["momentum"] + 0.1 * slope
        run["squares"] = 0.99 * run["squares"] + 0.01 * slope**2
        run["weight"] -= 0.1 * run["momentum"] / (run["squares"] ** 0.5 + 0.01)
        run["average"] += 0.1 * (run["weight"] - run["average"])
        run["step"] += 1
        if run["step"] % 4 == 0:
            figures[-1][1] = run["average"]
            run["alpha"] *= 1.01
    return [tuple(pair) for pair in figures]


def _unlike(state, saved, course, seen=lambda figures: figures, names=None):
    whole = seen(course(state))
    found = (names or (lambda: [name for name in state if name not in saved]))()
    return sorted(name for name in found if seen(course({n: value for n, value in state.items() if n != name})) != whole)


train_3 = Exercise(
    missing,
    _runs,
    hint="Leave one entry out and let both runs go on. When would you see that the average is lost? That a weight that is steered is?",
    rule="sorted, the names that are not saved and without which the course of the next steps differs anywhere",
    slips={
        "all that is absent": (
            "what is a clock, a count or a best value changes nothing: leave out what the course does not need",
            lambda state, saved, course: sorted(set(state) - set(saved)),
        ),
        "first step": (
            "some losses show only after several steps, or in a check: compare the whole course",
            partial(_unlike, seen=lambda figures: figures[0]),
        ),
        "losses alone": (
            "the losses agree where only the average is lost: compare the checks too",
            partial(_unlike, seen=lambda figures: [loss for loss, _ in figures]),
        ),
        "saved ones too": (
            "what is saved is not missing",
            lambda state, saved, course: _unlike(state, [], course),
        ),
        "all at once": (
            "the answer is a list of names, not whether anything is missing",
            lambda state, saved, course: course({name: state[name] for name in saved}) != course(state),
        ),
    },
)


def shared_step(gradients, counts, largest):
    """A mean over n samples, times n, is their sum; one division makes a mean again. Only then is there a norm to be clipped: one
    for all tensors."""
    samples = sum(counts)
    mean = [torch.stack([n * g for n, g in zip(counts, parts)]).sum(0) / samples for parts in zip(*gradients)]
    norm = torch.cat([g.flatten() for g in mean]).norm()
    return [g * min(1.0, largest / norm.item()) for g in mean]


def _norm(tensors):
    return float(torch.cat([t.flatten() for t in tensors]).norm())


def _mean(gradients, weights):
    return [sum(w * g for w, g in zip(weights, parts)) / sum(weights) for parts in zip(*gradients)]


def _clip(tensors, largest):
    return [t * min(1.0, largest / _norm(tensors)) for t in tensors]


def _gradients():
    for of_the_norm in (random.uniform(0.3, 0.6), random.uniform(0.3, 0.6), 2.0):
        counts = random.sample(range(1, 9), 3)
        gradients = [[torch.randn(3, 4) / n**0.5 + process, 3 * torch.randn(5) - process] for process, n in enumerate(counts)]
        yield gradients, counts, of_the_norm * _norm(_mean(gradients, counts))


train_4 = Exercise(
    shared_step,
    _gradients,
    hint="A gradient of a mean over n samples, times n, is what? And of what is the norm to be limited: of a part or of the whole?",
    rule="the mean over all samples, shortened as one vector to the largest norm if it is longer",
    slips={
        "plain mean": (
            "a sample of a small share counts no more than one of a large share",
            lambda gradients, counts, largest: _clip(_mean(gradients, [1] * len(counts)), largest),
        ),
        "clipped before": (
            "clipping comes after the average: parts that are clipped each by itself have another direction",
            lambda gradients, counts, largest: _mean([_clip(g, largest) for g in gradients], counts),
        ),
        "one by one": (
            "one norm for all tensors together: clipped one by one, the direction changes",
            lambda gradients, counts, largest: [_clip([g], largest)[0] for g in _mean(gradients, counts)],
        ),
        "made longer": (
            "a norm below the largest stays as it is: nothing is made longer",
            lambda gradients, counts, largest: [g * largest / _norm(_mean(gradients, counts)) for g in _mean(gradients, counts)],
        ),
        "not clipped": ("the mean is right; its norm has to be limited", lambda gradients, counts, largest: _mean(gradients, counts)),
    },
)


def gpu_hours(codec, lpips, judge, batch, steps, teraflops):
    """With F for a forward pass: the codec 3 F, as both gradients cost about F. LPIPS sees the original forward (F) and the decoded
    picture there and back, without gradients of its weights (2 F). The judge sees both pictures, for the codec there and back
    without its own gradients (2 · 2 F), and learns from both (2 · 3 F)."""
    sample = 3 * codec + 3 * lpips + 10 * judge
    return sample * batch * steps / (teraflops * 1e12) / 3600


def _trainings():
    for _ in range(3):
        forward = [random.uniform(low, 2 * low) * 1e10 for low in (2.0, 0.5, 1.0)]
        yield *forward, random.choice((8, 16, 32)), 10_000 * random.randint(5, 80), random.uniform(5, 100)


def _hours(codec, lpips, judge, batch, steps, teraflops, times=(3, 3, 10)):
    return sum(n * f for n, f in zip(times, (codec, lpips, judge))) * batch * steps / (teraflops * 3.6e15)


train_5 = Exercise(
    gpu_hours,
    _trainings,
    tolerance=(1e-3, 0),
    hint="For each network: how many pictures does it see, does anything flow back through it, and do its own weights learn?",
    rule="forward passes of a sample: 3 of the codec, 3 of LPIPS and 10 of the judge; times all samples, over operations a second",
    slips={
        "forward only": ("this counts the way forward alone; backward takes about twice as much again", partial(_hours, times=(1, 2, 4))),
        "judge once": ("the judge sees two pictures, the original and the decoded one", partial(_hours, times=(3, 3, 5))),
        "judge not frozen": (
            "in the codec's step the judge's own weights get no gradient: two passes a picture, not three",
            partial(_hours, times=(3, 3, 12)),
        ),
        "one step": ("the judge works twice in a step: for the codec, and for its own", partial(_hours, times=(3, 3, 6))),
        "LPIPS learns": (
            "the weights of LPIPS get no gradient, and through the original nothing flows back",
            partial(_hours, times=(3, 6, 10)),
        ),
        "three times": ("not every network learns, nor sees one picture only", partial(_hours, times=(3, 3, 3))),
        "batch": ("`steps` are steps, each of `batch` samples", lambda c, p, j, batch, *more: _hours(c, p, j, 1, *more)),
        "seconds": ("these are seconds; an hour has 3,600", lambda *given: 3600 * _hours(*given)),
    },
)
