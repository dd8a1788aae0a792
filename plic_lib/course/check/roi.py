"""Exercises of 11_region_of_interest."""

import math
import random
from functools import partial

import torch

from plic_lib.course.check.exercise import Exercise
from plic_lib.level_map import LevelMap

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
        "last cell lost": ("a cell is missing on the right or below; one pixel in it is enough", _cells(last=_down)),
        "first cell lost": ("a cell is missing on the left or above; one pixel in it is enough", _cells(first=_up)),
        "a cell too many": ("a cell too many: right and bottom are just outside of the box", _cells(last=lambda a: a // 16 + 1)),
        "grid cut off": ("a last row or column of cells that is cut off by the picture's edge belongs to the grid", _cells(size=_down)),
        "turned": ("left and top are exchanged: rows come first, and are counted from the top", _cells(turned=True)),
        "grid turned": (
            "the grid has as many rows as the height has cells",
            lambda a, b, c, d, high, wide: touched(b, a, d, c, wide, high),
        ),
    },
)


def map_bytes(boxes):
    """An offset below zero is 256 more in the file, so it is 128 or more and takes two bytes: a background that is lowered by a
    box costs a byte more than a region that is raised."""
    numbers = [len(boxes)]
    for top, left, rows, columns, offset in boxes:
        numbers += [top, left, rows, columns, offset % 256]
    return 1 + sum(max(1, (number.bit_length() + 6) // 7) for number in numbers)


def _box(place=(0, 40), size=(1, 40), sign=1):
    return (*(random.randint(*place) for _ in range(2)), *(random.randint(*size) for _ in range(2)), sign * random.randint(1, 24))


def _box_lists():
    yield ([_box()],)
    yield ([_box(sign=-1) for _ in range(random.randint(1, 3))],)
    yield ([_box((130, 250)) for _ in range(random.randint(1, 3))],)
    yield ([_box((300, 900), (140, 250)), _box(sign=-1), _box()],)
    yield ([_box((128, 128), (127, 127)), _box((127, 127), (128, 128))],)
    yield ([_box((60, 120), (70, 120)) for _ in range(random.randint(2, 4))],)


def _counted(boxes, size=lambda n: 1 + (n > 127), offset=lambda o: o % 256, head=1, corners=False):
    numbers = [len(boxes)]
    for top, left, rows, columns, label in boxes:
        numbers += [top, left, *((top + rows, left + columns) if corners else (rows, columns)), offset(label)]
    return head + sum(map(size, numbers))


roi_2 = Exercise(
    map_bytes,
    _box_lists,
    hint="How large is the largest number that fits into seven bits? And what number stands in the file for an offset of -3?",
    rule="a byte for form and feather, then the count of boxes and five numbers for each, one byte for every seven bits",
    slips={
        "a byte each": ("a number of 128 or more takes two bytes: each byte carries seven bits", partial(_counted, size=lambda n: 1)),
        "eight bits": ("a byte carries seven bits: its top bit says whether more follow", partial(_counted, size=lambda n: 1 + (n > 255))),
        "128 in one byte": ("seven bits reach from 0 to 127; 128 takes two bytes", partial(_counted, size=lambda n: 1 + (n > 128))),
        "negative in one byte": ("an offset below zero is stored modulo 256, as 128 or more: two bytes", partial(_counted, offset=abs)),
        "a byte lost": ("a byte is missing: form and feather are one, the count is another", partial(_counted, head=0)),
        "corners": ("a box is stored with its height and width, not with its bottom and right", partial(_counted, corners=True)),
    },
)


def fade(row, feather):
    """Ring by ring, as the codec does: in each round, what has a neighbour takes over that neighbour's offset, and the fading is
    counted from the region's own offset. Rounding towards zero is rounding the absolute value down."""
    reached, offsets = row.tolist(), row.tolist()
    for distance in range(1, feather + 1):
        before = list(reached)
        for i, label in enumerate(before):
            if label == 0:
                reached[i] = max(before[max(i - 1, 0)], before[min(i + 1, len(before) - 1)], key=abs)
                faded = abs(reached[i]) * (feather + 1 - distance) // (feather + 1)
                offsets[i] = faded if reached[i] > 0 else -faded
    return torch.tensor(offsets)


def _rows():
    for feather in (3, 4, random.randint(3, 5)):
        sign = random.choice((-1, 1))
        first, second = [sign * random.choice((3, 5))] * random.randint(2, 4), [-sign * random.choice((17, 19, 23))] * random.randint(2, 4)
        between = [0] * 3  # the cell in the middle is equally near to both, the others are reached by both
        row = torch.tensor([0] * random.randint(6, 8) + first + between + second + [0] * random.randint(6, 8))
        yield row, feather
        yield row.flip(0), feather
    edge = torch.tensor([0] + [random.choice((-11, -7))] * 3 + [0] * 9)
    yield edge, random.randint(3, 4)
    yield edge.flip(0), random.randint(3, 4)
    yield edge, 0


def _toward_zero(label, distance, feather):
    faded = abs(label) * (feather + 1 - distance) // (feather + 1)
    return faded if label > 0 else -faded


def _nearest(found, feather, value):
    return value(*min(found, key=lambda near: (near[1], -abs(near[0]))), feather)


def _faded(row, feather, value=_toward_zero, choose=_nearest, sides=(-1, 1), wrap=False):
    """As the solution: ``choose`` makes an offset of the regions (label, distance) to the left and to the right of a cell."""
    labels, offsets = row.tolist(), row.double()
    for i, label in enumerate(labels):
        found = []
        for side, distance in ((side, distance) for side in sides for distance in range(1, feather + 1)):
            place = i - side * distance
            seen = labels[place % len(labels)] if wrap or 0 <= place < len(labels) else 0
            if seen and all(near[2] != side for near in found):
                found.append((seen, distance, side))
        if label == 0 and found:
            offsets[i] = choose([near[:2] for near in found], feather, value)
    return offsets


roi_3 = Exercise(
    fade,
    _rows,
    tolerance=(0, 1e-6),
    hint="Which regions lie within `feather` cells of a cell, and which of them is nearer? Try a cell of -7 and a feather of 2.",
    rule="feather + 1 equal steps from the nearer region's offset to zero, each rounded towards zero; at equal distance the larger "
    "absolute value",
    slips={
        "larger wins": (
            "the nearer region counts, even where the farther one would give the larger offset",
            partial(_faded, choose=lambda found, n, value: max((value(*near, n) for near in found), key=abs)),
        ),
        "sum": (
            "two regions do not add up in a cell: the nearer one counts",
            partial(_faded, choose=lambda found, n, value: sum(value(*near, n) for near in found)),
        ),
        "smaller at equal distance": (
            "where two regions are equally near, the one with the larger absolute value counts",
            partial(_faded, choose=lambda found, n, value: value(*min(found, key=lambda near: (near[1], abs(near[0]))), n)),
        ),
        "rounded down": (
            "round towards zero: rounding down leads away from it below",
            partial(_faded, value=lambda s, d, n: s * (n + 1 - d) // (n + 1)),
        ),
        "not whole": ("offsets are whole numbers: round towards zero", partial(_faded, value=lambda s, d, n: s * (n + 1 - d) / (n + 1))),
        "a step too few": (
            "the last cell is zero already: there are feather + 1 steps",
            partial(_faded, value=lambda s, d, n: _toward_zero(s, d, n - 1)),
        ),
        "raised only": ("an offset below zero fades as well", lambda row, n: torch.where(row < 0, row, _faded(row.clamp(min=0), n))),
        "right only": ("the offset fades on both sides", partial(_faded, sides=(1,))),
        "round the end": ("a place beyond an end counts from the other end of the row: leave it out", partial(_faded, wrap=True)),
    },
)


def paying_base(share, growth, level, region):
    r"""All cells together cost $g^u$ before; afterwards the region costs $a\,g^r$ and the rest $(1-a)\,g^b$. Set both equal and take the
    logarithm to the base $g$. Where nothing is left for the rest, it goes to level 0 and the file grows all the same."""
    left, growth = torch.tensor([(growth**level - share * growth**region) / (1 - share), growth], dtype=torch.float64).log()
    return max(0.0, (left / growth).item())


def _budgets():
    for _ in range(4):
        growth, level = random.uniform(1.6, 2.4), random.uniform(0.8, 1.2)
        yield random.uniform(0.08, 0.15), growth, level, random.uniform(1.6, 2.0)
    growth = random.uniform(1.6, 2.4)
    left = random.uniform(0.3, 0.8)  # of what a cell of the rest costs at level 0
    share = (growth**1.0 - left) / (growth**2.0 - left)
    yield share, growth, 1.0, 2.0


def _base(left, growth):
    return math.log(left) / math.log(growth) if left > 1 else 0.0


def _left(a, g, u, r):
    return (g**u - a * g**r) / (1 - a)


roi_4 = Exercise(
    paying_base,
    _budgets,
    hint="Write down what a file costs before and after, as a share of the cells times growth ** level. What is unknown?",
    rule="share · growth^region + (1 - share) · growth^base = growth^level, and a base of at least 0",
    slips={
        "levels averaged": (
            "this keeps the average level; the size has to stay, and it grows by a factor",
            lambda a, g, u, r: max(0.0, (u - a * r) / (1 - a)),
        ),
        "share of the rest": (
            "the rest has 1 - share of the cells: divide what is left among them",
            lambda a, g, u, r: _base(g**u - a * g**r, g),
        ),
        "all cells pay": ("the rest alone pays, and it has fewer cells", lambda a, g, u, r: _base(g**u - a * (g**r - g**u), g)),
        "natural logarithm": ("a level is a factor of `growth`, not of e", lambda a, g, u, r: _base(_left(a, g, u, r), math.e)),
        "factor": ("this is what a cell of the rest costs, in units of level 0; which level is it?", lambda a, g, u, r: _left(a, g, u, r)),
        "below zero": ("there is no level below 0: the rest stays there", lambda a, g, u, r: math.log(_left(a, g, u, r)) / math.log(g)),
        "exchanged": ("`share` is the region's, not the rest's", lambda a, g, u, r: _base(_left(1 - a, g, u, r), g)),
    },
)


def dear(height, width):
    """Not what looks busy is dear, but what cannot be foretold: with independent tosses of a coin every answer is news, and the
    contexts, which have to be learned as well, come on top. A checkerboard passes too, for another reason: "unlike both neighbours" is
    soon foretold, but then the walk asks for the offset itself, and which of two it is costs a bit."""
    return torch.rand(height, width) < 0.5


def _grids():
    for _ in range(3):
        yield random.randint(20, 30), random.randint(31, 40)


def _packed(function, height, width):
    region = torch.as_tensor(function(height, width))
    shape, bytes_ = tuple(region.shape), 0
    if shape == (height, width) and region.dtype == torch.bool:
        bytes_ = len(LevelMap(12 * region.int().numpy()).pack())
    return {"shape": shape, "whole": region.dtype == torch.bool, "bytes": bytes_, "cells": int((region != 0).sum())}


def _is_dear(seen, expected, height, width):
    assert seen["shape"] == (height, width), f"a region of {height} x {width} cells was wanted, not one of the shape {seen['shape']}"
    assert seen["whole"], "a region is made of booleans"
    raw = height * width / 8
    assert seen["bytes"] > raw, f"its map takes {seen['bytes']} bytes; one bit a cell would be {raw:.0f}"


def _pattern(rule):
    return lambda height, width: rule(torch.arange(height)[:, None], torch.arange(width)[None]).expand(height, width)


roi_5 = Exercise(
    dear,
    _grids,
    observe=_packed,
    properties=_is_dear,
    hint="A cell is dear when the decoder cannot foretell it from its neighbours. In which region does no neighbour help?",
    rule="a region whose map takes more bytes than one bit a cell",
    slips={
        "stripes": ("stripes are foretold by the row above", _pattern(lambda i, j: (j % 2 == 0) | (i < 0))),
        "dots": ("dots at equal distances are mostly foretold by their neighbours", _pattern(lambda i, j: (i % 3 == 0) & (j % 3 == 0))),
        "everything": ("one box is all that this is: seven bytes or so", lambda height, width: torch.ones(height, width, dtype=torch.bool)),
        "few": ("single cells are dear, but there are few of them", lambda height, width: torch.rand(height, width) < 0.03),
    },
)
