import math

import torch
import torch.nn.functional as F

NOTEBOOK = "10_low_rate"


def _taps(k, s, p):
    return [sum((t - p) % s == r for t in range(k)) for r in range(s)]


def _deconvolution(x, w, padding=1):
    return F.conv_transpose1d(x[None, None], w[None, None], stride=2, padding=padding)[0, 0]


def _box(y):
    return (y[1:] + y[:-1]) / 2


def _second_differences(row, divisor=4):
    swing = (-1.0) ** torch.arange(len(row))
    return (swing[1:-1] * (2 * row[1:-1] - row[:-2] - row[2:])).mean() / divisor


def _interpolated(quality, bpps, qualities, log=torch.log, exp=torch.exp):
    """Without sorting, and with a guess where the curve does not reach."""
    k = int((qualities <= quality).sum().clamp(1, len(bpps) - 1)) - 1
    t = (quality - qualities[k]) / (qualities[k + 1] - qualities[k])
    return exp((1 - t) * log(bpps[k]) + t * log(bpps[k + 1]))


def _none_outside(quality, bpps, qualities):
    return _interpolated(quality, bpps, qualities) if qualities.min() <= quality <= qualities.max() else None


EXERCISES = {
    "low_1": (
        "taps",
        {
            "order is not": lambda k, s, p: _taps(k, s, 0),
            "add up to": lambda k, s, p: [k // s] * s,
            "whole numbers": lambda k, s, p: [k / s] * s,
            "so 2 numbers": lambda k, s, p: _taps(k, s, p)[:1],
        },
    ),
    "low_2": (
        "alternation",
        {
            "slope": lambda row: ((-1.0) ** torch.arange(len(row) // 2 * 2) * row[: len(row) // 2 * 2]).mean(),
            "twice": lambda row: _second_differences(row, 2),
            "sign is lost": lambda row: _second_differences(row).abs(),
            "sign is wrong": lambda row: -_second_differences(row),
        },
    ),
    "low_3": (
        "pooled",
        {
            "box is missing": _deconvolution,
            "nothing was cut": lambda x, w: _box(_deconvolution(x, w, 0)),
            "sum": lambda x, w: 2 * _box(_deconvolution(x, w)),
            "wrong way round": lambda x, w: _box(_deconvolution(x, w.flip(0))),
            "stay constant": lambda x, w: _deconvolution(x, w)[:-1],
        },
    ),
    "low_4": (
        "rate_for",
        {
            "linear in bpp": lambda q, b, v: _interpolated(q, b, v, log=lambda t: t, exp=lambda t: t),
            "logarithm of the rate": lambda q, b, v: math.log(_interpolated(q, b, v)),
            "return None": _interpolated,
            "any order": _none_outside,
        },
    ),
}
