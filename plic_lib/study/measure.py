"""One picture through one codec: what every evaluation, table, benchmark and widget is made of."""

import time
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from plic_lib import metrics
from plic_lib.errors import CodecFailed
from plic_lib.study.codecs import Codec

METRICS = ("psnr", "ms_ssim", "lpips", "lpips_squeeze", "lpips_vgg", "dists")  #: what ``metrics.quality`` measures


class Measurement(NamedTuple):
    """A file, what it decodes to, and how long both took."""

    picture: Tensor  #: the original, (3, H, W) in [0, 1]
    quality: float  #: the codec's: what was asked for
    data: bytes  #: the file
    decoded: Tensor  #: (3, H, W), 8-bit values in [0, 1]
    container_bytes: int  #: of the file
    encode_seconds: float
    decode_seconds: float

    @property
    def bpp(self) -> float:
        """Bits per pixel, all bytes of the file counted."""
        return metrics.bpp(len(self.data), *self.picture.shape[1:])

    def row(self) -> dict:
        """All figures, for a table: bytes, bpp, seconds and every metric, None where one has no value."""
        return {
            "bytes": len(self.data),
            "container_bytes": self.container_bytes,
            "bpp": self.bpp,
            **metrics.quality(self.picture, self.decoded),
            "encode_seconds": self.encode_seconds,
            "decode_seconds": self.decode_seconds,
        }


@torch.no_grad()
def measure(codec: Codec, picture: Tensor, quality: float) -> Measurement:
    """Encode a picture (3, H, W) in [0, 1] to the bytes of a file, decode the bytes, on the clock.

    Raises CodecMissing, or CodecFailed where the codec fails or gives back a picture of another size.
    """
    start = time.perf_counter()
    data = codec.encode(picture, quality)
    encoded = time.perf_counter()
    decoded = codec.decode(data)
    end = time.perf_counter()
    if decoded.shape != picture.shape:
        raise CodecFailed(f"{codec.name} gave back {tuple(decoded.shape)} for {tuple(picture.shape)}")
    return Measurement(picture, quality, data, decoded, codec.container_bytes(data), encoded - start, end - encoded)


def mean(values: Iterable[float | None]) -> float | None:
    """Over the values that there are; None without any."""
    found = [value for value in values if value is not None]
    return sum(found) / len(found) if found else None
