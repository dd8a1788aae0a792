import math

import torch

NOTEBOOK = "11_region_of_interest"


def _touched(first, last, size):
    """An answer from three roundings: of the first cell, of the cell after the last, of the grid."""

    def touched(left, top, right, bottom, height, width):
        result = torch.zeros(size(height), size(width), dtype=torch.bool)
        result[first(top) : last(bottom), first(left) : last(right)] = True
        return result

    return touched


def _down(a):
    return a // 16


def _up(a):
    return -(-a // 16)


def _through(y, gains, inverse_gains, region, back=None, rounded=torch.round):
    spread = lambda pair, mask: torch.where(mask, pair[1][:, None, None], pair[0][:, None, None])
    symbols = rounded(y * spread(gains, region))
    return symbols * (spread(inverse_gains, region) if back is None else back)


def _fade(row, feather, value, sides=(-1, 1), wrap=False):
    offsets, inside = row.double().clone(), row.nonzero().flatten().tolist()
    ends = {-1: inside[0], 1: inside[-1]}
    for distance in range(1, feather + 1):
        for side in sides:
            place = ends[side] + side * distance
            if wrap or 0 <= place < len(row):
                offsets[place % len(row)] = value(float(row.max()), distance, feather)
    return offsets


def _learns_first(answers):
    seen, bits = [1, 1], 0.0
    for answer in answers:
        seen[answer] += 1
        bits -= math.log2(seen[answer] / sum(seen))
    return bits


def _two_passes(answers):
    share = sum(answers) / len(answers)
    return -sum(math.log2(share if answer else 1 - share) for answer in answers)


def _nats(answers):
    seen, bits = [1, 1], 0.0
    for answer in answers:
        bits -= math.log(seen[answer] / sum(seen))
        seen[answer] += 1
    return bits


EXERCISES = {
    "roi_1": (
        "touched",
        {
            "missing": _touched(_down, _down, _up),
            "one pixel is enough": _touched(_up, _down, _up),
            "just outside": _touched(_down, lambda a: a // 16 + 1, _up),
            "cut off": _touched(_down, _up, _down),
        },
    ),
    "roi_2": (
        "through",
        {
            "forgot the map": lambda y, g, i, r: _through(y, g, i, r, back=i[0][:, None, None]),
            "swapped": lambda y, g, i, r: _through(y, g, i, ~r),
            "symbols": lambda y, g, i, r: _through(y, g, i, r, back=1),
            "not 1/m": lambda y, g, i, r: _through(y, g, 1 / g, r),
            "whole numbers": lambda y, g, i, r: _through(y, g, i, r, rounded=lambda a: a),
        },
    ),
    "roi_3": (
        "fade",
        {
            "whole numbers": lambda row, f: _fade(row, f, lambda s, d, n: s * (n + 1 - d) / (n + 1) + 0.01),
            "equal steps": lambda row, f: _fade(row, f, lambda s, d, n: s // 2),
            "both sides": lambda row, f: _fade(row, f, lambda s, d, n: s * (n + 1 - d) // (n + 1), sides=(1,)),
            "the other end": lambda row, f: _fade(row, f + 1 if f else 1, lambda s, d, n: 1),
            "keeps its offset": lambda row, f: row // 2,
        },
    ),
    "roi_4": (
        "adaptive_bits",
        {
            "before it is paid": _learns_first,
            "knows all": _two_passes,
            "without learning": lambda answers: len(answers),
            "nats": _nats,
        },
    ),
}
