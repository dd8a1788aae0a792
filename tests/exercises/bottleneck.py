import math

import torch

NOTEBOOK = "03_entropy_bottleneck"


def _probabilities(frequencies):
    p = torch.tensor(frequencies, dtype=torch.float64)
    return p / p.sum()


def _pop(x, frequencies, k, subtract=True, search=True):
    slot, start, s = x % 2**k, 0, 0
    while search and start + frequencies[s] <= slot:
        start, s = start + frequencies[s], s + 1
    return s, frequencies[s] * (x >> k) + slot - (start if subtract else 0)


def _all_to_the_largest(p, total):
    f = torch.round(p * total).long().clamp(min=1)
    f[f.argmax()] += total - f.sum()
    return f


def _one_for_each(p, total):
    f = torch.ones(len(p), dtype=torch.long)
    f[p.argmax()] += total - f.sum()
    return f


def _coder(symbols, cdf, backwards=True, reverse=True, loop=True, early=0, endian="little"):
    x, spilled = 2**23, []
    for s in reversed(symbols) if backwards else symbols:
        f = cdf[s + 1] - cdf[s]
        while x >= f << (19 - early):
            spilled.append(x & 255)
            x >>= 8
            if not loop:
                break
        x = (x // f << 12) + cdf[s] + x % f
    return (x % 2**32).to_bytes(4, endian) + bytes(spilled[::-1] if reverse else spilled)


EXERCISES = {
    "bottleneck_1": (
        "message_bits",
        {
            "nats": lambda m, f: -torch.log(_probabilities(f))[m].sum(),
            "mean": lambda m, f: -torch.log2(_probabilities(f))[m].mean(),
            "sign": lambda m, f: torch.log2(_probabilities(f))[m].sum(),
            "on average": lambda m, f: -len(m) * sum(p * math.log2(p) for p in _probabilities(f)),
        },
    ),
    "bottleneck_2": (
        "pop",
        {
            "own slots": lambda x, f, k: _pop(x, f, k, subtract=False),
            "belongs to": lambda x, f, k: _pop(x, f, k, search=False),
            "popping undoes": lambda x, f, k: (_pop(x, f, k)[0], x >> k),
        },
    ),
    "bottleneck_3": (
        "frequencies",
        {
            "zero": lambda p, total: torch.round(p * total).long(),
            "exactly full": lambda p, total: torch.floor(p * total).long().clamp(min=1),
            "negative": _all_to_the_largest,
            "integers": lambda p, total: p * total,
            "stay close": _one_for_each,
        },
    ),
    "bottleneck_4": (
        "gate",
        {
            "slope at v = 0": lambda v, a: v + torch.tanh(a) * torch.tanh(v),
            "falls": lambda v, a: v + a * torch.tanh(v),
            "far from zero": lambda v, a: v * torch.exp(a),
        },
    ),
    "bottleneck_5": (
        "encode_bytes",
        {
            "walk backwards": lambda s, cdf: _coder(s, cdf, backwards=False),
            "wants the last one first": lambda s, cdf: _coder(s, cdf, reverse=False),
            "in a loop": lambda s, cdf: _coder(s, cdf, loop=False),
            "low byte first": lambda s, cdf: _coder(s, cdf, endian="big"),
        },
    ),
}
