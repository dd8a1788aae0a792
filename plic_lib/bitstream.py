"""The .plic file.

    bytes  field
    0-3    "PLIC"
    4      version, 1
    5      flags, 0 (reserved for a level map)
    6-9    first four bytes of the model's hash
    10-11  width in pixels
    12-13  height in pixels
    14-15  level, in steps of 1/1024
    16-17  check of the decoded latents (low half of their CRC-32)
    18-21  length of the stream
    22-25  CRC-32 of everything else in the file
    26-    the rANS stream

Numbers are unsigned and little-endian.
"""

import struct
import zlib
from dataclasses import dataclass

MAGIC, VERSION = b"PLIC", 1
LEVEL_STEPS = 1024
MAX_SIDE = 65535
_FIELDS = struct.Struct("<4sBB4sHHHHI")
_CRC = struct.Struct("<I")
HEADER_BYTES = _FIELDS.size + _CRC.size


class BitstreamError(ValueError):
    """A file that cannot be decoded; the message says why in one sentence."""


@dataclass(frozen=True)
class File:
    """The contents of a .plic file."""

    model: bytes  #: first four bytes of the model's hash
    width: int
    height: int
    level: int  #: in steps of 1/1024
    latents_check: int
    stream: bytes

    def pack(self) -> bytes:
        """As bytes."""
        fields = _FIELDS.pack(MAGIC, VERSION, 0, self.model, self.width, self.height, self.level, self.latents_check, len(self.stream))
        return fields + _CRC.pack(zlib.crc32(fields + self.stream)) + self.stream

    @classmethod
    def unpack(cls, data: bytes) -> "File":
        """From bytes. Raises BitstreamError for anything that ``pack`` did not make."""
        if data[:4] != MAGIC:
            raise BitstreamError("this is not a .plic file: it does not begin with 'PLIC'")
        if len(data) < HEADER_BYTES:
            raise BitstreamError(f"the file is cut off: {len(data)} bytes, a header alone has {HEADER_BYTES}")
        _, version, flags, model, width, height, level, check, length = _FIELDS.unpack_from(data)
        if version != VERSION or flags:
            raise BitstreamError(f"the file has format {version}.{flags}, this plic reads {VERSION}.0; a newer plic may read it")
        if len(data) != HEADER_BYTES + length:
            state = "cut off" if len(data) < HEADER_BYTES + length else "too long"
            raise BitstreamError(f"the file is {state}: {len(data)} bytes instead of {HEADER_BYTES + length}")
        stream = data[HEADER_BYTES:]
        if zlib.crc32(data[: _FIELDS.size] + stream) != _CRC.unpack_from(data, _FIELDS.size)[0]:
            raise BitstreamError("the file is damaged: its checksum is wrong")
        if not width or not height:
            raise BitstreamError(f"the file is damaged: a picture of {width} x {height} pixels")
        return cls(model, width, height, level, check, stream)


def describe(data: bytes) -> list[tuple[str, str, str]]:
    """The fields of a file as (bytes, hexadecimal, meaning), for people. Raises BitstreamError as ``unpack``."""
    file = File.unpack(data)
    meanings = [
        (4, "magic: this is a .plic file"),
        (1, f"version {VERSION}"),
        (1, "flags: none set"),
        (4, "model: the first bytes of its hash"),
        (2, f"width {file.width}"),
        (2, f"height {file.height}"),
        (2, f"level {file.level / LEVEL_STEPS:.3f} = {file.level} / {LEVEL_STEPS}"),
        (2, "check of the decoded latents"),
        (4, f"length of the stream: {len(file.stream)} bytes"),
        (4, "CRC-32 of everything else"),
    ]
    rows, start = [], 0
    for size, meaning in meanings:
        rows.append((f"{start}-{start + size - 1}" if size > 1 else f"{start}", data[start : start + size].hex(" "), meaning))
        start += size
    rows.append((f"{start}-{len(data) - 1}", data[start : start + 6].hex(" ") + " …", "the rANS stream: z, then y front by front"))
    return rows
