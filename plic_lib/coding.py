"""Latents <-> bytes: rANS over the wavefront.

Encoder and decoder walk the same way through the latents, front by front
(``context.wavefront``). At each front the integer networks give means and scale indices
from what is already coded; the encoder rounds and notes the residuals, the decoder reads
them. One rANS stream holds z, then for each front the zero flags, sides and magnitudes.
"""

from collections.abc import Callable

import numpy as np
import torch
from compressai import ans  # pyright: ignore[reportAttributeAccessIssue]
from torch import Tensor
from tqdm.auto import tqdm

from plic_lib.context import fronts
from plic_lib.integer import LATENT_LIMIT, IntegerNetworks
from plic_lib.quantise import GRID
from plic_lib.tables import PRECISION, SCALES, Tables

#: Gained latents are clamped to this, so that 64 * y_hat keeps within 16 bits.
Y_LIMIT = LATENT_LIMIT // GRID - 2
#: z_hat likewise; also keeps the coder's escape codes short.
Z_LIMIT = Y_LIMIT
#: Fronts of a picture whose coding takes seconds and is worth a progress bar (about three megapixels).
LONG = 400
#: What no stream of ours holds, but for a chance of 2^-128 at each byte; erased memory is full of it.
ONES = b"\xff" * 16
#: Symbols that the encoder keeps before it passes them on.
BATCH = 2**18


class _Rows:
    """One set of tables in the form that CompressAI's coder takes: lists of integers, a row for each class."""

    def __init__(self, cdf: Tensor, length: Tensor | None = None, offset: Tensor | None = None):
        self.length = [cdf.shape[1]] * len(cdf) if length is None else length.tolist()
        self.cdf = [row[:n] for row, n in zip(cdf.tolist(), self.length)]
        self.offset = [0] * len(cdf) if offset is None else offset.tolist()
        self._first, self._width = np.array(self.offset), cdf.shape[1] - 1
        bits = PRECISION - np.log2(cdf.diff(dim=1).clamp(min=1).numpy())
        for row, n in zip(bits, self.length):
            row[n - 2 :] = row[n - 2]  # whatever lies outside of a row is coded by its last symbol, the escape
        self._bits = bits.ravel()

    def bits(self, symbols: np.ndarray, classes: np.ndarray) -> float:
        """What these symbols cost, apart from the digits behind an escape."""
        index = (symbols - self._first.take(classes)).view(np.uint64)  # a negative one becomes very large
        index = np.minimum(index, self._width - 1).view(np.int64)
        return float(self._bits.take(self._width * classes + index).sum())


class _Coder:
    """What encoder and decoder share: the tables, and the classes of a front's symbols."""

    def __init__(self, tables: Tables):
        self.zero = _Rows(tables.zero_cdf)
        self.side = _Rows(tables.side_cdf)
        self.magnitude = _Rows(tables.magnitude_cdf, tables.magnitude_length)
        self.z = _Rows(tables.z_cdf, tables.z_length, tables.z_offset)
        self._zero_class, self._side_class, self._magnitude_class = (
            table.numpy().astype(np.int64).ravel() for table in (tables.zero_class, tables.side_class, tables.magnitude_class)
        )


class Encoder(_Coder):
    """Collects symbols; ``bytes()`` ends the stream."""

    def __init__(self, tables: Tables):
        super().__init__(tables)
        self._stream = ans.BufferedRansEncoder()
        # the coder copies all its tables at each call: so it gets all symbols of many fronts at once, and all sets as one
        sets = self.zero, self.side, self.magnitude, self.z
        self._cdf, self._length, self._offset = (sum((getattr(rows, part) for rows in sets), []) for part in ("cdf", "length", "offset"))
        self._first = dict(zip(sets, np.cumsum([0, *(len(rows.cdf) for rows in sets)])))
        self._symbols: list[np.ndarray] = []
        self._classes: list[np.ndarray] = []
        self._waiting = 0

    def _put(self, symbols: np.ndarray, classes: np.ndarray, rows: _Rows) -> None:
        self._symbols.append(symbols)
        self._classes.append(classes + self._first[rows])
        self._waiting += len(symbols)
        if self._waiting > BATCH:
            self._pass_on()

    def _pass_on(self) -> None:
        if self._waiting:
            symbols, classes = np.concatenate(self._symbols).tolist(), np.concatenate(self._classes).tolist()
            self._stream.encode_with_indexes(symbols, classes, self._cdf, self._length, self._offset)
        self._symbols, self._classes, self._waiting = [], [], 0

    def put_z(self, symbols: Tensor) -> None:
        """Symbols (N, h, w) of z, one table a channel."""
        self._put(symbols.flatten().numpy(), np.arange(len(symbols)).repeat(symbols[0].numel()), self.z)

    def put_front(self, residuals: Tensor, left: Tensor, right: Tensor) -> None:
        """Residuals and scale indices of one front, flat, int64."""
        r, lefts, rights = residuals.numpy(), left.numpy(), right.numpy()
        pairs, rest = SCALES * lefts + rights, r.nonzero()[0]
        self._put((r != 0).astype(np.int64), self._zero_class[pairs], self.zero)
        r, pairs = r[rest], pairs[rest]
        positive = r > 0
        self._put(positive.astype(np.int64), self._side_class[pairs], self.side)
        own = np.where(positive, rights[rest], lefts[rest])
        self._put(np.abs(r) - 1, self._magnitude_class[own], self.magnitude)

    def bytes(self) -> bytes:
        """The whole stream. (z alone has N >= 4 symbols: the coder below fails on fewer.)"""
        self._pass_on()
        return self._stream.flush()


class Decoder(_Coder):
    """Reads back what an ``Encoder`` was given, with the same classes in the same order.

    The coder below reads past the end of a damaged stream, so zeros follow the data: once
    it reads only zeros, each symbol is the first of its table and takes less than two bytes.
    An escape takes up to 15 digits for each digit of ones, without end: so the data end
    before ``ONES``, and the last escape takes 768 digits at most, of half a byte.
    """

    def __init__(self, tables: Tables, data: bytes, symbols: int):
        super().__init__(tables)
        self._stream = ans.RansDecoder()
        data = data.partition(ONES)[0]
        self._stream.set_stream(data + bytes(2 * symbols + 512))
        self._bits_left = 8.0 * len(data)

    @property
    def has_ended(self) -> bool:
        """Whether more has been read than the stream holds."""
        return self._bits_left < 0

    def _get(self, classes: np.ndarray, rows: _Rows) -> np.ndarray:
        top = int(classes.max()) + 1  # the coder copies its tables at each call: only those up to the largest in use
        symbols = self._stream.decode_stream(classes.tolist(), rows.cdf[:top], rows.length[:top], rows.offset[:top])
        symbols = np.array(symbols, dtype=np.int64)
        # a step of rANS rounds its state, at least 2^31, by less than 2^16: a symbol may take so much less than its frequency says
        self._bits_left -= rows.bits(symbols, classes) - 2.0**-14 * len(symbols)
        return symbols

    def get_z(self, channels: int, height: int, width: int) -> Tensor:
        """Symbols of z, (N, h, w)."""
        classes = np.arange(channels).repeat(height * width)
        return torch.from_numpy(self._get(classes, self.z)).reshape(channels, height, width)

    def get_front(self, left: Tensor, right: Tensor) -> Tensor:
        """Residuals of one front, flat, int64."""
        lefts, rights = left.numpy(), right.numpy()
        pairs = SCALES * lefts + rights
        residuals = self._get(self._zero_class[pairs], self.zero)
        rest = residuals.nonzero()[0]
        if len(rest):
            positive = self._get(self._side_class[pairs[rest]], self.side) > 0
            own = np.where(positive, rights[rest], lefts[rest])
            magnitudes = self._get(self._magnitude_class[own], self.magnitude) + 1
            residuals[rest] = np.where(positive, magnitudes, -magnitudes)
        return torch.from_numpy(residuals)


def walk(networks: IntegerNetworks, z: Tensor, code: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor | None]) -> Tensor:
    """Go through all latents front by front, in integers.

    Args:
        z: (N, h/4, w/4) integers, 64 * z_hat.
        code: called for each front with its cells (n,), and their means, left and right
            scale indices, (n, M) each; returns the residuals (n, M), or None to stop there.

    Returns:
        (M, h, w) integers in float64, 64 * y_hat; zeros from where it stopped.
    """
    features = networks.features(z)
    height, width = 4 * z.shape[1], 4 * z.shape[2]
    y = torch.zeros((height + 2) * (width + 4), networks.M, dtype=torch.float64, device=networks.device)
    steps = fronts(height, width, networks.device)
    for cells, centres, neighbours in tqdm(steps, desc="latents", unit="front", delay=2, leave=False, disable=len(steps) < LONG):
        context = y.index_select(0, neighbours).reshape(len(cells), -1)
        means, left, right = networks.parameters(features.index_select(0, cells), context)
        residuals = code(cells, means, left, right)
        if residuals is None:
            break
        y.index_copy_(0, centres, torch.add(means, residuals, alpha=GRID).clamp_(-LATENT_LIMIT, LATENT_LIMIT))
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
        residuals = torch.round(rows.index_select(0, cells) - means / GRID)
        encoder.put_front(*(t.flatten().long().cpu() for t in (residuals, left, right)))
        return residuals

    y = walk(networks, GRID * z_symbols + tables.z_median[:, None, None], put)
    return encoder.bytes(), y


def decode(networks: IntegerNetworks, tables: Tables, data: bytes, height: int, width: int) -> Tensor:
    """The inverse of ``encode``: 64 * y_hat, (M, height, width); both sides multiples of four.

    A damaged stream gives other latents, never an error, a hang or a crash; the caller
    compares checksums. Where it has ended long before its picture, the rest is zeros at once.
    """
    channels = len(tables.z_length)
    cells = height * width
    decoder = Decoder(tables, data, symbols=cells * networks.M + cells // 16 * channels)
    z_symbols = decoder.get_z(channels, height // 4, width // 4)
    if decoder.has_ended:
        return torch.zeros(networks.M, height, width, dtype=torch.float64)

    def get(_cells: Tensor, means: Tensor, left: Tensor, right: Tensor) -> Tensor | None:
        if decoder.has_ended:
            return None
        residuals = decoder.get_front(left.flatten().long().cpu(), right.flatten().long().cpu())
        return residuals.reshape(means.shape).to(means)

    return walk(networks, GRID * z_symbols + tables.z_median[:, None, None], get)
