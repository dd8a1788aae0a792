import dataclasses
import random
import struct
import zlib

import pytest
import torch

from plic_lib import bitstream, codec, level_map
from plic_lib.bitstream import File
from plic_lib.commands.main import main
from plic_lib.errors import BitstreamError

from .conftest import tiny_model

#: of the fuzzed files: a flipped size may ask for 65535 x 65535 pixels
MAX_PIXELS = 200 * 200


@pytest.fixture(scope="module")
def data(tiny, photo):
    return codec.encode(tiny, photo[:, :64, :96], 1.25)


def repaired(data: bytes) -> bytes:
    """The file with its checksum made right again."""
    crc = zlib.crc32(data[:22] + data[26:])
    return data[:22] + struct.pack("<I", crc) + data[26:]


def test_header_has_26_bytes_and_round_trips(data):
    file = File.unpack(data)
    assert bitstream.HEADER_BYTES == 26 and len(data) == 26 + len(file.stream)
    assert (file.width, file.height, file.level) == (96, 64, 1280) and file.pack() == data


def test_truncation_at_every_byte(tiny, data):
    for n in range(len(data)):
        with pytest.raises(BitstreamError):
            codec.decode(tiny, data[:n])


def test_every_flipped_bit(tiny, data):
    for bit in range(0, 8 * len(data)):
        broken = bytearray(data)
        broken[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BitstreamError):
            codec.decode(tiny, bytes(broken))


def test_fuzz_1200_damaged_files(tiny, data):
    rng = random.Random(0)
    for _ in range(1200):
        broken = bytearray(data)
        for _ in range(rng.randint(1, 8)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        if rng.random() < 0.3:
            del broken[rng.randrange(len(broken)) :]
        if rng.random() < 0.2:
            broken += rng.randbytes(rng.randint(1, 40))
        if bytes(broken) == data:
            continue
        with pytest.raises(BitstreamError):
            codec.decode(tiny, bytes(broken), MAX_PIXELS)


def test_fuzz_1200_damaged_files_with_the_checksum_repaired(tiny, data):
    """Not even a wrong size, level or stream gets past the sanity checks unnoticed: a picture or BitstreamError."""
    rng = random.Random(1)
    pictures = 0
    for i in range(1200):
        broken = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            broken[rng.randrange(4, 26 if i % 2 else len(broken))] = rng.randrange(256)
        if i % 5 == 0:  # a length that fits, so that damage reaches the coder
            keep = rng.randrange(27, len(broken))
            broken = broken[:keep]
            broken[18:22] = struct.pack("<I", keep - 26)
        try:
            picture = codec.decode(tiny, repaired(bytes(broken)), MAX_PIXELS)
        except BitstreamError as error:
            assert "\n" not in str(error)
        else:
            pictures += 1
            assert picture.shape[0] == 3 and torch.isfinite(picture).all()
    assert pictures < 600


def test_foreign_files(tiny):
    for data in (b"", b"\x89PNG\r\n\x1a\n" + bytes(100), b"PLIC", bytes(1000)):
        with pytest.raises(BitstreamError):
            codec.decode(tiny, data)


def test_each_refusal_says_why(tiny, data):
    file = File.unpack(data)
    newer = bytearray(data)
    newer[4] = 2
    foreign = File(**{**file.__dict__, "model": b"\0\0\0\0"}).pack()
    huge = File(**{**file.__dict__, "width": 65535, "height": 65535}).pack()
    level = File(**{**file.__dict__, "level": 2049}).pack()
    empty = File(**{**file.__dict__, "width": 0}).pack()
    half = File(**{**file.__dict__, "stream": file.stream + b"xy"}).pack()
    none = File(**{**file.__dict__, "stream": b""}).pack()
    cases = {
        bytes(newer): "newer",
        half: "whole words",
        none: "a stream of 0 bytes",
        foreign: "made by the model",
        huge: "exceeds the limit",
        level: "levels 2.001",
        empty: "0 x 64",
        data[:-1]: "cut off",
        data + b"x": "too long",
    }
    for broken, words in cases.items():
        with pytest.raises(BitstreamError, match=words):
            codec.decode(tiny, broken)


def test_a_file_of_another_model_is_refused(data):
    with pytest.raises(BitstreamError, match="made by the model"):
        codec.decode(tiny_model(symmetric=True), data)


def test_a_level_map_is_decoded_only_when_it_is_needed(data, tmp_path, monkeypatch, capsys):
    """One byte can claim 16.8 million cells, whose decoding takes minutes: to look at such a file does not."""
    file = dataclasses.replace(File.unpack(data), width=65535, height=65535, map_bytes=b"\x02")
    crafted = file.pack()
    monkeypatch.setattr(level_map, "_walk", lambda *_: pytest.fail("decoded"))
    assert File.unpack(crafted, bitstream.MAX_SIDE**2).map_bytes == b"\x02"
    assert ("28", "02", "the level map") in bitstream.describe(crafted)
    (tmp_path / "crafted.plic").write_bytes(crafted)
    assert main(["info", str(tmp_path / "crafted.plic")]) == 0 and "65535" in capsys.readouterr().out


def test_more_boxes_than_a_map_may_have(data):
    """Each could fill the whole picture, so their number has a limit."""
    box, file = bytes([0, 0, 1, 1, 4]), File.unpack(data)
    assert dataclasses.replace(file, map_bytes=bytes([16, 255, 1]) + 255 * box).level_map.labels[0, 0] == 4
    with pytest.raises(BitstreamError, match="too long"):
        _ = dataclasses.replace(file, map_bytes=bytes([16, 128, 2]) + 256 * box).level_map
