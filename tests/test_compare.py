"""Points of real files, gathered and resumed; curves, BD-rates and intervals from them."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from plic_lib import datasets, images, metrics
from plic_lib.errors import FileError
from plic_lib.study import compare, evaluation, results, rivals


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for name, side in (("coffee", 192), ("chelsea", 256)):
        images.to_image(datasets.sample(name)[:, :side, :256]).save(folder / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def result(folder, tiny, tmp_path_factory):
    return results.run(folder, [tiny], tmp_path_factory.mktemp("work"), ["JPEG", "AVIF"])


def test_a_point_is_made_of_real_files(result, folder):
    avif, points = rivals.CODECS["AVIF"], result["codecs"]["AVIF"]["points"]
    assert [p["quality"] for p in points] == list(avif.points)
    x = images.read(folder / "coffee.png")
    row = next(i for i, p in enumerate(result["pictures"]) if p["picture"] == "coffee.png")
    data = avif.encode(x, 20)
    point = next(p for p in points if p["quality"] == 20)
    assert point["bytes"][row] == len(data) and point["psnr"][row] == pytest.approx(metrics.psnr(x, avif.decode(data)), abs=1e-3)
    assert result["pictures"][row] == {"picture": "coffee.png", "width": 256, "height": 192}


def test_ours_meets_the_targets_or_its_nearest_end(result, tiny):
    bpp, _ = compare.curve(result, "tiny", "psnr")
    for row in result["targets"]["tiny"]:
        nearest = min(max(row["target"], bpp[0]), bpp[-1])
        assert row["bpp"] == pytest.approx(nearest, rel=0.02)


def test_a_stopped_run_goes_on(folder, tmp_path, monkeypatch):
    measured = []
    real = results.measure

    def stops(which, quality, paths):
        if len(measured) == 3:
            raise KeyboardInterrupt
        measured.append(quality)
        return real(which, quality, paths)

    monkeypatch.setattr(results, "measure", stops)
    with pytest.raises(KeyboardInterrupt):
        results.run(folder, [], tmp_path, ["JPEG"])
    monkeypatch.setattr(results, "measure", lambda which, quality, paths: measured.append(quality) or real(which, quality, paths))
    results.run(folder, [], tmp_path, ["JPEG"])
    assert measured == list(rivals.CODECS["JPEG"].points)
    images.to_image(datasets.sample("rocket")[:, :192, :192]).save(folder / "more.png")
    try:
        assert all(len(p["bytes"]) == 3 for p in results.run(folder, [], tmp_path, ["JPEG"])["codecs"]["JPEG"]["points"])
    finally:
        (folder / "more.png").unlink()


def test_two_processes_share_the_points(folder, tmp_path):
    command = [sys.executable, "-m", "accelerate.commands.launch", "--num_machines", "1", "--num_processes", "2", "--multi_gpu"]
    command += ["-m", "plic_lib", "results", str(folder), "--models", "--codecs", "JPEG", "--work", str(tmp_path)]
    command += ["--json", str(tmp_path / "out.json")]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"})
    assert done.returncode == 0, done.stderr[-2000:]
    shared = json.loads((tmp_path / "out.json").read_text())["codecs"]["JPEG"]["points"]
    alone = results.run(folder, [], tmp_path / "alone", ["JPEG"])["codecs"]["JPEG"]["points"]
    assert [p["bytes"] for p in shared] == [p["bytes"] for p in alone]
    assert [p["psnr"] for p in shared] == [pytest.approx(p["psnr"], abs=1e-4) for p in alone]
    assert done.stdout.count("| JPEG |") <= 1  # one of them speaks


def test_what_is_missing_is_named(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    result = results.run(folder, [], tmp_path, ["VVC"])
    assert "vvencapp" in result["missing"]["VVC"] and result["codecs"] == {}


def test_bd_rate_of_a_shifted_curve():
    rate, value = np.array([0.1, 0.2, 0.4, 0.8]), np.array([25.0, 28.0, 31.0, 34.0])
    percent, overlap = compare.bd_rate((rate, value), (0.8 * rate, value), "psnr")
    assert percent == pytest.approx(-20) and overlap == 1
    percent, overlap = compare.bd_rate((rate, 1 / value), (1.5 * rate, 1 / value), "lpips")
    assert percent == pytest.approx(50) and overlap == 1
    percent, overlap = compare.bd_rate((rate, value), (rate, value + 6), "psnr")
    assert percent < -50 and overlap == pytest.approx(3 / 15)
    assert compare.bd_rate((rate, value), (rate, value + 20), "psnr") == (None, 0.0)


def test_values_between_points_and_none_outside():
    curve = np.array([0.1, 0.4]), np.array([20.0, 30.0])
    assert compare.at(curve, 0.2) == pytest.approx(25) and compare.at(curve, 0.09) is None and compare.at(None, 0.2) is None


def test_intervals_hold_the_mean_and_shrink(result):
    values = np.random.default_rng(1).normal(size=400)
    wide = compare.interval(lambda chosen: float(values[:25][chosen].mean()), 25)
    narrow = compare.interval(lambda chosen: float(values[chosen].mean()), 400)
    assert narrow[0] < values.mean() < narrow[1] and narrow[1] - narrow[0] < 0.5 * (wide[1] - wide[0])
    assert narrow[1] - narrow[0] == pytest.approx(2 * 1.96 / 20, rel=0.2)
    assert compare.interval(lambda chosen: None, 3) is None


def test_curves_follow_the_drawn_pictures(result):
    both, first = (compare.curve(result, "AVIF", "psnr", chosen) for chosen in (None, np.array([0, 0])))
    points = result["codecs"]["AVIF"]["points"]
    assert first[1][0] == pytest.approx(points[0]["psnr"][0]) and both[1][0] == pytest.approx(np.mean(points[0]["psnr"]))
    assert first[0][0] == pytest.approx(8 * points[0]["bytes"][0] / (256 * 256))


def test_pooled_psnr():
    assert evaluation.pooled_psnr([30.0, 30.0], [10, 90]) == pytest.approx(30)
    assert evaluation.pooled_psnr([20.0, 40.0], [1, 1]) == pytest.approx(-10 * np.log10((1e-2 + 1e-4) / 2))


def test_readme_is_renewed_between_its_marks(result, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{compare.START}\nold\n{compare.END}\nafter\n")
    compare.renew_readme(result, "some", readme)
    text = readme.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text and "data/results/some.png" in text
    compare.renew_readme(result, "some", readme)
    assert readme.read_text() == text
    readme.write_text("nothing")
    with pytest.raises(FileError, match="no lines"):
        compare.renew_readme(result, "some", readme)


def test_published_figures_name_their_source():
    figures = compare.load("published_kodak")["codecs"]
    for name, codec in figures.items():
        assert codec["source"] and list(codec["bpp"]) == sorted(codec["bpp"])
        bpp, psnr = compare.published(name, "psnr")
        assert len(bpp) == len(psnr) and 20 < psnr.min() < psnr.max() < 50
    assert compare.published("VTM (4:4:4)", "lpips") is None
