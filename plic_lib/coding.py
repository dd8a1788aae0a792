"""Latents <-> bytes: rANS over the wavefront.

Encoder and decoder walk the same way through the latents, front by front
(``context.wavefront``). At each front the integer networks give means and scale indices
from what is already coded; the encoder rounds and notes the residuals, the decoder reads
them. One rANS stream holds z, then for each front the zero flags, sides and magnitudes.
"""

from collections.abc import Callable

import torch
from compressai import ans
from torch import Tensor
from tqdm.auto import tqdm

from plic_lib.context import fronts
from plic_lib.integer import LATENT_LIMIT, IntegerNetworks
from plic_lib.quantise import GRID
from plic_lib.tables import Tables

#: Gained latents are clamped to this, so that 64 * y_hat keeps within 16 bits.
Y_LIMIT = LATENT_LIMIT // GRID - 2
#: z_hat likewise; also keeps the coder's escape codes short.
Z_LIMIT = Y_LIMIT
#: Fronts of a picture whose coding takes seconds and is worth a progress bar (about three megapixels).
LONG = 400


class _Rows:
    """A table set in the form that CompressAI's coder takes: lists of integers."""

    def __init__(self, cdf: Tensor, length: Tensor | None = None, offset: Tensor | None = None):
        rows = len(cdf)
        self.length = [cdf.shape[1]] * rows if length is None else length.tolist()
        self.cdf = [row[:n] for row, n in zip(cdf.tolist(), self.length)]
        self.offset = [0] * rows if offset is None else offset.tolist()


class _Coder:
    """What encoder and decoder share: the tables, and the classes of a front's symbols."""

    def __init__(self, tables: Tables):
        self.tables = tables
        self.zero = _Rows(tables.zero_cdf)
        self.side = _Rows(tables.side_cdf)
        self.magnitude = _Rows(tables.magnitude_cdf, tables.magnitude_length)
        self.z = _Rows(tables.z_cdf, tables.z_length, tables.z_offset)


class Encoder(_Coder):
    """Collects symbols; ``bytes()`` ends the stream."""

    def __init__(self, tables: Tables):
        super().__init__(tables)
        self._stream = ans.BufferedRansEncoder()

    def _put(self, symbols: Tensor, classes: Tensor, rows: _Rows) -> None:
        self._stream.encode_with_indexes(symbols.tolist(), classes.tolist(), rows.cdf, rows.length, rows.offset)

    def put_z(self, symbols: Tensor) -> None:
        """Symbols (N, h, w) of z, one table a channel."""
        classes = torch.arange(len(symbols)).repeat_interleave(symbols[0].numel())
        self._put(symbols.flatten(), classes, self.z)

    def put_front(self, residuals: Tensor, left: Tensor, right: Tensor) -> None:
        """Residuals and scale indices of one front, flat, int64."""
        self._put((residuals != 0).long(), self.tables.zero_class[left, right], self.zero)
        rest = residuals != 0
        residuals, left, right = residuals[rest], left[rest], right[rest]
        positive = residuals > 0
        self._put(positive.long(), self.tables.side_class[left, right], self.side)
        own = torch.where(positive, right, left)
        self._put(residuals.abs() - 1, self.tables.magnitude_class[own], self.magnitude)

    def bytes(self) -> bytes:
        """The whole stream. (z alone has N >= 4 symbols: the coder below fails on fewer.)"""
        return self._stream.flush()


class Decoder(_Coder):
    """Reads back what an ``Encoder`` was given, with the same classes in the same order.

    The coder below reads past the end of a damaged stream, so zeros follow the data: once
    it reads only zeros, each symbol is the first of its table and takes less than two bytes.
    """

    def __init__(self, tables: Tables, data: bytes, symbols: int):
        super().__init__(tables)
        self._stream = ans.RansDecoder()
        self._stream.set_stream(data + bytes(2 * symbols + 64))

    def _get(self, classes: Tensor, rows: _Rows) -> Tensor:
        return torch.tensor(self._stream.decode_stream(classes.tolist(), rows.cdf, rows.length, rows.offset), dtype=torch.int64)

    def get_z(self, channels: int, height: int, width: int) -> Tensor:
        """Symbols of z, (N, h, w)."""
        classes = torch.arange(channels).repeat_interleave(height * width)
        return self._get(classes, self.z).reshape(channels, height, width)

    def get_front(self, left: Tensor, right: Tensor) -> Tensor:
        """Residuals of one front, flat, int64."""
        residuals = self._get(self.tables.zero_class[left, right], self.zero)
        rest = residuals.nonzero().flatten()
        if len(rest):
            left, right = left[rest], right[rest]
            positive = self._get(self.tables.side_class[left, right], self.side) > 0
            own = torch.where(positive, right, left)
            magnitudes = self._get(self.tables.magnitude_class[own], self.magnitude) + 1
            residuals[rest] = torch.where(positive, magnitudes, -magnitudes)
        return residuals


def walk(networks: IntegerNetworks, z: Tensor, code: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]) -> Tensor:
    """Go through all latents front by front, in integers.

    Args:
        z: (N, h/4, w/4) integers, 64 * z_hat.
        code: called for each front with its cells (n,), and their means, left and right
            scale indices, (n, M) each; returns the residuals (n, M).

    Returns:
        (M, h, w) integers in float64, 64 * y_hat.
    """
    features = networks.features(z)
    height, width = 4 * z.shape[1], 4 * z.shape[2]
    y = torch.zeros((height + 2) * (width + 4), networks.M, dtype=torch.float64, device=networks.device)
    steps = fronts(height, width)
    for front in tqdm(steps, desc="latents", unit="front", delay=2, leave=False, disable=len(steps) < LONG):
        cells, centres, neighbours = (index.to(networks.device) for index in front)
        means, left, right = networks.parameters(features[cells], y[neighbours].reshape(len(cells), -1))
        residuals = code(cells, means, left, right)
        y[centres] = (GRID * residuals + means).clamp(-LATENT_LIMIT, LATENT_LIMIT)
    return y.reshape(height + 2, width + 4, -1)[2:, 2:-2].permute(2, 0, 1)


def encode(networks: IntegerNetworks, tables: Tables, y_bar: Tensor, z: Tensor) -> tuple[bytes, Tensor]:
    """Code gained latents y_bar (M, h, w) and hyper-latents z (N, h/4, w/4), both float.

    Returns:
        The stream, and 64 * y_hat as the decoder will have it, (M, h, w).
    """
    encoder = Encoder(tables)
    medians = tables.z_median[:, None, None] / GRID
    z_symbols = torch.round(z.cpu().clamp(-Z_LIMIT, Z_LIMIT) - medians).long()
    encoder.put_z(z_symbols)
    rows = y_bar.to(networks.device).double().clamp(-Y_LIMIT, Y_LIMIT).flatten(1).T

    def put(cells: Tensor, means: Tensor, left: Tensor, right: Tensor) -> Tensor:
        residuals = torch.round(rows[cells] - means / GRID)
        encoder.put_front(*(t.flatten().long().cpu() for t in (residuals, left, right)))
        return residuals

    y = walk(networks, GRID * z_symbols + tables.z_median[:, None, None], put)
    return encoder.bytes(), y


def decode(networks: IntegerNetworks, tables: Tables, data: bytes, height: int, width: int) -> Tensor:
    """The inverse of ``encode``: 64 * y_hat, (M, height, width); both sides multiples of four.

    A damaged stream gives other latents, never an error, a hang or a crash; the caller
    compares checksums.
    """
    channels = len(tables.z_length)
    cells = height * width
    decoder = Decoder(tables, data, symbols=cells * networks.M + cells // 16 * channels)
    z_symbols = decoder.get_z(channels, height // 4, width // 4)

    def get(_cells: Tensor, means: Tensor, left: Tensor, right: Tensor) -> Tensor:
        residuals = decoder.get_front(left.flatten().long().cpu(), right.flatten().long().cpu())
        return residuals.reshape(means.shape).to(means)

    return walk(networks, GRID * z_symbols + tables.z_median[:, None, None], get)
