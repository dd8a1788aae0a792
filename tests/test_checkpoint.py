"""Models on disk: what is incomplete or damaged is refused, and a file says which model it needs."""

import dataclasses
import json
import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from plic_lib import checkpoint, codec, shipped
from plic_lib.bitstream import File
from plic_lib.commands.main import main
from plic_lib.errors import BitstreamError, CheckpointError

from .conftest import tiny_model


@pytest.fixture(scope="module")
def stored(tiny_path):
    """Tensors and texts of a checkpoint that loads, as the first ones were: without the hash of all numbers, which tells any change."""
    checkpoint.load(tiny_path)
    with safe_open(tiny_path, "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, {k: v for k, v in file.metadata().items() if k != "data"}


@pytest.fixture
def refused(stored, tmp_path):
    """Change a checkpoint, and see it refused in one sentence."""

    def change(words, tensors=None, metadata=None):
        path = tmp_path / "changed.safetensors"
        save_file(stored[0] if tensors is None else tensors, path, stored[1] if metadata is None else metadata)
        with pytest.raises(CheckpointError, match=words) as caught:
            checkpoint.load(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)

    return change


@pytest.mark.parametrize("part", ["encoder", "hyper_encoder", "gain_units.theta", "generator", "context", "prior"])
def test_a_checkpoint_without_a_part_is_refused(part, stored, refused):
    refused("missing: " + part, {k: v for k, v in stored[0].items() if not k.startswith(f"networks.{part}")})


def test_a_tensor_too_many_is_refused(stored, refused):
    refused("extra", stored[0] | {"networks.extra": torch.zeros(1)})


@pytest.mark.parametrize("name", ["networks.encoder.0.weight", "networks.context.weight"])
def test_weights_that_are_no_numbers_are_refused(name, stored, refused):
    refused(name.removeprefix("networks."), stored[0] | {name: torch.full_like(stored[0][name], torch.nan)})


def test_texts_that_are_missing_or_wrong_are_refused(stored, refused):
    metadata = stored[1]
    without = lambda name: {k: v for k, v in metadata.items() if k != name}
    refused("hash", metadata=without("hash"))
    refused("widths", metadata=without("widths"))
    refused("format", metadata=without("format"))
    refused("hash", metadata=metadata | {"hash": "00" * 32})
    refused("damaged", metadata=metadata | {"widths": json.dumps({"N": 16, "M": 24, "depth": 3})})
    refused("about itself", metadata=metadata | {"about": "[3]"})


@pytest.mark.parametrize("widths", [{"N": 20_000}, {"M": 20_000}, {"levels": 10**9}, {"N": 0, "M": 0}, {"N": -1}, {"N": "16"}])
def test_widths_are_compared_with_the_tensors_before_anything_of_that_size_is_made(widths, stored, refused, monkeypatch):
    monkeypatch.setattr(checkpoint, "Plic", lambda widths: pytest.fail(f"networks of {widths} are made"))
    refused("widths|not supported", metadata=stored[1] | {"widths": json.dumps({"N": 16, "M": 24} | widths)})


@pytest.mark.parametrize("part", ["encoder", "hyper_encoder", "gain_units.theta", "prior", "context", "generator"])
def test_a_changed_number_is_noticed_wherever_it_stands(part, tiny_path, tmp_path):
    """The hash of the model covers what decides how a file decodes; an encoder that is damaged makes files that decode, of bad pictures."""
    contents = tiny_path.read_bytes()
    size = int.from_bytes(contents[:8], "little")
    entries = json.loads(contents[8 : 8 + size])
    end = next(entry["data_offsets"][1] for name, entry in sorted(entries.items()) if name.startswith(f"networks.{part}"))
    broken = bytearray(contents)
    broken[8 + size + end - 1] ^= 1  # a low bit of an exponent: still a number
    (tmp_path / "broken.safetensors").write_bytes(broken)
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.load(tmp_path / "broken.safetensors")


@pytest.mark.parametrize("name", ["frozen.zero_cdf", "frozen.z_cdf", "frozen.magnitude_length", "frozen.side_class", "frozen.z_offset"])
def test_tables_that_the_coder_would_trip_over_are_refused(name, stored, refused):
    """The coder is C++ and trusts its tables."""
    refused("tables|class", stored[0] | {name: stored[0][name].flip(0)[1:] + 1})


@pytest.mark.parametrize("name", ["frozen.zero_class", "frozen.side_class", "frozen.magnitude_class", "frozen.z_length", "frozen.z_cdf"])
def test_tables_of_another_type_are_refused(name, stored, refused):
    """A class below zero would be an index into the memory in front of the tables."""
    changed = stored[0][name].to(torch.int32 if name.endswith("class") else torch.int64)
    refused(f"{name.removeprefix('frozen.')} holds torch", stored[0] | {name: -changed})


@pytest.mark.parametrize("bits", [-2000, -21, 21])
def test_fraction_bits_that_no_model_has_are_refused(bits, stored, refused):
    refused("fraction bits", stored[0] | {"frozen.fraction_bits": torch.tensor([8, 8, bits, 8, 8], dtype=torch.int32)})


def test_what_would_not_load_again_is_not_written(tmp_path):
    """Kernels that half precision does not hold would come back as another model."""
    model = tiny_model()
    with pytest.raises(CheckpointError, match="round_weights_"):
        checkpoint.save(model, tmp_path / "new.safetensors")
    assert not list(tmp_path.iterdir())


def test_tables_check_themselves(tiny_tables):
    for name in ("zero", "side", "magnitude", "z"):
        cdf = getattr(tiny_tables, f"{name}_cdf").clone()
        cdf[1, 1] = cdf[1, 2]
        with pytest.raises(ValueError, match=f"{name}_cdf"):
            dataclasses.replace(tiny_tables, **{f"{name}_cdf": cdf})


def test_a_file_says_which_model_it_needs(tiny, photo, tmp_path, capsys):
    data = codec.encode(tiny, photo[:, :64, :64], 1)
    assert shipped.needed(bytes.fromhex(checkpoint.load("mini").hash)[:4]).stem == "mini"
    with pytest.raises(BitstreamError, match=f"needs the model {tiny.hash[:8]}.*mini.*--model"):
        shipped.needed(File.unpack(data).model)
    (tmp_path / "photo.plic").write_bytes(data)
    assert main(["decode", str(tmp_path / "photo.plic"), str(tmp_path / "photo.png")]) == 1
    message = capsys.readouterr().err
    assert "photo.plic" in message and tiny.hash[:8] in message and "--model" in message and message.count("\n") == 1


def test_a_damaged_model_does_not_hide_another(mini, tmp_path, monkeypatch):
    shutil.copy(shipped.find("mini"), tmp_path / "mini.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    assert shipped.with_hash(bytes.fromhex(mini.hash)[:4]) == tmp_path / "mini.safetensors"
    with pytest.raises(BitstreamError, match=f"broken .damaged., mini .{mini.hash[:8]}"):
        shipped.needed(bytes(4))
