"""What every codec is here: a picture to the bytes of a file at a quality, and back."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from plic_lib import codec, images
from plic_lib.bitstream import HEADER_BYTES
from plic_lib.checkpoint import TrainedModel
from plic_lib.level_map import LevelMap


@dataclass(frozen=True)
class Codec:
    """One codec. Ours are made by ``ours``, others stand in ``rivals.CODECS`` and ``bench.zoo.CODECS``.

    Attributes:
        name: what tables call it.
        lowest, highest: the ends of its quality: more of it, more bytes. Ours is any number between them, others' a whole one.
        qualities: those that a rate-distortion curve is drawn through.
        encode: (picture (3, H, W) in [0, 1], quality) -> the bytes of a file.
        decode: these bytes -> the picture of the same size, 8-bit values in [0, 1], as a user sees it.
        container_bytes: the bytes of a file -> how many of them a decoder that is told the picture's size and kind can do without.
        settings: -> what a recorded figure depends on: encoder, version, the settings that it really runs with.
        missing: -> why it cannot run here, or None.

    ``encode`` and ``decode`` raise CodecMissing or CodecFailed.
    """

    name: str
    lowest: float
    highest: float
    qualities: tuple[float, ...]
    encode: Callable[[Tensor, Any], bytes]  # float or int: each has its own kind of quality
    decode: Callable[[bytes], Tensor]
    container_bytes: Callable[[bytes], int] = lambda data: 0
    settings: Callable[[], dict] = lambda: {}
    missing: Callable[[], str | None] = lambda: None

    def encode_to_bytes(self, picture: Tensor, n_bytes: int) -> tuple[bytes, int]:
        """The largest file of at most ``n_bytes``, by bisection over whole qualities.

        Returns the file and its quality. Where even the lowest quality is larger, that file;
        the caller sees it from the size.
        """
        low, high = int(self.lowest), int(self.highest)
        best = self.encode(picture, low)
        while low < high:
            quality = (low + high + 1) // 2
            data = self.encode(picture, quality)
            if len(data) <= n_bytes:
                low, best = quality, data
            else:
                high = quality - 1
        return best, low


def ours(model: TrainedModel, step: float = 0.25) -> Codec:
    """One of our models: its quality is the level, ``step`` apart on a curve."""
    highest = model.levels - 1
    return Codec(
        name=model.name,
        lowest=0,
        highest=highest,
        qualities=tuple(i * step for i in range(round(highest / step) + 1)),
        encode=lambda picture, level: codec.encode(model, picture, level),
        decode=lambda data: images.eight_bit(codec.decode(model, data)),
        container_bytes=lambda data: HEADER_BYTES,
        settings=lambda: {"model": model.hash},
    )


def analysed(model: TrainedModel, analysis: codec.Analysis, level_map: LevelMap | None = None) -> Codec:
    """``ours`` for the one picture that ``codec.analyse`` has seen: gain, coding and generator are left to do at each level."""
    return replace(ours(model), encode=lambda picture, level: codec.encode_latents(model, analysis, level, level_map))
