"""What the exercises of 13_results are tried on: random curves of rate and quality with straight lines over them, and bootstraps."""

import math
import random

import torch


def rising(n: int, start: float, end: float) -> torch.Tensor:
    """``n`` rising numbers from ``start`` to ``end`` at uneven steps, double."""
    steps = torch.cumsum(0.3 + torch.rand(n, dtype=torch.float64), 0)
    return start + (end - start) * (steps - steps[0]) / (steps[-1] - steps[0])


def curves():
    for _ in range(4):
        rates, values = torch.exp(rising(5, -3, 0)), rising(5, 25, 25 + 5 * random.uniform(1, 2))
        k, part = random.randrange(4), random.choice((random.uniform(0.3, 0.42), random.uniform(0.58, 0.7)))
        yield rates, values, float((1 - part) * values[k] + part * values[k + 1])


def on_line(rates, values, wanted, turned=False):
    right = int((values < wanted).sum())
    part = float((wanted - values[right - 1]) / (values[right] - values[right - 1]))
    return torch.lerp(rates[right - 1], rates[right], 1 - part if turned else part)


def mean_gap(rates, values, test_rates, test_values, low=max, high=min, axis=torch.log):
    """Of lines over a quality range, by default the common one, on an axis of rates."""
    grid = torch.linspace(low(float(values[0]), float(test_values[0])), high(float(values[-1]), float(test_values[-1])), 801)

    def line(rates, values):
        right = torch.searchsorted(values, grid.double()).clamp(1, len(values) - 1)
        part = ((grid - values[right - 1]) / (values[right] - values[right - 1])).clamp(0, 1)
        return torch.lerp(axis(rates)[right - 1], axis(rates)[right], part)

    return float((line(test_rates, test_values) - line(rates, values)).mean())


def pairs_of_curves():
    for test_range in ((26.5, 32), (27, 36), (23, 31)):  # inside the other one, or beside it
        rates, values = torch.exp(rising(6, -3, 0)), rising(6, 25, 34)
        test_rates, test_values = torch.exp(rising(5, -2.6, 0.4)), rising(5, *test_range)
        # a factor between the codecs for which typical slips give answers far from each other
        wanted = random.choice([-0.7, -0.3, 0.25, 0.6])
        factor = math.exp(wanted - mean_gap(rates, values, test_rates, test_values))
        yield rates, values, test_rates * factor, test_values


def interval(means, tail=0.025):
    return means.quantile(tail), means.quantile(1 - tail)


def drawn_means(figures, draws):
    return figures[torch.randint(len(figures), (draws, len(figures)))].mean(dim=1)
