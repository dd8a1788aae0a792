"""The benchmark runs and its figures fit together; no time is asserted."""

import json
import os
import signal
import subprocess
from dataclasses import replace

import pytest
import torch

from plic_lib.commands.main import main
from plic_lib.course import turns
from plic_lib.errors import UsageError
from plic_lib.model import Widths
from plic_lib.study import rivals
from plic_lib.study.bench import busy, inputs, parts, process, serial, sizes, training
from plic_lib.training.recipe import Recipe


def test_benchmark_at_a_small_size():
    model = inputs.untrained(Widths(N=16, M=24))
    result = serial.beside_compressai(model, height=64, width=128, runs=2)
    assert result["pixels"] == [128, 64] and result["bpp"] > 0 and result["compressai_bpp"] > 0
    seconds = result["seconds"]
    assert all(len(values) == 2 and min(values) > 0 for values in result["all_seconds"].values())
    for name, ratio in result["ratios"].items():
        assert ratio == seconds[f"compressai_{name}"] / seconds[name]
    rows = serial.growth(model, sides=(64, 128), runs=1)
    assert [row["side"] for row in rows] == [64, 128] and rows[1]["peak_megabytes"] >= rows[0]["peak_megabytes"] > 50


def test_pictures_of_any_size():
    assert inputs.picture(100, 2000).shape == (3, 100, 2000) and not torch.equal(
        inputs.picture(600, 600)[0, 0], inputs.picture(600, 600)[0, 99]
    )


def test_training_with_the_same_losses(needs_lpips):
    recipe = Recipe(widths=Widths(N=16, M=24), batch=1, crop=64)
    result = training.run(recipe, steps=1, runs=1)
    assert set(result["samples_per_second"]) == {
        "plic", "plic_without_perception", "plic_soap", "compressai", "compressai_perceptual"
    }  # fmt: skip
    assert result["ratio_perceptual"] > 0


def test_training_benchmark_at_a_small_size():
    recipe = Recipe(widths=Widths(N=16, M=24), batch=1, crop=64, gan=5e-4, discriminator=8, lpips=0.0)
    result = training.run(recipe, steps=1, runs=1)
    assert set(result["samples_per_second"]) == {"plic", "plic_without_perception", "plic_soap", "plic_adversarial", "compressai"}
    assert result["ratio_perceptual"] is None and result["soap_overhead"] > -1
    assert min(result["samples_per_second"].values()) > 0


def test_codecs_over_sizes(monkeypatch):
    monkeypatch.setitem(rivals.CODECS, "VVC (vvenc)", replace(rivals.VVC, missing=lambda: "it is not here"))
    monkeypatch.setattr(sizes, "SERIAL_LIMIT", 0.01)
    model = inputs.untrained(Widths(N=16, M=24))
    result = sizes.run(model, ("JPEG", "VVC (vvenc)", "cheng2020-attn"), sizes=(0.06, 0.02), runs=2)
    names = ["plic", "JPEG", "VVC (vvenc)", "cheng2020-attn"]
    assert [row["codec"] for row in result["rows"]] == names * 2 and result["hash"] == model.hash and result["threads"] == 1
    for size, rows in ((0.02, result["rows"][:4]), (0.06, result["rows"][4:])):
        ours, jpeg, vvc, serial = rows
        assert vvc["reason"] == "it is not here" and "not timed above 0.01 megapixels" in serial["reason"]
        assert "bpp" not in vvc and all("reason" not in row for row in (ours, jpeg))
        assert 0.15 < jpeg["bpp"] <= sizes.TARGET_BPP
        for row in (ours, jpeg):
            width, height = row["pixels"]
            assert row["megapixels"] == width * height / 1e6 and abs(row["megapixels"] / size - 1) < 0.1
            assert len(row["runs"]) == 2 and row["peak_megabytes"] > row["megabytes_above_idle"] > 0
            for what in ("encode", "decode"):
                seconds = row[f"{what}_seconds"]
                assert seconds == sum(run[f"{what}_seconds"] for run in row["runs"]) / 2 > 0
                assert row[f"{what}_megapixels_per_second"] == row["megapixels"] / seconds
                assert row[f"{what}_ratio"] == seconds / ours[f"{what}_seconds"]
    assert [growth["codec"] for growth in result["growth"]] == ["plic", "JPEG"]
    small, large = (rows[0] for rows in (result["rows"][:4], result["rows"][4:]))
    assert result["growth"][0]["megapixels"] == [small["megapixels"], large["megapixels"]]
    assert result["growth"][0]["encode_seconds_per_megapixel"][1] == large["encode_seconds"] / large["megapixels"]


def _no_memory():
    torch.empty(2**60)


def _killed():
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_codec_that_fails_says_why():
    with pytest.raises(process.NotMeasured, match="^out of memory"):
        process.in_fresh_process(_no_memory)
    with pytest.raises(process.NotMeasured, match="killed by the system, most likely for want of memory"):
        process.in_fresh_process(_killed)


def test_a_training_cell_beside_busy_neighbours(tmp_path, monkeypatch):
    before, cell = busy.training_cell()
    assert "optimiser.step()" in cell and "from plic_lib import" in before[0]
    sources = [
        "import torch",
        "x = torch.randn(3, 500, 500)",
        "def train(steps):\n    return [(x @ x).sum().item() for _ in range(steps)]\nprint(train(20))",
        "1 / 0",
    ]
    notebook = tmp_path / "toy.ipynb"
    notebook.write_text(json.dumps({"cells": [{"cell_type": "code", "source": source.splitlines(keepends=True)} for source in sources]}))
    started, start = [], subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **named: started.append(start(*a, **named)) or started[-1])
    monkeypatch.setattr(busy, "LOOP", "sum(range(1_000_000))")
    result = busy.run(2, notebook)
    assert result["notebook"] == "toy.ipynb"
    for part in (result["cell"], result["loop"]):
        alone, beside = part["alone"], part["beside"]
        assert min(alone["seconds"], beside["seconds"]) > 0
        assert beside["fair_seconds"] == max(alone["seconds"], 3 / result["cores"] * alone["cpu_seconds"])
        assert beside["ratio"] == beside["seconds"] / beside["fair_seconds"]
    assert len(started) == 2 and all(process.poll() is not None for process in started)
    for content, advice in (('{"cells": []}', "no cell defines train"), (None, "is not there")):
        notebook.unlink() if content is None else notebook.write_text(content)
        with pytest.raises(UsageError, match=advice):
            busy.run(2, notebook)


def test_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(rivals.CODECS, "VVC (vvenc)", replace(rivals.VVC, missing=lambda: "it is not here"))
    out = tmp_path / "bench.json"
    assert main(["bench", "--codecs", "VVC (vvenc)", "mbt2018", "--sizes", "0.01", "--runs", "1", "--json", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "it is not here" in printed and "mbt2018*" in printed
    result = json.loads(out.read_text())
    _, vvc, rival = result["rows"]
    assert vvc["reason"] == "it is not here" and rival["codec"] == "mbt2018" and rival["bpp"] > 0 and result["growth"] == []
    assert result["command"].startswith("plic") and result["cpu"] and result["versions"] and result["model"] == "mini"
    for arguments, advice in (
        (["--codecs", "PNG"], "no codec 'PNG'; there are plic, JPEG,"),
        (["--codecs", "--sizes", "100"], "up to 50"),
        (["--codecs", "--runs", "0"], "1 or more"),
        (["--runs", "0"], "1 or more"),
        (["--training", "mini", "--runs", "0"], "1 or more"),
        (["--sizes", "1"], "--sizes belongs to --codecs"),
    ):
        assert main(["bench", *arguments]) == 1 and advice in capsys.readouterr().err


def test_parts_beside_another_checkout(tmp_path):
    here = parts.HERE
    result = parts.run(inputs.untrained(Widths(N=16, M=24)), [here], megapixels=0.02, runs=2)
    first, *_, other = result["rows"]
    assert first["where"] == "here" and first["type"] == other["type"] == "float32" and result["pixels"] == [176, 112]
    assert (first["bytes"], first["psnr"]) == (other["bytes"], other["psnr"]) and first["bytes"] > 26
    for row in result["rows"]:
        assert all(row[part] > 0 for part in parts.PARTS)
        assert row["bytes"] == pytest.approx(first["bytes"], rel=0.05)
    assert set(parts.PARTS) <= {name.removesuffix("_ratio") for name in other if name.endswith("_ratio")}
    with pytest.raises(UsageError, match="no plic in this folder"):
        parts.run(inputs.untrained(Widths(N=16, M=24)), [tmp_path], megapixels=0.02, runs=1)
    (tmp_path / "plic_lib").mkdir()
    (tmp_path / "plic_lib" / "__init__.py").write_text("raise ImportError('of another time')")
    with pytest.raises(UsageError, match="of another time"):
        parts.run(inputs.untrained(Widths(N=16, M=24)), [tmp_path], megapixels=0.02, runs=1)


def test_turns_of_the_widgets(tiny, photo):
    result = turns.run(tiny, photo, runs=1)
    assert result["pixels"] == [photo.shape[2], photo.shape[1]] and all(row["seconds"] > 0 for row in result["rows"])
    assert {"stroke", "view", "moves"} <= {row["turn"].split()[-1] for row in result["rows"]}
