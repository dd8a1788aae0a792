"""Checks of 10_low_rate."""

import math
import random

import torch
import torch.nn.functional as F

from plic_lib.course.check import exercise


@exercise
def low_1(taps):
    """``taps(k, s, p)``: how many taps reach each of the s kinds of output pixel."""
    for k, s, p in ((5, 2, 2), (5, 2, 1), (4, 2, 1), (7, 3, 2), (2, 4, 1), (random.randint(5, 11), 3, random.randint(0, 2))):
        ones = F.conv_transpose1d(torch.ones(1, 1, 20), torch.ones(1, 1, k), stride=s, padding=p)[0, 0]
        expected = [int(ones[6 * s + r]) for r in range(s)]
        case = f"{k} taps, stride {s}, padding {p}"
        answer = [float(v) for v in taps(k, s, p)]
        assert len(answer) == s, f"{case}: one count for each remainder 0 … {s - 1}, so {s} numbers, not {len(answer)}"
        assert sum(answer) == k, f"{case}: every tap reaches exactly one kind of pixel, so the counts add up to {k}, not {sum(answer):g}"
        assert all(v == int(v) for v in answer), f"{case}: counts are whole numbers; a tap cannot be shared evenly"
        assert answer == expected or sorted(answer) != sorted(expected), (
            f"{case}: the counts are right, their order is not; tap t of input pixel i lands on output pixel s·i + t - p"
        )
        assert answer == expected, f"{case}: a row of ones gives {expected}, not {[int(v) for v in answer]}"


@exercise
def low_2(alternation):
    """``alternation(row)``: signed amplitude of (-1)^j in a row, blind to a constant and to a slope."""
    j = torch.arange(random.choice([30, 31, 32, 33]))
    swing = (-1.0) ** j
    level, slope = random.uniform(0.2, 2), random.choice([-1, 1]) * random.uniform(0.3, 0.6)
    for a in (random.uniform(0.5, 1), -random.uniform(0.5, 1)):
        value = float(alternation(a * swing))
        assert math.isfinite(value), "the result is not a number; are there pixels left to average?"
        assert abs(value + a) > 1e-4 or a < 0, "the sign is wrong: positive where the first pixel is the brighter one"
        assert abs(value - abs(a)) > 1e-4 or a > 0, "the sign is lost: negative where the first pixel is the darker one"
        assert abs(value - 2 * a) > 1e-4, "twice too large: pixels at +a and -a differ by 2a, and the amplitude is a"
        assert abs(value - a) < 1e-4, f"the row {a:.2f}, {-a:.2f}, {a:.2f}, … has amplitude {a:.2f}, not {value:.3f}"
        value = float(alternation(a * swing + 50 * level))
        assert abs(value - a) < 1e-3, f"a constant added to the row changed the answer from {a:.2f} to {value:.3f}"
        value = float(alternation(a * swing + slope * j))
        assert abs(value - a) < 1e-3, (
            f"a slope of {slope:.2f} a pixel changed the answer from {a:.2f} to {value:.3f}; use second differences"
        )


@exercise
def low_3(pooled):
    """``pooled(x, w)``: one row through a stride-2 deconvolution with five taps and a box of two."""
    n = random.randint(6, 11)
    x, w = torch.randn(n), torch.rand(5) + torch.tensor([0.5, 0.5, 2.5, 0.5, 0.5])  # kinds of pixels that differ
    full = F.conv_transpose1d(x[None, None], w[None, None], stride=2, padding=1)[0, 0]
    expected = (full[1:] + full[:-1]) / 2
    value = torch.as_tensor(pooled(x, w)).float()
    assert value.ndim == 1 and len(value) > 1, f"a row of {2 * n} values, not a tensor of shape {tuple(value.shape)}"
    assert len(value) != 2 * n + 1, "the box is missing: these are the 2n + 1 pixels in front of it"
    assert len(value) != 2 * n + 2, "nothing was cut: 2n + 3 pixels less one at each end are 2n + 1, and the box leaves 2n"
    assert len(value) == 2 * n, f"a row of {n} becomes one of {2 * n}, not of {len(value)}"
    assert not torch.allclose(value, 2 * expected, atol=1e-4), "the box averages two neighbours; this is their sum"
    other = F.conv_transpose1d(x[None, None], w.flip(0)[None, None], stride=2, padding=1)[0, 0]
    assert not torch.allclose(value, (other[1:] + other[:-1]) / 2, atol=1e-4), (
        "the kernel is the wrong way round: tap t of input pixel i lands on 2i + t - 1"
    )
    row = torch.as_tensor(pooled(torch.ones(12), w)).float()[4:-4]
    assert float(row.max() - row.min()) < 1e-4, (
        f"away from the ends a constant row has to stay constant; this one varies by {float(row.max() - row.min()):.2f}"
    )
    assert torch.allclose(value, expected, atol=1e-4), f"the first value should be {expected[0]:.3f}; this is {value[0]:.3f}"


@exercise
def low_4(rate_for):
    """``rate_for(quality, bpps, qualities)``: bpp at which a curve reaches a quality, or None."""
    count = random.randint(3, 5)
    steps = (torch.rand(count - 1) * 0.5 + 0.8).cumsum(0)
    logs = math.log(random.uniform(0.03, 0.06)) + torch.cat([torch.zeros(1), steps])
    values = random.uniform(21, 23) + torch.cat([torch.zeros(1), (torch.rand(count - 1) + 0.5).cumsum(0)])
    bpps, qualities = logs.exp(), values
    k = random.randrange(count - 1)
    t = random.uniform(0.35, 0.65)
    quality = float(values[k] + t * (values[k + 1] - values[k]))
    expected = float(torch.exp(logs[k] + t * (logs[k + 1] - logs[k])))
    straight = float(bpps[k] + t * (bpps[k + 1] - bpps[k]))
    value = rate_for(quality, bpps, qualities)
    assert value is not None, f"{quality:.2f} lies between the lowest and the highest quality, so there is a rate"
    assert not math.isclose(float(value), straight, rel_tol=1e-3), (
        "this is linear in bpp; curves are nearly straight over the logarithm of bpp"
    )
    assert not math.isclose(float(value), math.log(expected), rel_tol=1e-3), "this is the logarithm of the rate; give the rate itself"
    assert math.isclose(float(value), expected, rel_tol=1e-3), f"expected {expected:.4f} bpp, got {float(value):.4f}"
    for far in (float(values[0]) - 0.5, float(values[-1]) + 0.5):
        assert rate_for(far, bpps, qualities) is None, "a quality that the curve does not reach has no rate: return None, do not guess"
    quality = float((values[0] + values[1]) / 2)
    expected = float(torch.exp((logs[0] + logs[1]) / 2))
    for order in (torch.arange(count - 1, -1, -1), torch.randperm(count)):
        value = rate_for(quality, bpps[order], qualities[order])
        assert value is not None and math.isclose(float(value), expected, rel_tol=1e-3), "the points may come in any order; sort them first"
