"""Latents -> bytes: rANS over the wavefront, in NumPy.

From bytes to latents it is ``plic_lib.reference_decoder`` that decodes: it needs NumPy alone, and the integer networks of
encoder and decoder are its own. They stay on the CPU: their sums need float64, which MindSpore's accelerators do not have.
"""

import struct

import numpy as np
from numpy import ndarray

from plic_lib.reference_decoder import LATENT_LIMIT, Model, walk
from plic_mindspore.quantise import GRID

LIMIT = LATENT_LIMIT // GRID - 2  #: of gained latents and of z, so that 64 * y_hat keeps within 16 bits


class Encoder:
    """Collects symbols; ``bytes`` ends the stream. What ``reference_decoder.Stream`` reads, docs/format.md specifies."""

    def __init__(self):
        self._steps: list[tuple[int, int]] = []  # first frequency and width of a symbol; of four bare bits: these, and 0

    def symbols(self, table: list[list[int]], rows: list[int], symbols: list[int]) -> None:
        """One symbol for each of ``rows`` of a set of tables."""
        for number, symbol in zip(rows, symbols):
            row = table[number]
            escape = len(row) - 2
            inside = 0 <= symbol < escape
            index = symbol if inside else escape
            self._steps.append((row[index], row[index + 1] - row[index]))
            if not inside:
                self._escaped(-2 * symbol - 1 if symbol < 0 else 2 * (symbol - escape))

    def _escaped(self, value: int) -> None:
        """A number outside of its table: how many digits of four bits it has, in fifteens, then these, the lowest first."""
        count = -(-value.bit_length() // 4)
        digits = [15] * (count // 15) + [count % 15] + [value >> 4 * i & 15 for i in range(count)]
        self._steps += [(digit, 0) for digit in digits]

    def bytes(self) -> bytes:
        """The whole stream: the last symbol goes in first, so that the first one comes out first."""
        state, words = 2**31, []
        for start, width in reversed(self._steps):
            if state >= (width or 2**12) << 47:
                words.append(state & 0xFFFFFFFF)
                state >>= 32
            state = state // width << 16 | state % width + start if width else state << 4 | start
        words += [state >> 32, state & 0xFFFFFFFF]
        return struct.pack(f"<{len(words)}I", *reversed(words))


def encode(model: Model, y_bar: ndarray, z: ndarray) -> tuple[bytes, ndarray]:
    """Code gained latents y_bar (M, h, w) and hyper-latents z (N, h/4, w/4), both float32.

    Returns:
        The stream, and 64 * y_hat as the decoder will have it, (M, h, w).
    """
    encoder, tables = Encoder(), model.tables
    median, offset = (model.tensors[f"frozen.z_{part}"].astype(np.int64)[:, None, None] for part in ("median", "offset"))
    z_symbols = np.round(z.clip(-LIMIT, LIMIT) - (median / GRID).astype(np.float32)).astype(np.int64)
    channels = np.arange(len(z)).repeat(z[0].size)
    encoder.symbols(tables["z"], channels.tolist(), (z_symbols - offset).ravel().tolist())
    rows = y_bar.astype(np.float64).clip(-LIMIT, LIMIT).reshape(len(y_bar), -1).T
    zero_class, side_class, magnitude_class = (model.tensors[f"frozen.{name}_class"] for name in ("zero", "side", "magnitude"))

    def code(cells: ndarray, means: ndarray, left: ndarray, right: ndarray) -> ndarray:
        residuals = np.round(rows[cells] - means / GRID).astype(np.int64).ravel()
        encoder.symbols(tables["zero"], zero_class[left, right].tolist(), (residuals != 0).tolist())
        (rest,) = residuals.nonzero()
        r, left, right = residuals[rest], left[rest], right[rest]
        encoder.symbols(tables["side"], side_class[left, right].tolist(), (r > 0).tolist())
        encoder.symbols(tables["magnitude"], magnitude_class[np.where(r > 0, right, left)].tolist(), (abs(r) - 1).tolist())
        return residuals

    y = walk(model, GRID * z_symbols + median, code)
    return encoder.bytes(), y
