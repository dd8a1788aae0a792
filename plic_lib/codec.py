"""The codec in one screen: image -> bytes -> image.

There and back::

    encode:  image -> analyse -> y -> gain -> symbols -> rANS -> file
    decode:  file -> rANS -> symbols -> y_hat -> inverse gain -> synthesise -> image
"""

import math
import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from plic_lib import bitstream, coding, images
from plic_lib.bitstream import MAX_SIDE
from plic_lib.checkpoint import TrainedModel
from plic_lib.errors import BitstreamError, ImageError, LevelError, LevelMapError
from plic_lib.grid import CELL, LEVEL_STEPS, OFFSET_STEPS, cell_grid, latent_grid
from plic_lib.level_map import LevelMap
from plic_lib.quantise import GRID
from plic_lib.strips import in_strips


class Analysis(NamedTuple):
    """A picture's latents before the gain: all that encoding at any level needs."""

    y: Tensor  #: (1, M, h, w)
    height: int  #: of the picture, in pixels
    width: int


def encode(model: TrainedModel, image: Tensor, level: float, level_map: LevelMap | None = None) -> bytes:
    """Compress a picture to the bytes of a .plic file.

    Args:
        image: (3, H, W) RGB in [0, 1].
        level: 0 (fewest bits) … ``model.levels - 1``, continuous; rounded to 1/1024.
        level_map: offsets on that level for each cell of 16 x 16 pixels (see ``plic_lib.roi``).

    Raises:
        ImageError: a picture of unsuitable shape, or with values that are no numbers.
        LevelError, LevelMapError: a level out of range, a map of unsuitable shape.

    >>> from plic_lib import checkpoint, datasets
    >>> model, picture = checkpoint.load("mini"), datasets.sample("coffee")[:, :128, :192]
    >>> data = encode(model, picture, level=1.5)
    >>> data[:4], len(data) < 128 * 192 / 8  # less than one bit a pixel
    (b'PLIC', True)
    """
    return encode_latents(model, analyse(model, image), level, level_map)


@torch.no_grad()
def decode(model: TrainedModel, data: bytes, max_pixels: int = images.MAX_PIXELS) -> Tensor:
    """Decompress the bytes of a .plic file to a picture (3, H, W) in [0, 1].

    Whatever a file holds, the time is bounded by the size that it states: with ``mini`` at
    most 0.7 s a megapixel on one core of a server of 2023, so half a minute for the default
    limit; with a model of the paper's width 3 s. Where a stream has ended before its
    picture, decoding stops.

    Args:
        max_pixels: a file that states more is refused before any work.

    Raises:
        BitstreamError: damaged, cut off, of another model or version, or larger than ``max_pixels``.

    >>> from plic_lib import checkpoint, datasets
    >>> model, picture = checkpoint.load("mini"), datasets.sample("coffee")[:, :100, :130]
    >>> decode(model, encode(model, picture, level=1)).shape
    torch.Size([3, 100, 130])
    """
    file, y_hat = decode_latents(model, data, max_pixels)
    return synthesise(model, y_hat, file)


@torch.no_grad()
def analyse(model: TrainedModel, image: Tensor) -> Analysis:
    """The encoder network. ``image`` as for ``encode``."""
    if image.ndim != 3 or image.shape[0] != 3 or not image.numel():
        raise ImageError(f"a picture is a tensor (3, height, width), not {tuple(image.shape)}")
    height, width = image.shape[1:]
    if max(height, width) > MAX_SIDE:
        raise ImageError(f"a picture of {width} x {height}: a .plic file holds at most {MAX_SIDE} pixels a side")
    x = images.pad(image[None]).to(model.device)
    return Analysis(in_strips(model.encoder, x, CELL, 1), height, width)


@torch.no_grad()
def encode_latents(model: TrainedModel, analysis: Analysis, level: float, level_map: LevelMap | None = None) -> bytes:
    """Gain, hyperprior and entropy coding at a level. A map that is zero everywhere costs nothing."""
    if level_map is not None and not level_map.labels.any():
        level_map = None
    steps = level_steps(model, level)
    y_bar = analysis.y * model.networks.gain_units.gain(_levels(model, analysis, steps, level_map))
    z = model.networks.hyper_encoder(y_bar)
    if not (y_bar.isfinite().all() and z.isfinite().all()):
        raise ImageError("the latents are no numbers: the picture holds values that are none or far from 0 … 1, or the model is damaged")
    stream, y = coding.encode(model.integers, model.frozen.tables, y_bar[0], z[0])
    return bitstream.File(
        model=bytes.fromhex(model.hash)[:4],
        width=analysis.width,
        height=analysis.height,
        level=steps,
        latents_check=_check(y),
        stream=stream,
        map_bytes=None if level_map is None else level_map.pack(),
    ).pack()


@torch.no_grad()
def decode_latents(model: TrainedModel, data: bytes, max_pixels: int = images.MAX_PIXELS) -> tuple[bitstream.File, Tensor]:
    """The file's fields, and y_hat (1, M, h, w) exactly as the encoder had it. Raises as ``decode``."""
    file = bitstream.File.unpack(data, max_pixels)
    if file.model != bytes.fromhex(model.hash)[:4]:
        raise BitstreamError(f"the file was made by the model {file.model.hex()} and needs it; this one, {model.name}, is {model.hash[:8]}")
    if file.level > (model.levels - 1) * LEVEL_STEPS or not _within(model, file.levels):
        raise BitstreamError(
            f"the file is damaged: levels {file.levels.min():.3f} … {file.levels.max():.3f} instead of 0 … {model.levels - 1}"
        )
    y = coding.decode(model.integers, model.frozen.tables, file.stream, *latent_grid(file.height, file.width))
    if _check(y) != file.latents_check:
        raise BitstreamError("the file is damaged: the decoded latents do not match their check")
    return file, (y / GRID).float()[None].to(model.device)


@torch.no_grad()
def synthesise(model: TrainedModel, y_hat: Tensor, file: bitstream.File) -> Tensor:
    """Inverse gain and generator: y_hat -> the picture."""
    y = y_hat * model.networks.gain_units.inverse_gain(_level_tensor(model, file.levels, y_hat.shape))
    x_hat = in_strips(model.generator, y, 1, CELL)
    return images.crop(x_hat[0].clamp(0, 1), file.height, file.width).cpu()


def encode_to_bpp(
    model: TrainedModel,
    image: Tensor | Analysis,
    bpp: float,
    tolerance: float = 0.01,
    level_map: Callable[[float], LevelMap | None] = lambda level: None,
) -> tuple[bytes, float]:
    """The file whose size comes closest to ``bpp`` bits per pixel, by bisection on real files.

    Args:
        image: a picture, or its ``analyse``.
        tolerance: stop within this relative distance of the target.
        level_map: the map that goes with a base level. One that keeps a region at its
            level while the base moves makes the rest of the picture pay for the region.

    Returns:
        The file and its level. Where the model's range does not reach the target, the
        level is the nearest end of it; the caller sees that from the file's size.

    Raises:
        LevelError: a target that is no number above 0; and as ``encode``.

    >>> from plic_lib import checkpoint, datasets
    >>> model, picture = checkpoint.load("mini"), datasets.sample("coffee")[:, :256, :384]
    >>> data, level = encode_to_bpp(model, picture, bpp=0.15, tolerance=0.02)
    >>> 0 < level < 2, abs(8 * len(data) / (256 * 384) / 0.15 - 1) < 0.02
    (True, True)
    """
    if not 0 < bpp < math.inf:
        raise LevelError(f"the target is a number of bits per pixel above 0, not {bpp:g}")
    analysis = image if isinstance(image, Analysis) else analyse(model, image)
    target = bpp * analysis.height * analysis.width / 8
    low, high = 0.0, float(model.levels - 1)
    best, best_level = encode_latents(model, analysis, low, level_map(low)), low
    if len(best) >= target:
        return best, best_level
    level = high
    while high - low > 1 / LEVEL_STEPS and abs(len(best) / target - 1) > tolerance:
        data = encode_latents(model, analysis, level, level_map(level))
        if abs(len(data) - target) <= abs(len(best) - target):
            best, best_level = data, level
        if level == high and len(data) <= target:
            break
        low, high = (level, high) if len(data) < target else (low, level)
        level = (low + high) / 2
    return best, best_level


@torch.no_grad()
def latent_bits(model: TrainedModel, analysis: Analysis, level: float, level_map: LevelMap | None = None) -> tuple[Tensor, Tensor]:
    """What each latent should cost, says the float model decoding one after the other.

    Returns:
        Bits of y_hat (M, h, w) and of z_hat (N, h/4, w/4).
    """
    networks = model.networks
    y_bar = analysis.y * networks.gain_units.gain(_levels(model, analysis, level_steps(model, level), level_map))
    medians = networks.prior.medians
    z_hat = torch.round(networks.hyper_encoder(y_bar) - medians) + medians
    features = networks.hyper_decoder(z_hat)
    y_hat = networks.decode_order(y_bar, features)
    return networks.density.bits(y_hat, *networks.parameters_of(y_hat, features))[0], networks.prior.bits(z_hat)[0]


def estimated_bits(model: TrainedModel, analysis: Analysis, level: float) -> float:
    """The sum of ``latent_bits``: no header, no integers, no tables; the yardstick for real files."""
    return sum(float(bits.cpu().double().sum()) for bits in latent_bits(model, analysis, level))


def level_steps(model: TrainedModel, level: float) -> int:
    """A level as a file states it, in steps of 1/1024. Raises LevelError outside of the model's range, and for no number."""
    top = model.levels - 1
    if not 0 <= level <= top:
        raise LevelError(f"the level lies between 0 (fewest bits) and {top}, not at {level:g}")
    return round(level * LEVEL_STEPS)


def _levels(model: TrainedModel, analysis: Analysis, steps: int, level_map: LevelMap | None) -> Tensor:
    """Level of each latent cell, checked against the picture and the model."""
    levels = np.full((1, 1), steps / LEVEL_STEPS)
    if level_map is not None:
        cells = cell_grid(analysis.height, analysis.width)
        if level_map.labels.shape != cells:
            raise LevelMapError(
                f"a level map for this picture has {cells[0]} x {cells[1]} cells (height x width), not "
                f"{level_map.labels.shape[0]} x {level_map.labels.shape[1]}"
            )
        levels = levels + level_map.offsets() / OFFSET_STEPS
        if not _within(model, levels):
            raise LevelMapError(
                f"with this map, levels run from {levels.min():.3f} to {levels.max():.3f}; "
                f"they have to lie between 0 and {model.levels - 1}"
            )
    return _level_tensor(model, levels, analysis.y.shape)


def _within(model: TrainedModel, levels: np.ndarray) -> bool:
    """Whether a map's levels exist. They may pass an end of the range by one step, and stand for the end then."""
    return -1 / OFFSET_STEPS <= levels.min() and levels.max() <= model.levels - 1 + 1 / OFFSET_STEPS


def _level_tensor(model: TrainedModel, levels: np.ndarray, shape: torch.Size) -> Tensor:
    """For the gain units of latents of this shape; the cells that only pad the picture repeat the nearest one."""
    if levels.size > 1:
        levels = np.pad(levels, [(0, size - known) for size, known in zip(shape[-2:], levels.shape)], mode="edge")
    return torch.from_numpy(levels.clip(0, model.levels - 1)).float().to(model.device)


def _check(y: Tensor) -> int:
    """Low half of the CRC-32 of the latents as 16-bit integers."""
    return zlib.crc32(y.to("cpu", torch.int16).contiguous().numpy().astype("<i2").tobytes()) & 0xFFFF
