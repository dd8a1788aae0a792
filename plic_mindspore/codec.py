"""The codec in one screen: image -> bytes -> image. As ``plic_lib.codec``, on arrays.

encode:  image -> analyse -> y -> gain -> symbols -> rANS -> file
decode:  file -> rANS -> symbols -> y_hat -> inverse gain -> synthesise -> image
"""

import zlib
from typing import NamedTuple

import numpy as np
from mindspore import Tensor
from numpy import ndarray

from plic_lib import bitstream, reference_decoder
from plic_lib.errors import BitstreamError, ImageError, LevelError, LevelMapError
from plic_lib.grid import BLOCK, LEVEL_STEPS, MAX_PIXELS, OFFSET_STEPS, cell_grid
from plic_lib.level_map import LevelMap
from plic_lib.reference_decoder import Decoded, DecodeError
from plic_mindspore import coding
from plic_mindspore.checkpoint import TrainedModel
from plic_mindspore.quantise import GRID


class Analysis(NamedTuple):
    """A picture's latents before the gain: all that encoding at any level needs."""

    y: Tensor  #: (1, M, h, w)
    height: int  #: of the picture, in pixels
    width: int


def encode(model: TrainedModel, image: ndarray, level: float, level_map: LevelMap | None = None) -> bytes:
    """Compress a picture to the bytes of a .plic file.

    Args:
        image: (3, H, W) RGB in [0, 1].
        level: 0 (fewest bits) … ``model.levels - 1``, continuous; rounded to 1/1024.
        level_map: offsets on that level for each cell of 16 x 16 pixels.

    Raises:
        ImageError: a picture of unsuitable shape, or with values that are no numbers.
        LevelError, LevelMapError: a level out of range, a map of unsuitable shape.
    """
    return encode_latents(model, analyse(model, image), level, level_map)


def decode(model: TrainedModel, data: bytes, max_pixels: int = MAX_PIXELS) -> ndarray:
    """Decompress the bytes of a .plic file to a picture (3, H, W) in [0, 1].

    Raises:
        BitstreamError: damaged, cut off, of another model or version, or larger than ``max_pixels``.
    """
    return synthesise(model, decode_latents(model, data, max_pixels))


def analyse(model: TrainedModel, image: ndarray) -> Analysis:
    """The encoder network. ``image`` as for ``encode``."""
    if image.ndim != 3 or image.shape[0] != 3 or not image.size:
        raise ImageError(f"a picture is an array (3, height, width), not {image.shape}")
    height, width = image.shape[1:]
    if max(height, width) > bitstream.MAX_SIDE:
        raise ImageError(f"a picture of {width} x {height}: a .plic file holds at most {bitstream.MAX_SIDE} pixels a side")
    padded = np.pad(image, [(0, 0), (0, -height % BLOCK), (0, -width % BLOCK)], mode="edge")
    return Analysis(model.networks.encoder(Tensor(padded[None].astype(np.float32))), height, width)


def encode_latents(model: TrainedModel, analysis: Analysis, level: float, level_map: LevelMap | None = None) -> bytes:
    """Gain, hyperprior and entropy coding at a level. A map that is zero everywhere costs nothing."""
    if level_map is not None and not level_map.labels.any():
        level_map = None
    top = model.levels - 1
    if not 0 <= level <= top:
        raise LevelError(f"the level lies between 0 (fewest bits) and {top}, not at {level:g}")
    steps = round(level * LEVEL_STEPS)
    y_bar = analysis.y * model.networks.gain_units.gain(_levels(model, analysis, steps / LEVEL_STEPS, level_map))
    y_bar, z = y_bar.asnumpy()[0], model.networks.hyper_encoder(y_bar).asnumpy()[0]
    if not (np.isfinite(y_bar).all() and np.isfinite(z).all()):
        raise ImageError("the latents are no numbers: the picture holds values that are none or far from 0 … 1, or the model is damaged")
    stream, y = coding.encode(model.integers, y_bar, z)
    return bitstream.File(
        model=bytes.fromhex(model.integers.hash)[:4],
        width=analysis.width,
        height=analysis.height,
        level=steps,
        latents_check=zlib.crc32(y.astype("<i2").tobytes()) & 0xFFFF,
        stream=stream,
        map_bytes=None if level_map is None else level_map.pack(),
    ).pack()


def decode_latents(model: TrainedModel, data: bytes, max_pixels: int = MAX_PIXELS) -> Decoded:
    """The file's fields, its levels, and 64 * y_hat exactly as the encoder had it. Raises as ``decode``."""
    try:
        return reference_decoder.decode(model.integers, data, max_pixels)
    except DecodeError as error:
        raise BitstreamError(str(error)) from error


def synthesise(model: TrainedModel, decoded: Decoded) -> ndarray:
    """Inverse gain and generator: latents -> the picture."""
    y_hat = Tensor((decoded.y[None] / GRID).astype(np.float32))
    x_hat = model.networks.generator(y_hat * model.networks.gain_units.inverse_gain(decoded.levels)).asnumpy()[0]
    return x_hat.clip(0, 1)[:, : decoded.header.height, : decoded.header.width]


def _levels(model: TrainedModel, analysis: Analysis, level: float, level_map: LevelMap | None) -> ndarray:
    """Level of each latent cell, checked against the picture and the model; cells that only pad it repeat the nearest one."""
    if level_map is None:
        return np.full((1, 1), level)
    cells, top = cell_grid(analysis.height, analysis.width), model.levels - 1
    if level_map.labels.shape != cells:
        raise LevelMapError(f"a level map for this picture has {cells} cells (height, width), not {level_map.labels.shape}")
    levels = level + level_map.offsets() / OFFSET_STEPS
    if not (-1 / OFFSET_STEPS <= levels.min() and levels.max() <= top + 1 / OFFSET_STEPS):
        raise LevelMapError(
            f"with this map, levels run from {levels.min():.3f} to {levels.max():.3f}; they have to lie between 0 and {top}"
        )
    return np.pad(levels, [(0, size - known) for size, known in zip(analysis.y.shape[-2:], cells)], mode="edge").clip(0, top)
