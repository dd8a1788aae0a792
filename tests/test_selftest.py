"""Files of format 1 decode as they always have, by both decoders; ``plic selftest`` says so, and notices where they do not."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np

from plic_lib import checkpoint, codec, reference_decoder, selftest
from plic_lib.bitstream import File
from plic_lib.commands.main import main

from . import make_golden

KINDS = ["plain", "lowest", "highest", "boxes", "cells", "pixel", "odd", "extremes"]


def test_both_decoders_find_the_latents_of_the_golden_files():
    outcomes = list(selftest.run())
    assert [outcome.name for outcome in outcomes] == KINDS
    assert all(outcome.passed and outcome.latents > 100 for outcome in outcomes), outcomes


def test_levels_and_sizes_of_the_golden_files():
    rows = json.loads((selftest.FOLDER / "golden.json").read_text())
    reference = reference_decoder.read_model(selftest.FOLDER / "golden.safetensors")
    assert reference.hash == rows["model"]
    for name, row in rows["files"].items():
        data = (selftest.FOLDER / f"{name}.plic").read_bytes()
        file, decoded = File.unpack(data), reference_decoder.decode(reference, data)
        assert len(data) == row["bytes"] and decoded.y.size == row["latents"]
        assert selftest.sha256(1024 * decoded.levels) == row["levels_sha256"]
        height, width = file.levels.shape
        assert np.array_equal(decoded.levels[:height, :width] if file.map_bytes else decoded.levels[:1, :1], file.levels.clip(0, 2))


def test_the_golden_files_are_pictures():
    model = checkpoint.load(selftest.FOLDER / "golden.safetensors")
    for name in ("plain", "cells", "pixel", "odd"):
        file = File.unpack(data := (selftest.FOLDER / f"{name}.plic").read_bytes())
        picture = codec.decode(model, data)
        assert picture.shape == (3, file.height, file.width) and picture.isfinite().all()


def test_how_they_were_made_still_makes_such_files():
    model = checkpoint.load(selftest.FOLDER / "golden.safetensors")
    made = make_golden.encode_all(model)
    assert list(made) == KINDS
    for name, (_, data) in made.items():
        before, after = (File.unpack(d) for d in ((selftest.FOLDER / f"{name}.plic").read_bytes(), data))
        assert (before.width, before.height, before.level, before.map_bytes) == (after.width, after.height, after.level, after.map_bytes)
        codec.decode_latents(model, data)


def test_a_latent_that_differs_is_counted(monkeypatch):
    decode = reference_decoder.decode

    def wrong(model, data):
        decoded = decode(model, data)
        decoded.y[0, 0, 0] += 1
        return decoded

    monkeypatch.setattr(reference_decoder, "decode", wrong)
    outcomes = list(selftest.run())
    assert all(o.differences == 1 and not o.passed and "reference decoder: not the latents" in o.fault for o in outcomes)


def test_both_decoders_wrong_alike_is_noticed(tmp_path):
    folder = shutil.copytree(selftest.FOLDER, tmp_path / "golden")
    rows = json.loads((folder / "golden.json").read_text())
    rows["files"]["odd"]["latents_sha256"] = "0" * 64
    (folder / "golden.json").write_text(json.dumps(rows))
    failed = [o for o in selftest.run(folder=folder) if not o.passed]
    assert [(o.name, o.differences) for o in failed] == [("odd", 0)] and "not the latents" in failed[0].fault


def test_a_decoder_that_gives_up_is_an_outcome(tmp_path):
    folder = shutil.copytree(selftest.FOLDER, tmp_path / "golden")
    (folder / "plain.plic").write_bytes((folder / "plain.plic").read_bytes()[:-1])
    outcome = next(selftest.run(folder=folder))
    assert outcome.differences == outcome.latents and "the codec: " in outcome.fault and "reference decoder: " in outcome.fault


def test_the_command_on_the_smallest_instruction_set():
    environment = os.environ | {"ATEN_CPU_CAPABILITY": "default", "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-m", "plic_lib", "selftest"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" 0 differences ") == len(KINDS) and "DEFAULT" in done.stdout and "torch" in done.stdout


def test_the_command_fails_where_a_file_does(monkeypatch, capsys):
    bad = selftest.Outcome("plain", "", 10, 3)
    monkeypatch.setattr(selftest, "run", lambda *_: [bad])
    assert main(["selftest"]) == 1
    shown = capsys.readouterr()
    assert "3 differences" in shown.out and "plain" in shown.err and "Traceback" not in shown.err


def test_a_device_that_is_not_there(capsys):
    assert main(["selftest", "--device", "abacus"]) == 1 and "abacus" in capsys.readouterr().err
