"""Checks of 11_region_of_interest."""

import math
import random

import torch
from torch import Tensor

from plic_lib.course.check import exercise


def _agree(value: Tensor, expected: Tensor) -> bool:
    return value.shape == expected.shape and torch.allclose(value, expected, rtol=1e-4, atol=1e-5)


@exercise
def roi_1(touched):
    """``touched(left, top, right, bottom, height, width)``: the cells of 16 x 16 pixels that a box touches, (h, w) booleans."""
    for aligned in (False, True):
        h, w = random.randint(5, 8), random.randint(5, 8)
        height, width = 16 * h - random.randint(1, 15), 16 * w - random.randint(1, 15)
        left, top = 16 * random.randint(0, 1) + random.randint(1, 15), 16 * random.randint(0, 1) + random.randint(1, 15)
        right, bottom = 16 * random.randint(3, 4), 16 * random.randint(3, 4)
        if not aligned:
            right, bottom = right - random.randint(1, 15), bottom - random.randint(1, 15)
        expected = torch.zeros(h, w, dtype=torch.bool)
        expected[top // 16 : -(-bottom // 16), left // 16 : -(-right // 16)] = True
        value = torch.as_tensor(touched(left, top, right, bottom, height, width))
        case = f"for the box {left},{top},{right},{bottom} in {width} x {height} pixels"
        assert value.shape == expected.shape, (
            f"{case}: the grid has {h} x {w} cells, not {tuple(value.shape)}; a last row or column that is cut off counts"
        )
        value = value.bool()
        assert not (expected & ~value).any(), f"{case}: a cell of which the box covers a part is missing; one pixel is enough"
        assert not (value & ~expected).any(), f"{case}: a cell too many; right and bottom are just outside of the box"


@exercise
def roi_2(through):
    """``through(y, gains, inverse_gains, region)``: gain, rounding and inverse gain with a region."""
    c, h, w = random.randint(3, 6), random.randint(5, 7), random.randint(8, 10)
    y = 3 * torch.randn(c, h, w)
    gains = torch.stack([torch.rand(c) * 0.5 + 0.3, torch.rand(c) * 2 + 1.5])
    inverse_gains = torch.stack([torch.rand(c) + 2, torch.rand(c) * 0.5 + 0.3])
    region = torch.zeros(h, w, dtype=torch.bool)
    region[1:4, 2:6] = True
    spread = lambda pair, mask: torch.where(mask, pair[1][:, None, None], pair[0][:, None, None])  # noqa: E731
    m, back = spread(gains, region), spread(inverse_gains, region)
    symbols = torch.round(y * m)
    value = through(y, gains, inverse_gains, region)
    assert not _agree(value, symbols), "the inverse gain is missing: these are the symbols, not what the generator reads"
    assert not _agree(value, symbols * inverse_gains[0][:, None, None]), (
        "the decoder forgot the map: the region was multiplied by the background's inverse gain"
    )
    assert not _agree(value, torch.round(y * spread(gains, ~region)) * spread(inverse_gains, ~region)), (
        "swapped: row 0 is the background, row 1 the region"
    )
    assert not _agree(value, y * m * back), "nothing was rounded; the symbols are whole numbers"
    assert not _agree(value, symbols / m), "the inverse gain is a vector of its own, trained with the rest; it is not 1/m"
    assert _agree(value, symbols * back), "in each cell: the gain of its part, rounding, the inverse gain of its part"


@exercise
def roi_3(fade):
    """``fade(row, feather)``: a row of offsets with one region, faded over cells outside of it, in whole numbers."""
    for feather, at_the_end in ((2, False), (0, False), (random.randint(2, 4), True), (random.randint(3, 5), False)):
        first, steps = (1 if at_the_end else random.randint(6, 8)), random.randint(7, 16)
        last = first + random.randint(2, 4)
        row = torch.zeros(last + 7, dtype=torch.long)
        row[first : last + 1] = steps
        expected = row.clone()
        for distance in range(1, feather + 1):
            for place in (first - distance, last + distance):
                if place >= 0:
                    expected[place] = steps * (feather + 1 - distance) // (feather + 1)
        given = row.clone()
        value = fade(given, feather)
        assert isinstance(value, Tensor) and value.shape == row.shape, f"return a tensor of {len(row)} offsets"
        case = f"for {row.tolist()} and feather {feather}"
        assert not value.is_floating_point() or bool((value == value.round()).all()), (
            f"{case}: offsets are whole numbers, since encoder and decoder have to agree exactly; round towards zero"
        )
        value = value.long()
        assert torch.equal(value[first : last + 1], expected[first : last + 1]), f"{case}: the region itself keeps its offset"
        assert bool((value[row == 0][expected[row == 0] == 0] == 0).all()), (
            f"{case}: a cell farther away than {feather} has to stay zero, also at the other end of the row"
        )
        left, right = value[:first], value[last + 1 :]
        assert not feather or (left.any() and right.any()), f"{case}: the offset fades on both sides"
        assert torch.equal(value, expected), (
            f"{case}: expected {expected.tolist()}, got {value.tolist()}; {feather} cells fade, so there are {feather + 1} equal steps to zero"
        )


@exercise
def roi_4(adaptive_bits):
    """``adaptive_bits(answers)``: bits of zeros and ones under counts that learn on the way."""
    rare = random.uniform(0.08, 0.25)
    for length in (random.randint(30, 60), random.randint(100, 200), 1):
        answers = [int(random.random() < rare) for _ in range(length)]
        if length > 1:
            answers[random.randrange(length)] = 1  # at least one surprise
        expected, late, seen = 0.0, 0.0, [0, 0]
        for n, answer in enumerate(answers):
            expected -= math.log2((1 + seen[answer]) / (2 + n))
            seen[answer] += 1
            late -= math.log2((1 + seen[answer]) / (3 + n))
        share = sum(answers) / length
        known = -sum(math.log2(share if a else 1 - share) for a in answers)
        value = float(adaptive_bits(list(answers)))
        close = lambda bits, value=value: math.isclose(value, bits, rel_tol=1e-4, abs_tol=1e-4)  # noqa: E731
        assert not close(late), "this learns from an answer before it is paid; the decoder does not know it yet"
        assert length == 1 or not close(known), "this knows all answers beforehand; the decoder learns the counts on the way"
        assert length == 1 or not close(length), "one bit an answer is the price without learning"
        assert not close(expected * math.log(2)), "this is in nats; bits need a logarithm to the base 2"
        assert close(expected), f"for {answers[:8]}{'…' if length > 8 else ''} ({length} answers): {expected:.3f} bits, not {value:.3f}"
