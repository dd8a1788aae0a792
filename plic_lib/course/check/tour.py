"""Exercises of 00_tour."""

import random
from typing import Literal

import torch

from plic_lib.bitstream import HEADER_BYTES, File
from plic_lib.course.check.exercise import Exercise

NOTEBOOK = "00_tour"


def facts(data):
    """The byte that counts least comes first. Levels are written in steps of 1/1024, and bpp counts the whole file."""
    width, height, steps = (int.from_bytes(data[i : i + 2], "little") for i in (10, 12, 14))
    return width, height, steps / 1024, 8 * len(data) / (width * height)


def _files():
    for with_map in (False, True, False):
        width, height = random.sample(range(300, 4000), 2)
        yield (
            File(
                model=random.randbytes(4),
                width=width,
                height=height,
                level=random.randint(300, 2000),
                latents_check=random.getrandbits(16),
                stream=random.randbytes(random.randint(300, 3000)),
                map_bytes=random.randbytes(random.randint(9, 40)) if with_map else None,
            ).pack(),
        )


def _read(data, order: Literal["little", "big"] = "little", scale=1024, size=len):
    width, height, steps = (int.from_bytes(data[i : i + 2], order) for i in (10, 12, 14))
    return width, height, steps / scale, 8 * size(data) / (width * height)


def _exchanged(data):
    width, height, level, bpp = _read(data)
    return height, width, level, bpp


tour_1 = Exercise(
    facts,
    _files,
    hint="Which of two bytes counts 256? In which unit is the level written? And which bytes of the file does bpp leave out?",
    rule="width, height, level and bits per pixel, from bytes 10 to 15 and from the length of the file",
    slips={
        "big-endian": ("the byte that counts least comes first: read the pairs as little-endian", lambda data: _read(data, "big")),
        "exchanged": ("width and height are exchanged: the width comes first", _exchanged),
        "steps": ("the level is written in steps of 1/1024: divide by 1024", lambda data: _read(data, scale=1)),
        "stream alone": (
            "bpp counts the whole file; this is the stream alone",
            lambda data: _read(data, size=lambda d: int.from_bytes(d[18:22], "little")),
        ),
        "header left out": (
            "bpp counts the whole file; this leaves the 26 bytes of the header out",
            lambda data: _read(data, size=lambda d: len(d) - HEADER_BYTES),
        ),
        "bytes": ("bpp counts bits; this is bytes per pixel", lambda data: _read(data, size=lambda d: len(d) / 8)),
        "three values": (
            "bpp is over the pixels; this is over the values, of which a pixel has three",
            lambda data: _read(data, size=lambda d: len(d) / 3),
        ),
    },
)


def file_size(probabilities):
    """The prices add up. Their sum is the logarithm of the joint probability, which itself is too small for a float."""
    return 26 - torch.log2(probabilities).sum() / 8


def _probabilities():
    for _ in range(3):
        expected = 1 - 0.2 * torch.rand(random.randint(4000, 9000)) ** 4
        surprises = torch.rand(random.randint(200, 600)) * 0.3 + 0.001
        joined = torch.cat([expected, surprises])
        yield (joined[torch.randperm(len(joined))],)


tour_2 = Exercise(
    file_size,
    _probabilities,
    hint="What does one value of probability p cost? What do two of them cost? A header comes before them, and files are counted in bytes.",
    rule="26 bytes of header, and -log2 of each probability, added up, in bytes",
    slips={
        "bits": ("the prices are in bits, and the header is in bytes: eight bits are a byte", lambda p: 26 - torch.log2(p).sum()),
        "all over eight": ("the header is in bytes already; only the prices are in bits", lambda p: (26 - torch.log2(p).sum()) / 8),
        "no header": ("this is the stream; the header has 26 bytes more", lambda p: -torch.log2(p).sum() / 8),
        "nats": ("this takes the natural logarithm; bits need the one to the base 2", lambda p: 26 - torch.log(p).sum() / 8),
        "sign": ("the logarithm of a probability is negative, a price is not", lambda p: 26 + torch.log2(p).sum() / 8),
        "entropy": (
            "this weighs each price with its probability, an average over all that could come; here it has come, and costs its whole price",
            lambda p: 26 - (p * torch.log2(p)).sum() / 8,
        ),
        "mean": ("this is the price of one value on average; the file holds all of them", lambda p: 26 - torch.log2(p).mean() / 8),
        "joint probability": (
            "the product of so many probabilities is too small for a float and became 0: take the logarithms first, then add",
            lambda p: 26 - torch.log2(p.prod()) / 8,
        ),
        "whole bits": (
            "this rounds each value up to whole bits, as code words would; rANS charges fractions",
            lambda p: 26 + torch.ceil(-torch.log2(p)).sum() / 8,
        ),
    },
)
