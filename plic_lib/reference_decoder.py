"""A second decoder, written from ``docs/format.md`` alone: from the bytes of a .plic file to its latents.

It needs numpy and nothing else, no other part of plic either, so it can be copied into a
project that has no PyTorch: what follows the latents is one gain and one network.

    model = read_model("mini.safetensors")
    decoded = decode(model, open("photo.plic", "rb").read())
    y_hat = decoded.y / 64  # (M, h, w), to be multiplied with the inverse gain of decoded.levels

Section numbers are that page's. What it does not allow is refused with one sentence.
"""

import hashlib
import json
import struct
import zlib
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy import ndarray

MAX_PIXELS = 50_000_000  #: of a picture, unless the caller sets another limit
LATENT_LIMIT, ACTIVATION_LIMIT, WEIGHT_LIMIT = 2**15 - 1, 2**23 - 1, 2**19 - 1
LOG_SCALE_MIN, LOG_SCALE_STEP, SCALES = float.fromhex("-0x1.1a87fbfeb72dfp+1"), float.fromhex("0x1.9aa46ac8a79d7p-5"), 128
#: The twelve cells before the centre of a 5x5 window, as (row, column)
TAPS = [(u, v) for u in (-2, -1, 0) for v in (-2, -1, 0, 1, 2) if (u, v) < (0, 0)]


class DecodeError(ValueError):
    """A file or a model that does not keep to the format; the message says in what."""


def _require(condition: object, sentence: str) -> None:
    if not condition:
        raise DecodeError(sentence)


# ---------------------------------------------------------------- the file (section 1)


@dataclass(frozen=True)
class Header:
    """The fields of a file, which can be read without its model."""

    model: bytes  #: first four bytes of the model's hash
    width: int
    height: int
    level: int  #: in steps of 1/1024
    latents_check: int
    level_map: bytes | None
    stream: bytes


def read_header(data: bytes) -> Header:
    """Take a file apart. Raises DecodeError for one that is damaged or of another format."""
    _require(data[:4] == b"PLIC", "this is not a .plic file")
    _require(len(data) >= 26, "the file is damaged: it ends within its header")
    version, flags, model, width, height, level, check, length, crc = struct.unpack_from("<BB4sHHHHII", data, 4)
    _require(version == 1 and flags <= 1, f"the file has version {version} and flags {flags}; this decoder knows version 1, flags 0 and 1")
    _require(zlib.crc32(data[:22] + data[26:]) == crc, "the file is damaged: its checksum is wrong")
    start, level_map = 26, None
    if flags:
        (size,) = struct.unpack("<H", data[26:28].ljust(2, b"\0"))
        start, level_map = 28 + size, data[28 : 28 + size]
    fits = len(data) == start + length and length >= 8 and length % 4 == 0 and width and height
    _require(fits, "the file is damaged: its sizes do not fit together")
    return Header(model, width, height, level, check, level_map, data[start:])


# ---------------------------------------------------------------- the level map (section 2)


def read_level_map(data: bytes, height: int, width: int) -> ndarray:
    """(height, width) offsets in steps of 1/8 level, soft edge included. Raises DecodeError."""
    _require(len(data) > 0 and data[0] >> 4 <= 1, "the file is damaged: its level map has an unknown form")
    labels = (_boxes if data[0] >> 4 else _cells)(data[1:], height, width)
    _require(labels.min() >= -127, "the file is damaged: a step in its level map is out of range")
    reached, offsets, feather = labels, labels, data[0] & 15
    for d in range(1, feather + 1):
        edged = np.pad(reached, 1, mode="edge")
        around = [edged[u : u + height, v : v + width] for u in range(3) for v in range(3)]
        up, down = np.maximum.reduce(around), np.minimum.reduce(around)
        spread = np.where(reached == 0, np.where(up >= -down, up, down), 0)
        offsets = np.where(spread != 0, np.sign(spread) * (abs(spread) * (feather + 1 - d) // (feather + 1)), offsets)
        reached = np.where(spread != 0, spread, reached)
    return offsets


def _boxes(data: bytes, height: int, width: int) -> ndarray:
    numbers, value, shift = [], 0, 0
    for byte in data:
        value, shift = value | (byte & 127) << shift, shift + 7
        if byte < 128:
            numbers.append(value)
            value, shift = 0, 0
        _require(shift <= 28, "the file is damaged: a number in its level map is too long")
    whole = not shift and numbers and numbers[0] <= 255 and len(numbers) == 1 + 5 * numbers[0]
    _require(whole, "the file is damaged: the boxes of its level map are incomplete")
    labels = np.zeros((height, width), np.int64)
    for top, left, rows, columns, label in np.reshape(numbers[1:], (-1, 5)).tolist():
        inside = rows and columns and top + rows <= height and left + columns <= width and label <= 255
        _require(inside, "the file is damaged: a box of its level map does not lie in the picture")
        labels[top : top + rows, left : left + columns] = label - 256 * (label > 127)
    return labels


class _BinaryDecoder:
    """The adaptive arithmetic code of a cell map; a context is whatever hashable the caller names it."""

    def __init__(self, code: bytes):
        self.low, self.high, self.value = 0, 2**32 - 1, int.from_bytes(code[:4].ljust(4, b"\0"), "big")
        self.code, self.contexts = iter(code[4:]), {}

    def bit(self, context) -> int:
        one, seen = self.contexts.get(context, (32768, 1))
        middle = self.low + (self.high - self.low >> 16) * one
        bit = int(self.value <= middle)
        self.low, self.high = (self.low, middle) if bit else (middle + 1, self.high)
        seen = min(seen + 1, 30)
        one += ((65535 if bit else 0) - one) // (seen + 1)
        self.contexts[context] = min(max(one, 64), 65472), seen
        while self.low >> 24 == self.high >> 24:
            self.low, self.high = self.low << 8 & 0xFFFFFFFF, self.high << 8 & 0xFFFFFFFF | 255
            self.value = self.value << 8 & 0xFFFFFFFF | next(self.code, 0)
        return bit


def _cells(data: bytes, height: int, width: int) -> ndarray:
    decoder = _BinaryDecoder(data)
    rows = [[0] * (width + 4) for _ in range(height + 2)]  # with two cells around that are zero
    for y in range(2, height + 2):
        row, above, top = rows[y], rows[y - 1], rows[y - 2]
        for x in range(2, width + 2):
            left, up = row[x - 1], above[x]
            corners = above[x - 1] == left, above[x + 1] == up
            if decoder.bit((left == up, *corners, row[x - 2] == left, above[x + 2] == up, top[x] == up)):
                row[x] = left
            elif left != up and decoder.bit(corners):
                row[x] = up
            else:
                number = 1
                for _ in range(8):
                    number = number << 1 | decoder.bit(number)
                row[x] = number - 256 if number < 384 else number - 512
    return np.array(rows)[2:, 2:-2]


# ---------------------------------------------------------------- the model (sections 3, 5 and 8)


@dataclass
class Layer:
    """Integers of a layer, in float64: ``floor((W x + bias) * scale + 1/2)``, clamped."""

    weight: ndarray  #: (outputs, inputs)
    bias: ndarray  #: (outputs,)
    scale: ndarray  #: (outputs,), powers of two
    low: int = -ACTIVATION_LIMIT
    leaky: bool = False

    def __call__(self, rows: ndarray) -> ndarray:
        """(cells, inputs) -> (cells, outputs)."""
        sums = rows @ self.weight.T + self.bias
        if self.leaky:
            sums = np.where(sums < 0, sums / 128, sums)
        return np.floor(sums * self.scale + 0.5).clip(self.low, ACTIVATION_LIMIT)


@dataclass(frozen=True)
class Model:
    """What a model's file holds, and the integers that follow from it."""

    hash: str  #: hexadecimal, verified
    widths: dict  #: N, M, levels, symmetric, pooled
    tensors: dict[str, ndarray]  #: everything in the file, by name; half precision as float32
    layers: dict[str, Layer]
    tables: dict[str, list[list[int]]]  #: zero, side, magnitude, z: rows without what fills them up


def read_model(path: str | Path) -> Model:
    """Read a model's safetensors file. Raises DecodeError where it is none, is damaged, or has another hash than it states."""
    try:
        tensors, metadata = _read_safetensors(Path(path).read_bytes())
        _require(metadata["format"] == "plic-1", f"its format is {metadata['format']!r}")
        widths = json.loads(metadata["widths"])
        gains = tensors["networks.gain_units.theta_inverse"].shape
        _require(gains == (widths["levels"], widths["M"]), f"its inverse gains have the shape {gains}")
        layers = {name: _layer(tensors, *row) for name, row in _network(**widths).items()}
        model = Model(metadata["hash"], widths, tensors, layers, _tables(tensors, widths["N"]))
        _require(_hash(model) == model.hash, "it has another hash than it states")
        return model
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise DecodeError(f"{path}: not a model of format plic-1, or a damaged one ({error})") from error


def _read_safetensors(data: bytes) -> tuple[dict[str, ndarray], dict[str, str]]:
    size = int.from_bytes(data[:8], "little")
    entries = json.loads(data[8 : 8 + size])
    metadata = entries.pop("__metadata__", {})
    kinds = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "I32": "<i4", "I64": "<i8", "U8": "u1"}
    tensors = {}
    for name, entry in entries.items():
        begin, end = (8 + size + offset for offset in entry["data_offsets"])
        array = np.frombuffer(data[begin:end], kinds[entry["dtype"]]).reshape(entry["shape"])
        tensors[name] = array.astype("<f4") if entry["dtype"] == "F16" else array
    return tensors, metadata


def _network(N: int, M: int, symmetric: bool, **_: object) -> dict[str, tuple]:
    """Of each layer: name and shape of its weights, fraction bits of input and output as indices into (6, *fraction_bits), kind."""
    first, second, heads = M * 10 // 3, M * 8 // 3, (2 if symmetric else 3) * M
    return {
        "hyper_1": ("hyper_decoder.0", (N, M, 5, 5), 0, 1, "transposed"),
        "hyper_2": ("hyper_decoder.2", (M, M * 3 // 2, 5, 5), 1, 2, "transposed"),
        "hyper_3": ("hyper_decoder.4", (2 * M, M * 3 // 2, 3, 3), 2, 3, "plain"),
        "context": ("context", (2 * M, M, 5, 5), 0, 3, "taps"),
        "gather_1": ("gather.layers.0", (first, 4 * M, 1, 1), 3, 4, "leaky"),
        "gather_2": ("gather.layers.2", (second, first, 1, 1), 4, 5, "leaky"),
        "gather_3": ("gather.layers.4", (heads, second, 1, 1), 5, 0, "heads"),
    }


def _layer(tensors: dict[str, ndarray], source: str, shape: tuple, b_in: int, b_out: int, kind: str) -> Layer:
    weight, bias = (tensors[f"networks.{source}.{part}"].astype(np.float64) for part in ("weight", "bias"))
    outputs = shape[1] if kind == "transposed" else shape[0]
    _require((weight.shape, bias.shape) == (shape, (outputs,)), f"networks.{source} has weights of shape {weight.shape}")
    b_in, b_out = ([6, *tensors["frozen.fraction_bits"].tolist()][index] for index in (b_in, b_out))
    if kind == "transposed":
        kernel = np.pad(weight, [(0, 0), (0, 0), (0, 1), (0, 1)])  # index 5 is the weight of zero
        taps = np.array([[4, 2, 0], [5, 3, 1]])
        kernel = kernel[:, :, taps[:, None, :, None], taps[None, :, None, :]]  # inputs, outputs, a, c, u, v
        return _quantise(kernel.transpose(1, 2, 3, 0, 4, 5).reshape(4 * len(bias), -1), bias.repeat(4), b_in, b_out, low=0)
    if kind == "taps":
        weight = np.stack([weight[:, :, 2 + u, 2 + v] for u, v in TAPS], axis=1)
    weight = weight.reshape(len(bias), -1)
    if kind == "heads":
        M = tensors["networks.context.weight"].shape[1]
        means = _quantise(weight[:M], bias[:M], b_in, 6)
        scales = _quantise(weight[M:] / LOG_SCALE_STEP, (bias[M:] - LOG_SCALE_MIN) / LOG_SCALE_STEP, b_in, 0)
        weight, bias, scale = (np.concatenate([getattr(half, part) for half in (means, scales)]) for part in ("weight", "bias", "scale"))
        return Layer(weight, bias, scale)
    return _quantise(weight, bias, b_in, b_out, leaky=kind == "leaky")


def _quantise(weight: ndarray, bias: ndarray, b_in: int, b_out: int, **kind) -> Layer:
    exponents = 19 - np.frexp(np.maximum(abs(weight).max(axis=1), 1e-6))[1]
    weight = np.rint(np.ldexp(weight, exponents[:, None])).clip(-WEIGHT_LIMIT, WEIGHT_LIMIT)
    bias = np.rint(np.ldexp(bias, exponents + b_in))
    _require((abs(weight).sum(axis=1) * ACTIVATION_LIMIT + abs(bias)).max() < 2**52, "sums of a layer could exceed 2^52")
    return Layer(weight, bias, np.ldexp(1.0, b_out - exponents - b_in), **kind)


def _tables(tensors: dict[str, ndarray], N: int) -> dict[str, list[list[int]]]:
    tables = {}
    for name, shape in (("zero", (SCALES, SCALES)), ("side", (SCALES, SCALES)), ("magnitude", (SCALES,)), ("z", ())):
        rows, lengths = tensors[f"frozen.{name}_cdf"], tensors.get(f"frozen.{name}_length")
        tables[name] = [row[:n] for row, n in zip(rows.tolist(), [rows.shape[1]] * len(rows) if lengths is None else lengths.tolist())]
        rising = all(row[0] == 0 and row[-1] == 65536 and sorted(set(row)) == row for row in tables[name])
        _require(rising, f"frozen.{name}_cdf is no table of frequencies")
        classes = tensors[f"frozen.{name}_class"] if shape else np.uint8(0)
        _require(classes.shape == shape and classes.max() < len(tables[name]), f"frozen.{name}_class does not fit its tables")
    sizes = {len(tables["z"]), len(tensors["frozen.z_offset"]), len(tensors["frozen.z_median"]), N}
    _require(len(sizes) == 1, "the tables of z do not fit its channels")
    return tables


def _hash(model: Model) -> str:
    parts = {f"integers.{name}.{part}": array for name, layer in model.layers.items() for part, array in list(vars(layer).items())[:3]}
    parts |= {name: array for name, array in model.tensors.items() if name.startswith("frozen.")}
    parts |= {name[9:]: array for name, array in model.tensors.items() if name.startswith("networks.generator.")}
    parts["theta_inverse"] = model.tensors["networks.gain_units.theta_inverse"]
    digest = hashlib.sha256()
    for name in sorted(parts):
        digest.update(f"{name} torch.{parts[name].dtype.name} {parts[name].shape}\n".encode())
        digest.update(np.ascontiguousarray(parts[name]).tobytes())
    return digest.hexdigest()


# ---------------------------------------------------------------- the stream (section 4)


class Stream:
    """The rANS stream, read symbol by symbol."""

    def __init__(self, data: bytes):
        self.words = iter(struct.unpack(f"<{len(data) // 4}I", data))
        self.state = next(self.words) | next(self.words) << 32

    def symbols(self, table: list[list[int]], rows: list[int], escapes: bool = True) -> list[int]:
        """One symbol for each of ``rows`` of a set of tables. Raises DecodeError."""
        found = []
        for number in rows:
            row, low = table[number], self.state & 0xFFFF
            symbol = bisect_right(row, low) - 1
            self._move((row[symbol + 1] - row[symbol]) * (self.state >> 16) + low - row[symbol])
            found.append(symbol if symbol < len(row) - 2 else self._escaped(symbol, escapes))
        return found

    def _move(self, state: int) -> None:
        if state < 2**31:
            _require((word := next(self.words, -1)) >= 0, "the file is damaged: its stream ends too early")
            state = state << 32 | word
        self.state = state

    def _escaped(self, symbol: int, allowed: bool) -> int:
        count = digit = self._four_bits()
        while digit == 15 and count <= 15:
            digit = self._four_bits()
            count += digit
        _require(allowed and count <= 8, "the file is damaged: its stream holds an impossible number")
        value = sum(self._four_bits() << 4 * i for i in range(count))
        return -(value + 1 >> 1) if value & 1 else symbol + (value >> 1)

    def _four_bits(self) -> int:
        bits = self.state & 15
        self._move(self.state >> 4)
        return bits


# ---------------------------------------------------------------- latents (sections 5, 6 and 7)


@dataclass(frozen=True)
class Decoded:
    """What a file says."""

    header: Header
    y: ndarray  #: (M, h, w) int32, 64 * y_hat
    z: ndarray  #: (N, h/4, w/4) int32, 64 * z_hat
    levels: ndarray  #: (h, w) float64, the level of each cell


def decode(model: Model, data: bytes, max_pixels: int = MAX_PIXELS) -> Decoded:
    """Decode a file with the model that wrote it. Raises DecodeError."""
    header = read_header(data)
    _require(header.model.hex() == model.hash[:8], f"the file was made by the model {header.model.hex()}, this is {model.hash[:8]}")
    _require(header.width * header.height <= max_pixels, f"{header.width} x {header.height} pixels exceed the limit of {max_pixels}")
    levels, stream = _levels(header, model.widths["levels"] - 1), Stream(header.stream)
    N, (height, width) = model.widths["N"], levels.shape
    rows = np.arange(N).repeat(height * width // 16)
    symbols = np.array(stream.symbols(model.tables["z"], rows.tolist())) + model.tensors["frozen.z_offset"][rows]
    z = (64 * symbols + model.tensors["frozen.z_median"][rows]).reshape(N, height // 4, width // 4)
    y = walk(model, z, lambda _cells, _means, *scales: _residuals(model, stream, *scales))
    _require(stream.state == 2**31 and next(stream.words, None) is None, "the file is damaged: its stream does not end where it should")
    _require(zlib.crc32(y.astype("<i2").tobytes()) & 0xFFFF == header.latents_check, "the decoded latents do not match their check")
    return Decoded(header, y.astype(np.int32), z.astype(np.int32), levels)


def _levels(header: Header, top: int) -> ndarray:
    levels = np.full((-(-header.height // 16), -(-header.width // 16)), header.level / 1024)
    if header.level_map is not None:
        levels += read_level_map(header.level_map, *levels.shape) / 8
    exist = header.level <= 1024 * top and -1 / 8 <= levels.min() and levels.max() <= top + 1 / 8
    _require(exist, f"the file is damaged: levels beyond 0 … {top}")
    return np.pad(levels, [(0, -size % 4) for size in levels.shape], mode="edge").clip(0, top)


def _features(model: Model, z: ndarray) -> ndarray:
    """The hyper-decoder: (N, h/4, w/4) -> (h * w, 2M)."""
    x = z.clip(-LATENT_LIMIT, LATENT_LIMIT).astype(np.float64)
    for name in ("hyper_1", "hyper_2", "hyper_3"):
        _, height, width = x.shape
        edged = np.pad(x, [(0, 0), (1, 1), (1, 1)])
        windows = np.stack([edged[:, u : u + height, v : v + width] for u in range(3) for v in range(3)], axis=1)
        rows = model.layers[name](windows.reshape(-1, height * width).T)
        if name != "hyper_3":  # rows of four outputs -> blocks of 2 x 2
            x = rows.T.reshape(-1, 2, 2, height, width).transpose(0, 3, 1, 4, 2).reshape(-1, 2 * height, 2 * width)
    return rows


def walk(model: Model, z: ndarray, code) -> ndarray:
    """Go through y front by front: (M, h, w), 64 * y_hat. ``code(cells, means, left, right)`` gives a front's flat residuals."""
    features, M, (height, width) = _features(model, z), model.widths["M"], (4 * z.shape[1], 4 * z.shape[2])
    y = np.zeros((height + 2, width + 4, M))  # with a border of zeros
    for step in range(width + 3 * height - 3):
        rows = np.arange(max(0, (step - width + 3) // 3), min(height - 1, step // 3) + 1)
        columns = step - 3 * rows
        neighbours = np.concatenate([y[2 + rows + u, 2 + columns + v] for u, v in TAPS], axis=1)
        heads = np.concatenate([features[rows * width + columns], model.layers["context"](neighbours)], axis=1)
        for name in ("gather_1", "gather_2", "gather_3"):
            heads = model.layers[name](heads)
        means = heads[:, :M].clip(-LATENT_LIMIT, LATENT_LIMIT)
        scales = heads[:, M:].clip(0, SCALES - 1).astype(np.int64)
        residuals = code(rows * width + columns, means, scales[:, :M].ravel(), scales[:, -M:].ravel())
        y[2 + rows, 2 + columns] = (64 * residuals.reshape(means.shape) + means).clip(-LATENT_LIMIT, LATENT_LIMIT)
    return y[2:, 2:-2].transpose(2, 0, 1)


def _residuals(model: Model, stream: Stream, left: ndarray, right: ndarray) -> ndarray:
    """Of one front, from the stream."""
    zero_class, side_class, magnitude_class = (model.tensors[f"frozen.{name}_class"] for name in ("zero", "side", "magnitude"))
    residuals = np.array(stream.symbols(model.tables["zero"], zero_class[left, right].tolist(), escapes=False))
    (rest,) = residuals.nonzero()
    left, right = left[rest], right[rest]
    positive = np.array(stream.symbols(model.tables["side"], side_class[left, right].tolist(), escapes=False), bool)
    sizes = np.array(stream.symbols(model.tables["magnitude"], magnitude_class[np.where(positive, right, left)].tolist()), np.int64) + 1
    residuals[rest] = np.where(positive, sizes, -sizes)
    return residuals
