"""Checks of 01_rate_and_distortion."""

import math
import random

import torch

from plic_lib.course.check import exercise


def _close(a, b, tolerance: float = 1e-4) -> bool:
    return math.isclose(float(a), float(b), rel_tol=tolerance, abs_tol=tolerance)


@exercise
def rate_1(entropy):
    """``entropy(p)``: bits of a distribution, given as a tensor of probabilities."""
    weights = torch.rand(random.randint(3, 9)) + 0.05
    p = weights / weights.sum()
    bits = float(-(p * torch.log2(p)).sum())
    value = entropy(p)
    assert not _close(value, bits * math.log(2)), "this is in nats; bits need a logarithm to the base 2"
    assert not _close(value, -bits), "the sign is wrong: log2 of a probability is negative"
    assert _close(value, bits), f"for p = {[round(v, 3) for v in p.tolist()]} the entropy is {bits:.4f} bits, not {float(value):.4f}"
    certain = float(entropy(torch.tensor([1.0, 0.0])))
    assert not math.isnan(certain), "a value that never occurs has p = 0, and 0 · log2(0) counts as 0, not as NaN"
    assert _close(certain, 0), "a certain outcome has an entropy of zero bits"


@exercise
def rate_2(psnr):
    """``psnr(x, x_hat)`` in dB of pictures in [0, 1]."""
    x = torch.rand(3, 16, 16)
    x_hat = x + torch.randn(3, 16, 16) * torch.tensor([0.02, 0.05, 0.2])[:, None, None]
    error = (x - x_hat) ** 2
    expected = float(-10 * torch.log10(error.mean()))
    value = float(psnr(x, x_hat))
    per_channel = float((-10 * torch.log10(error.mean(dim=(1, 2)))).mean())
    assert not _close(value, per_channel, 1e-3), "average the squared error over all channels first, then take the logarithm once"
    assert not _close(value, expected + 20 * math.log10(255), 1e-3), "the peak is 1 for pictures in [0, 1], not 255"
    assert not _close(value, expected / 2, 1e-3), "the logarithm is of the squared error: 10 · log10, without a square root"
    assert _close(value, expected, 1e-3), f"expected {expected:.3f} dB, got {value:.3f}"


@exercise
def rate_3(quantise):
    """``quantise(x, step)``: the nearest multiple of ``step``."""
    x, step = 4 * torch.randn(400), random.uniform(0.3, 0.9)
    value = quantise(x, step)
    multiples = value / step
    assert not torch.allclose(value, torch.round(x / step)), "these are the symbols; the decoder multiplies them by the step again"
    assert torch.allclose(multiples, multiples.round(), atol=1e-3), "every result has to be a multiple of the step"
    bias = float((value - x).mean())
    assert abs(bias) < step / 8, f"the error is {bias:+.2f} on average: round to the nearest multiple, floor and ceil are biased"
    assert float((value - x).abs().max()) <= step / 2 + 1e-4, "no error may exceed half a step"


@exercise
def rate_4(best):
    """``best(rates, distortions, weight)``: index of the smallest distortion + weight · rate."""
    rates = torch.sort(torch.rand(12) * 5 + 0.1, descending=True).values
    distortions = torch.exp2(-2 * rates) * (1 + 0.1 * torch.rand(12))
    for weight in (1e6, 1e-6, 0.3, 0.03, 0.003):
        cost = distortions + weight * rates
        index = int(best(rates, distortions, weight))
        assert 0 <= index < 12, "return an index, from 0 to the number of points less one"
        assert weight < 1e5 or index == int(rates.argmin()), "with an enormous weight on the rate, the cheapest point wins"
        assert weight > 1e-5 or index == int(distortions.argmin()), "with next to no weight on the rate, the best picture wins"
        assert float(cost[index]) <= float(cost.min()) + 1e-9, (
            f"at weight {weight:g} point {int(cost.argmin())} is cheaper than point {index}"
        )
