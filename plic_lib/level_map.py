"""A level for each latent cell: offsets on the file's base level, and their bytes in the file.

Offsets are signed steps of 1/8 level, zero where the base level holds. A map is stored as
a few boxes where it consists of such, else cell by cell with an adaptive arithmetic coder;
the shorter of both. The soft edge is not stored: encoder and decoder compute it alike, in
integers.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from plic_lib.errors import LevelMapError

MAX_BOXES = 255
MAX_FEATHER = 15
_CELLS, _BOXES = 0, 1


@dataclass(frozen=True, eq=False)
class LevelMap:
    """Offsets of a picture's latent cells before the soft edge.

    Attributes:
        labels: (h, w) int8, cells of 16 x 16 pixels, in steps of 1/8 level.
        feather: cells over which an offset fades out around its region, 0 to 15.

    Raises:
        LevelMapError: no grid of whole numbers, or numbers out of range.

    >>> labels = np.zeros((2, 6), int)
    >>> labels[:, :2] = 8  # one level more on the left
    >>> level_map = LevelMap(labels, feather=3)
    >>> level_map.offsets()
    array([[8, 8, 6, 4, 2, 0],
           [8, 8, 6, 4, 2, 0]])
    >>> data = level_map.pack()
    >>> len(data), LevelMap.unpack(data, height=2, width=6).labels.tolist() == labels.tolist()
    (4, True)
    """

    labels: np.ndarray
    feather: int = 2

    def __post_init__(self):
        labels = np.asarray(self.labels)
        if labels.ndim != 2 or not labels.size or not np.issubdtype(labels.dtype, np.integer):
            raise LevelMapError(f"a level map is a grid of whole numbers, not {labels.dtype} of shape {labels.shape}")
        if abs(labels.astype(int)).max() > 127:
            raise LevelMapError("a level map's steps lie between -127 and 127")
        if not 0 <= self.feather <= MAX_FEATHER:
            raise LevelMapError(f"the soft edge has 0 to {MAX_FEATHER} cells, not {self.feather}")
        object.__setattr__(self, "labels", labels.astype(np.int8))

    def offsets(self) -> np.ndarray:
        """(h, w) integers in steps of 1/8 level, soft edge included.

        Around a region the offset falls in equal steps to zero. Where two regions fade into
        one cell the nearer one counts; of two equally near, the one with the larger offset
        (in absolute value).
        """
        reached = self.labels.astype(int)  # the label that a cell fades from
        offsets = reached.copy()
        for distance in range(1, self.feather + 1):
            up, down = ndimage.maximum_filter(reached, 3, mode="nearest"), ndimage.minimum_filter(reached, 3, mode="nearest")
            spread = np.where(up >= -down, up, down)
            new = (reached == 0) & (spread != 0)
            reached = np.where(new, spread, reached)
            # toward zero, so that an edge never leaves the range of levels
            faded = np.sign(reached) * (abs(reached) * (self.feather + 1 - distance) // (self.feather + 1))
            offsets = np.where(new, faded, offsets)
        return offsets

    def pack(self) -> bytes:
        """The map as bytes, the shorter of its two forms."""
        as_cells = bytes([_CELLS << 4 | self.feather]) + _encode_cells(self.labels)
        boxes = _boxes(self.labels)
        if boxes is None:
            return as_cells
        return min(bytes([_BOXES << 4 | self.feather]) + _encode_boxes(boxes), as_cells, key=len)

    @classmethod
    def unpack(cls, data: bytes, height: int, width: int) -> "LevelMap":
        """From ``pack``'s bytes and the map's size. Raises LevelMapError where they are not a map."""
        if not data:
            raise LevelMapError("it is empty")
        form, feather = data[0] >> 4, data[0] & 15
        if form == _BOXES:
            return cls(_decode_boxes(data[1:], height, width), feather)
        if form == _CELLS:
            return cls(_decode_cells(data[1:], height, width), feather)
        raise LevelMapError(f"its form {form} is unknown")


# ---------------------------------------------------------------- boxes


def _boxes(labels: np.ndarray) -> list[tuple[int, int, int, int, int]] | None:
    """(top, left, bottom, right, label) of each region, or None where one is not a box."""
    boxes = []
    for label in np.unique(labels[labels != 0]):
        regions = np.zeros(labels.shape, np.int32)
        ndimage.label(labels == label, output=regions)
        for index, (rows, columns) in enumerate(ndimage.find_objects(regions), 1):
            if not (regions[rows, columns] == index).all():
                return None
            boxes.append((rows.start, columns.start, rows.stop, columns.stop, int(label)))
    return boxes if len(boxes) <= MAX_BOXES else None


def _encode_boxes(boxes: list[tuple[int, int, int, int, int]]) -> bytes:
    numbers = [len(boxes)]
    for top, left, bottom, right, label in boxes:
        numbers += [top, left, bottom - top, right - left, label & 0xFF]
    data = bytearray()
    for number in numbers:  # seven bits a byte, the lowest first; the top bit says that more follow
        while number >= 128:
            data.append(number & 127 | 128)
            number >>= 7
        data.append(number)
    return bytes(data)


def _decode_boxes(data: bytes, height: int, width: int) -> np.ndarray:
    numbers, value, shift = [], 0, 0
    for byte in data:
        value |= (byte & 127) << shift
        shift = shift + 7 if byte & 128 else 0
        if not shift:
            numbers.append(value)
            value = 0
        if shift > 28:
            raise LevelMapError("a number in it is too large")
    if shift or not numbers or numbers[0] > MAX_BOXES or len(numbers) != 1 + 5 * numbers[0]:
        raise LevelMapError("its list of boxes is cut off or too long")
    labels = np.zeros((height, width), np.int8)
    for i in range(1, len(numbers), 5):
        top, left, rows, columns, label = numbers[i : i + 5]
        if not (rows and columns and top + rows <= height and left + columns <= width and label < 256):
            raise LevelMapError("a box in it does not lie in the picture")
        labels[top : top + rows, left : left + columns] = label - 256 if label > 127 else label
    return labels


# ---------------------------------------------------------------- cell by cell


class _Bit:
    """The probability of a bit in one context: it follows what it saw, quickly at first."""

    def __init__(self):
        self.one, self.seen = 1 << 15, 1  # of 2^16

    def learn(self, bit: int) -> None:
        self.seen += self.seen < 30
        target = 65535 if bit else 0
        self.one = min(max(self.one + (target - self.one) // (self.seen + 1), 64), 65536 - 64)


class _Writer:
    """Binary arithmetic coder: the interval [low, high] of 32 bits shrinks with each bit."""

    def __init__(self):
        self.low, self.high, self.data = 0, 0xFFFFFFFF, bytearray()

    def code(self, probability: _Bit, bit: int) -> int:
        middle = self.low + (self.high - self.low >> 16) * probability.one
        self.low, self.high = (self.low, middle) if bit else (middle + 1, self.high)
        probability.learn(bit)
        while (self.low ^ self.high) >> 24 == 0:
            self.data.append(self.high >> 24)
            self.low, self.high = self.low << 8 & 0xFFFFFFFF, self.high << 8 & 0xFFFFFFFF | 255
        return bit

    def bytes(self) -> bytes:
        # one byte names a point of the interval; the reader sees zeros after the end
        return bytes(self.data + bytes([(self.low >> 24) + (self.low & 0xFFFFFF > 0)])).rstrip(b"\0")


class _Reader:
    """The inverse of ``_Writer``; ``code`` ignores its second argument and returns the bit."""

    def __init__(self, data: bytes):
        self.low, self.high, self.data, self.at = 0, 0xFFFFFFFF, data, 4
        self.value = int.from_bytes(data[:4].ljust(4, b"\0"), "big")

    def code(self, probability: _Bit, _bit: int) -> int:
        middle = self.low + (self.high - self.low >> 16) * probability.one
        bit = int(self.value <= middle)
        self.low, self.high = (self.low, middle) if bit else (middle + 1, self.high)
        probability.learn(bit)
        while (self.low ^ self.high) >> 24 == 0:
            self.low, self.high = self.low << 8 & 0xFFFFFFFF, self.high << 8 & 0xFFFFFFFF | 255
            following = self.data[self.at] if self.at < len(self.data) else 0
            self.value, self.at = self.value << 8 & 0xFFFFFFFF | following, self.at + 1
        return bit


def _walk(labels: np.ndarray, coder: _Writer | _Reader) -> np.ndarray:
    """Code all cells in raster order; a reader fills ``labels``.

    A cell is asked: like its left neighbour? else like the one above? else a number of
    eight bits. The context of the first question is which of six neighbours agree.
    """
    height, width = labels.shape
    like: dict[tuple, _Bit] = {}
    value = [_Bit() for _ in range(256)]
    bordered = np.zeros((height + 2, width + 4), int)  # so that every neighbour exists
    grid = bordered[2:, 2:-2]
    for y in range(height):
        for x in range(width):
            row, above, top = bordered[y + 2], bordered[y + 1], bordered[y]
            left, up = row[x + 1], above[x + 2]
            context = (left == up, above[x + 1] == left, above[x + 3] == up, row[x] == left, above[x + 4] == up, top[x + 2] == up)
            cell = int(labels[y, x])
            if coder.code(like.setdefault(context, _Bit()), int(cell == left)):
                cell = left
            elif left != up and coder.code(like.setdefault(("up", *context[1:3]), _Bit()), int(cell == up)):
                cell = up
            else:
                number = 1
                for shift in range(7, -1, -1):
                    number = number << 1 | coder.code(value[number], (cell & 255) >> shift & 1)
                cell = (number & 255) - 256 if number & 128 else number & 255
            grid[y, x] = cell
    return grid


def _encode_cells(labels: np.ndarray) -> bytes:
    writer = _Writer()
    _walk(labels, writer)
    return writer.bytes()


def _decode_cells(data: bytes, height: int, width: int) -> np.ndarray:
    labels = _walk(np.zeros((height, width), int), _Reader(data))
    if (labels == -128).any():
        raise LevelMapError("a step in it is out of range")
    return labels
