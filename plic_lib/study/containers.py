"""How many bytes of a file are around the coded picture: signatures, boxes, sizes, notes of the program that wrote it.

They weigh at low rates: a HEIF file has some hundred of them, as much as a tenth of a small
picture. What sets the decoder up (tables, parameter sets) counts as coded picture.
"""

import struct
from collections.abc import Iterator


def jpeg(data: bytes) -> int:
    """Of a JPEG file: application segments (JFIF) and comments."""
    around, at = 0, 2
    while at + 4 <= len(data) and data[at + 1] != 0xDA:  # up to the start of the scan
        marker, size = struct.unpack_from(">HH", data, at)
        if 0xFFE0 <= marker <= 0xFFEF or marker == 0xFFFE:
            around += 2 + size
        at += 2 + size
    return around


def riff(data: bytes) -> int:
    """Of a WebP file: all but what stands in its chunks VP8, VP8L and ALPH."""
    coded, at = 0, 12
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        if kind in (b"VP8 ", b"VP8L", b"ALPH"):
            coded += size
        at += 8 + size + size % 2
    return len(data) - coded


def iso_media(data: bytes) -> int:
    """Of a HEIF or AVIF file: all but its media data and the settings of the decoder (hvcC, av1C)."""
    return len(data) - sum(size for kind, size in _boxes(data, 0, len(data)) if kind in (b"mdat", b"hvcC", b"av1C"))


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int]]:
    """Kind and size of the contents of each box, and of those inside the boxes on the way to the decoder's settings."""
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            size, head = struct.unpack_from(">Q", data, at + 8)[0], 16
        following = end if size == 0 else at + max(size, head)
        yield kind, following - at - head
        if kind in (b"meta", b"iprp", b"ipco"):
            yield from _boxes(data, at + head + (4 if kind == b"meta" else 0), following)
        at = following
