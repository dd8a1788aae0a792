"""Exercises of 11_region_of_interest."""

import math
import random
from functools import partial

import torch

from plic_lib.course.check.exercise import Exercise

NOTEBOOK = "11_region_of_interest"


def touched(left, top, right, bottom, height, width):
    """The first cell is rounded down, the cell after the last is rounded up; so is the size of the grid."""
    cells = torch.zeros(-(-height // 16), -(-width // 16), dtype=torch.bool)
    cells[top // 16 : -(-bottom // 16), left // 16 : -(-right // 16)] = True
    return cells


def _boxes():
    for begins, ends in ((0, 0), (0, 0), (0, 0), (0, 1), (1, 0), (1, 1)):  # with a cell, or within one
        h, w = random.sample(range(12, 20), 2)  # not square: a grid that is turned round is seen
        left, top = (16 * cell + (0 if begins else random.randint(1, 15)) for cell in random.sample(range(1, 8), 2))
        across, down = (16 * cells - (0 if ends else random.randint(1, 15)) for cells in random.sample(range(2, 5), 2))
        right, bottom = _up(left) * 16 + across, _up(top) * 16 + down
        yield left, top, right, bottom, 16 * h - random.randint(1, 15), 16 * w - random.randint(1, 15)


def _down(a):
    return a // 16


def _up(a):
    return -(-a // 16)


def _cells(first=_down, last=_up, size=_up, turned=False):
    """An answer from three roundings: of the first cell, of the cell after the last, of the grid."""

    def touched(left, top, right, bottom, height, width):
        if turned:
            left, top, right, bottom = top, left, bottom, right
        result = torch.zeros(size(height), size(width), dtype=torch.bool)
        result[first(top) : last(bottom), first(left) : last(right)] = True
        return result

    return touched


roi_1 = Exercise(
    touched,
    _boxes,
    hint="In which cell lies the first pixel of the box, in which the last one, number right - 1? One pixel is enough.",
    rule="a cell is True if the box has at least one of its pixels; a last row or column of cells that is cut off counts",
    slips={
        "last cell lost": (
            "a cell of which the box covers a part is missing on the right or below; one pixel is enough",
            _cells(last=_down),
        ),
        "first cell lost": (
            "a cell of which the box covers a part is missing on the left or above; one pixel is enough",
            _cells(first=_up),
        ),
        "a cell too many": (
            "a cell too many where the box ends with a cell; right and bottom are just outside of the box",
            _cells(last=lambda a: a // 16 + 1),
        ),
        "a cell before": (
            "a cell too many where the box begins with a cell: its left and top belong to it",
            _cells(first=lambda a: _up(a) - 1),
        ),
        "grid cut off": ("a last row or column of cells that is cut off by the picture's edge belongs to the grid", _cells(size=_down)),
        "rounded": (
            "rounding to the nearest cell loses cells of which the box has less than half",
            _cells(first=lambda a: round(a / 16), last=lambda a: round(a / 16)),
        ),
        "turned": (
            "left and top are exchanged: rows are counted from the top, columns from the left, and rows come first",
            _cells(turned=True),
        ),
        "grid turned": (
            "rows come first: the grid has as many rows as the height has cells",
            lambda left, top, right, bottom, height, width: touched(top, left, bottom, right, width, height),
        ),
    },
)


def through(y, gains, inverse_gains, region):
    """The same choice of row for the gain and for the inverse gain. `region.long()` is a map of row numbers; indexing puts the
    channel last, `movedim` first."""
    row = region.long()
    symbols = torch.round(y * gains[row].movedim(-1, 0))
    return symbols * inverse_gains[row].movedim(-1, 0)


def _latents_with_a_region():
    for _ in range(2):
        c, h, w = random.randint(3, 6), random.randint(6, 8), random.randint(8, 10)
        region = torch.zeros(h, w, dtype=torch.bool)
        region[random.randint(0, 2) : random.randint(4, 5), random.randint(0, 3) : random.randint(5, 7)] = True
        gains = torch.stack([torch.rand(c) * 0.5 + 0.3, torch.rand(c) * 2 + 1.5])
        yield 3 * torch.randn(c, h, w), gains, torch.stack([torch.rand(c) + 2, torch.rand(c) * 0.5 + 0.3]), region


def _gained(y, gains, inverse_gains, region, back=None, rounded=torch.round):
    def spread(pair):
        return torch.where(region, pair[1][:, None, None], pair[0][:, None, None])

    return rounded(y * spread(gains)) * (spread(inverse_gains) if back is None else back)


roi_2 = Exercise(
    through,
    _latents_with_a_region,
    hint="As in notebook 07, but each cell has a gain vector of its own: which row of `gains` is it? And which row does the decoder need "
    "there?",
    rule="in each cell: the gain of its part, rounding, the inverse gain of its part",
    slips={
        "decoder without map": (
            "the decoder forgot the map: the region was multiplied by the background's inverse gain",
            lambda y, g, i, r: _gained(y, g, i, r, back=i[0][:, None, None]),
        ),
        "encoder without map": (
            "the encoder forgot the map: the region was multiplied by the background's gain",
            lambda y, g, i, r: _gained(y, g[[0, 0]], i, r),
        ),
        "exchanged": ("swapped: row 0 is the background, row 1 the region", lambda y, g, i, r: _gained(y, g, i, ~r)),
        "symbols": ("the inverse gain is missing: these are the symbols, not what the generator reads", partial(_gained, back=1)),
        "1/m": (
            "the inverse gain is a vector of its own, trained with the rest; it is not 1/m",
            lambda y, g, i, r: _gained(y, g, 1 / g, r),
        ),
        "not rounded": ("nothing was rounded; the symbols are whole numbers", partial(_gained, rounded=lambda a: a)),
        "region only": (
            "outside of the region nothing was done: there the background's gains hold",
            lambda y, g, i, r: torch.where(r, _gained(y, g, i, r), y),
        ),
    },
)


def fade(row, feather):
    """At distance d of `feather`, the offset is the part (feather + 1 − d) / (feather + 1), rounded towards zero."""
    offsets, steps = row.clone(), int(row.max())
    inside = row.nonzero().flatten().tolist()
    for distance in range(1, feather + 1):
        for place in (inside[0] - distance, inside[-1] + distance):
            if 0 <= place < len(row):
                offsets[place] = steps * (feather + 1 - distance) // (feather + 1)
    return offsets


def _rows():
    for feather, first in ((3, 6), (2, 7), (0, 6), (random.randint(2, 4), 1), (random.randint(4, 5), 8)):
        last = first + random.randint(2, 4)
        row = torch.zeros(last + 8, dtype=torch.long)
        row[first : last + 1] = random.choice((7, 11, 23))  # 3 more than a multiple of the first case's 4 steps: rounding counts
        yield row, feather
        yield row.flip(0), feather


def _faded(row, feather, value=lambda s, d, n: s * (n + 1 - d) // (n + 1), sides=(-1, 1), wrap=False):
    offsets, inside = row.double().clone(), row.nonzero().flatten().tolist()
    for distance in range(1, feather + 1):
        for side in sides:
            place = inside[-1] + distance if side > 0 else inside[0] - distance
            if wrap or 0 <= place < len(row):
                offsets[place % len(row)] = value(int(row.max()), distance, feather)
    return offsets


roi_3 = Exercise(
    fade,
    _rows,
    tolerance=(0, 1e-6),
    hint="If `feather` cells fade on a side, how many equal steps lead from the region's offset to zero? Mind the ends of the row.",
    rule="`feather` cells fade on either side, in feather + 1 equal steps to zero, each rounded down",
    slips={
        "not whole": (
            "offsets are whole numbers, since encoder and decoder have to agree exactly: round down",
            lambda row, n: _faded(row, n, lambda s, d, n: s * (n + 1 - d) / (n + 1)),
        ),
        "nearest": (
            "this rounds to the nearest whole number; round down",
            lambda row, n: _faded(row, n, lambda s, d, n: round(s * (n + 1 - d) / (n + 1))),
        ),
        "a step too few": (
            "this fades in `feather` steps, so that the last of the cells is zero already; there are feather + 1",
            lambda row, n: _faded(row, n, lambda s, d, n: s * (n - d) // n),
        ),
        "step rounded": (
            "this rounds the step and multiplies; round each offset by itself",
            lambda row, n: _faded(row, n, lambda s, d, n: s // (n + 1) * (n + 1 - d)),
        ),
        "halved": ("each cell is half of the one before; the steps are equal", lambda row, n: _faded(row, n, lambda s, d, n: s >> d)),
        "right only": ("the offset fades on both sides", partial(_faded, sides=(1,))),
        "left only": ("the offset fades on both sides", partial(_faded, sides=(-1,))),
        "round the end": (
            "a place before the first cell counts from the other end of the row: leave out what lies beyond the ends",
            partial(_faded, wrap=True),
        ),
        "one cell more": ("a cell farther away than `feather` has to stay zero", lambda row, n: _faded(row, n + 1)),
    },
)


def adaptive_bits(answers):
    """Pay first, then count: that is all a decoder can do."""
    seen, bits = [1, 1], torch.zeros(())
    for answer in answers:
        bits -= torch.log2(torch.tensor(seen[answer] / sum(seen)))
        seen[answer] += 1
    return bits


def _masks():
    for length in (random.randint(30, 60), random.randint(100, 200), random.randint(100, 200), 1):
        answers = [int(random.random() < random.uniform(0.08, 0.25)) for _ in range(length)]
        if length > 1:
            answers[random.randrange(length)] = 1  # at least one surprise
        yield (answers,)


def _bits(answers, first=(1, 1), learn_first=False, log=math.log2):
    seen, bits = list(first), 0.0
    for answer in answers:
        seen[answer] += learn_first
        bits -= log(seen[answer] / sum(seen))
        seen[answer] += not learn_first
    return bits


def _known(answers):
    share = sum(answers) / len(answers)
    return -sum(math.log2(share if answer else 1 - share) for answer in answers)


roi_4 = Exercise(
    adaptive_bits,
    _masks,
    tolerance=(1e-4, 1e-4),
    hint="Walk through the answers as the decoder does: what does it know before an answer, and when may it count it?",
    rule="each answer costs -log2 p with the counts from before it; then it is counted",
    slips={
        "learns first": (
            "this learns from an answer before it is paid; the decoder does not know it yet",
            partial(_bits, learn_first=True),
        ),
        "knows all": ("this knows all answers beforehand; the decoder learns the counts on the way", _known),
        "no learning": ("one bit an answer is the price without learning", lambda answers: len(answers)),
        "nats": ("this is in nats; bits need a logarithm to the base 2", partial(_bits, log=math.log)),
        "first halves": (
            "the counts begin at one each, so that the first answer costs one bit and the next less; here they begin at a half",
            partial(_bits, first=(0.5, 0.5)),
        ),
        "average": ("this is the mean for an answer; the mask costs the sum", lambda answers: _bits(answers) / len(answers)),
        "chance of a one": (
            "a zero costs -log2 of its own probability, not of that of a one",
            lambda answers: sum(math.log2((2 + n) / (1 + sum(answers[:n]))) for n in range(len(answers))),
        ),
    },
)
