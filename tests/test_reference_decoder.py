"""The second decoder: it stands alone, finds what the codec finds, and refuses what the format does not allow."""

import ast
import random
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors import safe_open
from safetensors.torch import save_file

from plic_lib import checkpoint, codec, coding, reference_decoder
from plic_lib.bitstream import File
from plic_lib.errors import BitstreamError
from plic_lib.level_map import LevelMap
from plic_lib.reference_decoder import DecodeError

from .conftest import stored, tiny_model

SOURCE = Path(reference_decoder.__file__)


@pytest.fixture(scope="module")
def model(tiny_path):
    return checkpoint.load(tiny_path)


@pytest.fixture(scope="module")
def reference(tiny_path):
    return reference_decoder.read_model(tiny_path)


@pytest.fixture(scope="module")
def data(model, photo):
    return codec.encode(model, photo[:, :64, :96], 1.25)


def latents(model, data: bytes) -> np.ndarray:
    return (64 * codec.decode_latents(model, data)[1][0]).round().int().numpy()


# ---------------------------------------------------------------- on its own


def test_it_is_one_module_of_400_lines_that_imports_numpy_alone():
    source = SOURCE.read_text()
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]
    modules = {name for node in nodes for name in ([node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])}
    assert {name for name in modules if name not in sys.stdlib_module_names} == {"numpy"}
    assert len(source.splitlines()) <= 400


def test_it_decodes_where_there_is_nothing_else(tiny_path, data, model, tmp_path):
    """Copied into an empty folder, by a Python that cannot find any other package."""
    (tmp_path / "copied.py").write_text(SOURCE.read_text())
    (tmp_path / "photo.plic").write_bytes(data)
    script = (
        "import sys\n"
        "for name in ('torch', 'compressai', 'safetensors', 'scipy', 'plic_lib'): sys.modules[name] = None\n"
        "import copied\n"
        f"y = copied.decode(copied.read_model({str(tiny_path)!r}), open('photo.plic', 'rb').read()).y\n"
        "sys.stdout.buffer.write(y.astype('<i4').tobytes())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, check=True)
    assert np.array_equal(np.frombuffer(done.stdout, "<i4"), latents(model, data).ravel())


# ---------------------------------------------------------------- the same latents


@pytest.mark.parametrize("level", [0, 0.777, 2])
def test_the_shipped_model(mini, photo, level):
    reference = reference_decoder.read_model(checkpoint.find("mini"))
    assert reference.hash == mini.hash
    data = codec.encode(mini, photo, level)
    decoded = reference_decoder.decode(reference, data)
    assert np.array_equal(decoded.y, latents(mini, data)) and (decoded.levels == File.unpack(data).levels).all()


def test_a_symmetric_model(photo, tmp_path):
    path = stored(tiny_model(symmetric=True), tmp_path / "symmetric.safetensors")
    model, reference = checkpoint.load(path), reference_decoder.read_model(path)
    data = codec.encode(model, photo[:, :65, :40], 1)
    assert np.array_equal(reference_decoder.decode(reference, data).y, latents(model, data))


def test_extreme_latents(model, reference):
    torch.manual_seed(0)
    y_bar = torch.randn(24, 8, 12) * torch.logspace(-1, 4, 24)[:, None, None]  # far beyond the clamp
    z = torch.randn(16, 2, 3) * torch.logspace(-1, 4, 16)[:, None, None]
    stream, y = coding.encode(model.integers, model.frozen.tables, y_bar, z)
    check = zlib.crc32(y.numpy().astype("<i2").tobytes()) & 0xFFFF
    data = File(bytes.fromhex(model.hash)[:4], 190, 120, 0, check, stream).pack()
    assert np.array_equal(reference_decoder.decode(reference, data).y, y.numpy())


GRIDS = st.tuples(st.integers(1, 12), st.integers(1, 12))


@given(GRIDS.flatmap(lambda shape: arrays(np.int8, shape, elements=st.sampled_from([0, 0, 0, 0, 1, 8, -8, 127, -127]))), st.integers(0, 15))
@settings(max_examples=200, deadline=None)
def test_any_level_map(labels, feather):
    level_map = LevelMap(labels, feather)
    assert np.array_equal(reference_decoder.read_level_map(level_map.pack(), *labels.shape), level_map.offsets())


def test_levels_are_those_of_the_codec(model, reference, photo):
    labels = np.zeros((-(-photo.shape[1] // 16), -(-photo.shape[2] // 16)), int)
    labels[:3, :2], labels[-1:, -3:] = 9, -9  # 1 + 9/8 passes the upper end, 1 - 9/8 the lower one
    data = codec.encode(model, photo, 1, LevelMap(labels, 2))
    decoded, file = reference_decoder.decode(reference, data), File.unpack(data)
    assert np.array_equal(decoded.y, latents(model, data))
    assert np.array_equal(decoded.levels[: labels.shape[0], : labels.shape[1]], file.levels.clip(0, 2))
    assert decoded.levels.shape == decoded.y.shape[1:] and set(decoded.levels[-1]) <= set(decoded.levels[labels.shape[0] - 1])


# ---------------------------------------------------------------- refusals


def refused(reference, data: bytes, max_pixels: int = 200 * 200) -> str:
    with pytest.raises(DecodeError) as caught:
        reference_decoder.decode(reference, data, max_pixels)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def repaired(data: bytes) -> bytes:
    return data[:22] + struct.pack("<I", zlib.crc32(data[:22] + data[26:])) + data[26:]


def test_every_cut_and_every_flipped_bit(reference, data):
    for n in range(len(data)):
        refused(reference, data[:n])
    for bit in range(8 * len(data)):
        broken = bytearray(data)
        broken[bit // 8] ^= 1 << bit % 8
        refused(reference, bytes(broken))


def test_each_refusal_says_why(reference, data):
    file = File.unpack(data)
    cases = {
        b"\x89PNG": "not a .plic file",
        repaired(data[:4] + b"\2" + data[5:]): "version 2",
        repaired(data[:5] + b"\2" + data[6:]): "flags 2",
        data[:-1] + bytes([data[-1] ^ 1]): "checksum",
        replace(file, model=bytes(4)).pack(): "made by the model 00000000",
        replace(file, width=1000).pack(): "limit",
        replace(file, level=2049).pack(): "levels beyond",
        replace(file, width=0).pack(): "sizes",
        replace(file, stream=file.stream[:-4]).pack(): "ends too early",
        replace(file, stream=file.stream + bytes(4)).pack(): "does not end",
        replace(file, stream=file.stream[:-1]).pack(): "sizes",
        replace(file, latents_check=file.latents_check ^ 1).pack(): "check",
        replace(file, map_bytes=b"").pack(): "unknown form",
        replace(file, map_bytes=b"\x30").pack(): "unknown form",
        replace(file, map_bytes=b"\x10").pack(): "incomplete",
        replace(file, map_bytes=bytes([16, 1, 0, 0, 99, 1, 4])).pack(): "does not lie in the picture",
        replace(file, map_bytes=bytes([16, 1, 0, 0, 1, 1, 128, 1])).pack(): "out of range",
    }
    for broken, words in cases.items():
        assert words in refused(reference, broken), words


def test_damage_with_the_checksum_repaired(model, reference, data):
    """Latents or a refusal, and where both decoders give latents they are the same."""
    rng, both = random.Random(0), 0
    for i in range(600):
        broken = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            broken[rng.randrange(10, 26 if i % 2 else len(broken))] = rng.randrange(256)
        broken = repaired(bytes(broken))
        try:
            y = reference_decoder.decode(reference, broken, 200 * 200).y
        except DecodeError as error:
            assert "\n" not in str(error)
            continue
        both += 1
        assert np.array_equal(y, latents(model, broken))
    assert 0 < both < 100  # a changed level or CRC leaves the latents as they are
    with pytest.raises(BitstreamError):  # what one refuses for its check, so does the other
        codec.decode_latents(model, replace(File.unpack(data), latents_check=0).pack())


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors, texts: tensors.pop("networks.context.weight"),
        lambda tensors, texts: tensors.pop("networks.gain_units.theta_inverse"),
        lambda tensors, texts: tensors.pop("frozen.fraction_bits"),
        lambda tensors, texts: texts.pop("hash"),
        lambda tensors, texts: texts.update(format="plic-2"),
        lambda tensors, texts: texts.update(widths="[" * 100_000),
        lambda tensors, texts: texts.update(hash="00" * 32),
        lambda tensors, texts: tensors.update({"networks.context.bias": torch.full((48,), torch.nan)}),
        lambda tensors, texts: tensors.update({"networks.context.bias": torch.zeros(47)}),
        lambda tensors, texts: tensors.update({"networks.generator.1.bias": torch.ones(16)}),
        lambda tensors, texts: tensors.update({"frozen.zero_cdf": tensors["frozen.zero_cdf"].flip(1).contiguous()}),
        lambda tensors, texts: tensors.update({"frozen.zero_class": torch.full((128, 128), 200, dtype=torch.uint8)}),
        lambda tensors, texts: tensors.update({"frozen.z_offset": tensors["frozen.z_offset"][1:].clone()}),
        lambda tensors, texts: tensors.update({"frozen.fraction_bits": torch.full((5,), 60, dtype=torch.int32)}),
    ],
)
def test_models_that_are_none(change, tiny_path, tmp_path):
    with safe_open(tiny_path, "pt") as file:
        tensors, texts = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()
    change(tensors, texts)
    save_file(tensors, tmp_path / "changed.safetensors", texts)
    with pytest.raises(DecodeError, match="changed.safetensors") as caught:
        reference_decoder.read_model(tmp_path / "changed.safetensors")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("contents", [b"", b"PK\3\4" + bytes(100), b"\xff" * 100, (2).to_bytes(8, "little") + b"[]", None])
def test_files_that_are_no_models(contents, tmp_path):
    if contents is not None:
        (tmp_path / "other.safetensors").write_bytes(contents)
    with pytest.raises(DecodeError, match="other.safetensors"):
        reference_decoder.read_model(tmp_path / "other.safetensors")
