"""Files of either framework decode in the other: no latent differs, no pixel by more than a grey level."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from plic_lib import codec, datasets, images, roi
from plic_lib.coding import Encoder
from plic_lib.errors import BitstreamError, CheckpointError, ImageError, LevelError, LevelMapError
from plic_lib.level_map import LevelMap
from plic_mindspore import checkpoint
from plic_mindspore import codec as ported
from plic_mindspore import coding as ported_coding

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def ported_mini():
    return checkpoint.load("mini")


def exchange(mini, ported_mini, picture: torch.Tensor, level: float, level_map=None) -> None:
    """Encode and decode in both, and compare all four."""
    files = codec.encode(mini, picture, level, level_map), ported.encode(ported_mini, picture.numpy(), level, level_map)
    for data in files:
        file, y_hat = codec.decode_latents(mini, data)
        decoded = ported.decode_latents(ported_mini, data)
        assert (decoded.y == (64 * y_hat[0]).numpy()).all()
        theirs = images.eight_bit(codec.synthesise(mini, y_hat, file)).int().numpy()
        ours = images.eight_bit(torch.tensor(ported.synthesise(ported_mini, decoded))).int().numpy()
        assert ours.shape == theirs.shape and abs(ours - theirs).max() <= 1
    assert abs(len(files[0]) / len(files[1]) - 1) < 0.01


@pytest.mark.parametrize("level", [0, 0.7, 2])
@pytest.mark.parametrize("name,size", [("coffee", (128, 192)), ("chelsea", (100, 131)), ("astronaut", (65, 63))])
def test_a_file_decodes_in_the_other_framework(mini, ported_mini, name, size, level):
    exchange(mini, ported_mini, datasets.sample(name)[:, 60 : 60 + size[0], 90 : 90 + size[1]].contiguous(), level)


def test_a_region_of_interest(mini, ported_mini, photo):
    exchange(mini, ported_mini, photo, 0.5, roi.level_map(roi.box(photo, 30, 20, 100, 90), 1.9, 0.5))


def test_all_of_kodak(mini, ported_mini, kodak):
    """On demand: three minutes."""
    if os.environ.get("PLIC_MINDSPORE") != "all":
        pytest.skip("the 24 Kodak photographs take minutes: PLIC_MINDSPORE=all make test-mindspore")
    for number, path in enumerate(kodak):
        exchange(mini, ported_mini, images.read(path), number % 3)


def test_the_same_symbols_make_the_same_bytes(mini, ported_mini):
    """Those far outside of the tables too, whose digits are written behind an escape."""
    random, integers = np.random.default_rng(0), ported_mini.integers
    channels, tables = len(integers.tables["z"]), integers.tables
    z = random.integers(-500, 500, (channels, 2, 3))
    residuals = np.round(random.laplace(0, 30, 4000)).astype(np.int64)
    residuals[:4] = 0, 2**15, -(2**15), 1
    left, right = random.integers(0, 128, (2, 4000))

    theirs = Encoder(mini.frozen.tables)
    theirs.put_z(torch.from_numpy(z))
    theirs.put_front(*map(torch.from_numpy, (residuals, left, right)))

    ours = ported_coding.Encoder()
    offset = integers.tensors["frozen.z_offset"].repeat(6)
    ours.symbols(tables["z"], np.arange(channels).repeat(6).tolist(), (z.ravel() - offset).tolist())
    frozen = lambda name: integers.tensors[f"frozen.{name}_class"]
    rest = residuals.nonzero()[0]
    r, lefts, rights = residuals[rest], left[rest], right[rest]
    ours.symbols(tables["zero"], frozen("zero")[left, right].tolist(), (residuals != 0).tolist())
    ours.symbols(tables["side"], frozen("side")[lefts, rights].tolist(), (r > 0).tolist())
    ours.symbols(tables["magnitude"], frozen("magnitude")[np.where(r > 0, rights, lefts)].tolist(), (abs(r) - 1).tolist())
    assert ours.bytes() == theirs.bytes()


WITHOUT_TORCH = """
import sys
from plic_mindspore import checkpoint, codec
model = checkpoint.load("mini")
picture = codec.decode(model, open(sys.argv[1], "rb").read())
assert picture.shape == (3, 128, 192)
assert codec.decode_latents(model, codec.encode(model, picture, 1)).header.level == 1024
assert not {"torch", "compressai"} & sys.modules.keys()
"""


def test_a_file_of_torch_opens_where_there_is_no_torch(mini, photo, tmp_path):
    (tmp_path / "photo.plic").write_bytes(codec.encode(mini, photo, 1))
    command = [sys.executable, "-c", WITHOUT_TORCH, str(tmp_path / "photo.plic")]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr


def test_what_cannot_be_coded_is_refused_with_a_sentence(ported_mini, photo, tmp_path):
    data, picture = ported.encode(ported_mini, photo.numpy(), 1), photo.numpy()
    for damaged in (b"", data[:-4], data[:40] + bytes([data[40] ^ 1]) + data[41:], data[:4] + b"\2" + data[5:]):
        with pytest.raises(BitstreamError):
            ported.decode(ported_mini, damaged)
    with pytest.raises(BitstreamError, match="exceed the limit"):
        ported.decode(ported_mini, data, max_pixels=1000)
    for level in (-0.1, 2.1, float("nan")):
        with pytest.raises(LevelError):
            ported.encode(ported_mini, picture, level)
    for cells in ((3, 3), (8, 12)):
        with pytest.raises(LevelMapError):
            ported.encode(ported_mini, picture, 2, LevelMap(np.full(cells, 8)))
    for wrong in (picture[0], picture[:, :0], picture + np.float32("nan")):
        with pytest.raises(ImageError):
            ported.encode(ported_mini, wrong, 1)
    (tmp_path / "none.safetensors").write_bytes(b"none")
    for path in (tmp_path / "none.safetensors", tmp_path / "missing", "no-such-model"):
        with pytest.raises(CheckpointError):
            checkpoint.load(path)
