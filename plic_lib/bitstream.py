"""The .plic file.

    bytes  field
    0-3    "PLIC"
    4      version, 1
    5      flags: 1 where a level map follows the header, else 0
    6-9    first four bytes of the model's hash
    10-11  width in pixels
    12-13  height in pixels
    14-15  level, in steps of 1/1024
    16-17  check of the decoded latents (low half of their CRC-32)
    18-21  length of the stream
    22-25  CRC-32 of everything else in the file
    26-27  with a level map only: its length
    28-    with a level map only: the map (see ``plic_lib.level_map``)
    26-    the rANS stream, after the map

Numbers are unsigned and little-endian. ``docs/format.md`` is the whole specification.
"""

import functools
import struct
import zlib
from dataclasses import dataclass

import numpy as np

from plic_lib.errors import BitstreamError, LevelMapError
from plic_lib.grid import LEVEL_STEPS, MAX_PIXELS, OFFSET_STEPS, cell_grid
from plic_lib.level_map import LevelMap

MAGIC, VERSION, HAS_MAP = b"PLIC", 1, 1
MAX_SIDE = 65535
_FIELDS = struct.Struct("<4sBB4sHHHHI")
_CRC = struct.Struct("<I")
_MAP_LENGTH = struct.Struct("<H")
HEADER_BYTES = _FIELDS.size + _CRC.size


@dataclass(frozen=True)
class File:
    """The contents of a .plic file.

    >>> file = File(bytes(4), width=96, height=64, level=1280, latents_check=0, stream=b"8  bytes")
    >>> data = file.pack()
    >>> len(data), data[:6], File.unpack(data) == file
    (34, b'PLIC\\x01\\x00', True)
    """

    model: bytes  #: first four bytes of the model's hash
    width: int
    height: int
    level: int  #: in steps of 1/1024
    latents_check: int
    stream: bytes
    map_bytes: bytes | None = None  #: what ``LevelMap.pack`` gave, where there is a map

    def pack(self) -> bytes:
        """As bytes. Raises LevelMapError for a level map that is too long for a file."""
        flags, level_map = 0, b""
        if self.map_bytes is not None:
            if len(self.map_bytes) > 65535:
                raise LevelMapError(f"the level map takes {len(self.map_bytes)} bytes, a file holds at most 65535: make it simpler")
            flags, level_map = HAS_MAP, _MAP_LENGTH.pack(len(self.map_bytes)) + self.map_bytes
        fields = _FIELDS.pack(MAGIC, VERSION, flags, self.model, self.width, self.height, self.level, self.latents_check, len(self.stream))
        return fields + _CRC.pack(zlib.crc32(fields + level_map + self.stream)) + level_map + self.stream

    @functools.cached_property
    def level_map(self) -> LevelMap | None:
        """The level map, decoded when it is asked for: a few bytes may claim millions of cells. Raises BitstreamError."""
        if self.map_bytes is None:
            return None
        try:
            return LevelMap.unpack(self.map_bytes, *cell_grid(self.height, self.width))
        except LevelMapError as error:
            raise BitstreamError(f"the file is damaged: of its level map, {error}") from error

    @property
    def level_map_bytes(self) -> int:
        """What the level map takes of the file, its length included; 0 without one."""
        return 0 if self.map_bytes is None else _MAP_LENGTH.size + len(self.map_bytes)

    @property
    def levels(self) -> np.ndarray:
        """(h, w) level of each cell of 16 x 16 pixels; (1, 1) without a level map. Raises as ``level_map``."""
        base = np.full((1, 1), self.level / LEVEL_STEPS)
        return base if self.level_map is None else base + self.level_map.offsets() / OFFSET_STEPS

    @classmethod
    def unpack(cls, data: bytes, max_pixels: int = MAX_PIXELS) -> "File":
        """From bytes. Raises BitstreamError for anything that ``pack`` did not make, or larger than ``max_pixels``.

        What a level map says is looked at when ``level_map`` or ``levels`` is asked for.
        """
        if data[:4] != MAGIC:
            raise BitstreamError("this is not a .plic file: it does not begin with 'PLIC'")
        if len(data) < HEADER_BYTES:
            raise BitstreamError(f"the file is cut off: {len(data)} bytes, a header alone has {HEADER_BYTES}")
        _, version, flags, model, width, height, level, check, length = _FIELDS.unpack_from(data)
        if version != VERSION or flags & ~HAS_MAP:
            raise BitstreamError(
                f"the file has format {version}.{flags}, this plic reads {VERSION}.0 and {VERSION}.1; a newer one may read it"
            )
        start = HEADER_BYTES
        if flags & HAS_MAP:
            start += _MAP_LENGTH.size
            if len(data) >= start:
                start += _MAP_LENGTH.unpack_from(data, HEADER_BYTES)[0]
        if len(data) != start + length:
            state = "cut off" if len(data) < start + length else "too long"
            raise BitstreamError(f"the file is {state}: {len(data)} bytes instead of {start + length}")
        if zlib.crc32(data[: _FIELDS.size] + data[HEADER_BYTES:]) != _CRC.unpack_from(data, _FIELDS.size)[0]:
            raise BitstreamError("the file is damaged: its checksum is wrong")
        if length < 8 or length % 4:
            raise BitstreamError(f"the file is damaged: a stream of {length} bytes, and streams are of whole words, two or more")
        if not width or not height:
            raise BitstreamError(f"the file is damaged: a picture of {width} x {height} pixels")
        if width * height > max_pixels:
            raise BitstreamError(f"a picture of {width} x {height} pixels exceeds the limit of {max_pixels}")
        map_bytes = data[HEADER_BYTES + _MAP_LENGTH.size : start] if flags & HAS_MAP else None
        return cls(model, width, height, level, check, data[start:], map_bytes)


def describe(data: bytes) -> list[tuple[str, str, str]]:
    """The fields of a file as (bytes, hexadecimal, meaning), for people. Raises BitstreamError as ``unpack``."""
    file = File.unpack(data, MAX_SIDE**2)
    meanings = [
        (4, "magic: this is a .plic file"),
        (1, f"version {VERSION}"),
        (1, "flags: none set" if file.map_bytes is None else "flags: a level map follows the header"),
        (4, "model: the first bytes of its hash"),
        (2, f"width {file.width}"),
        (2, f"height {file.height}"),
        (2, f"level {file.level / LEVEL_STEPS:.3f} = {file.level} / {LEVEL_STEPS}"),
        (2, "check of the decoded latents"),
        (4, f"length of the stream: {len(file.stream)} bytes"),
        (4, "CRC-32 of everything else"),
    ]
    if file.map_bytes is not None:
        size = len(file.map_bytes)
        meanings += [(2, f"length of the level map: {size} bytes"), (size, "the level map")]
    rows, start = [], 0
    for size, meaning in meanings:
        rows.append((f"{start}-{start + size - 1}" if size > 1 else f"{start}", _hex(data[start : start + size]), meaning))
        start += size
    rows.append((f"{start}-{len(data) - 1}", _hex(data[start:]), "the rANS stream: z, then y front by front"))
    return rows


def _hex(data: bytes) -> str:
    return data[:6].hex(" ") + (" …" if len(data) > 6 else "")
