"""Points of real files, gathered and resumed; curves, BD-rates and intervals from them."""

import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from plic_lib import datasets, images, metrics
from plic_lib.checkpoint import TrainedModel
from plic_lib.commands.main import main
from plic_lib.errors import CodecFailed, ImageError
from plic_lib.study import compare, evaluation, pages, results, rivals
from plic_lib.study.pictures import look_at
from tests.conftest import tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for name, side in (("coffee", 192), ("chelsea", 256)):
        images.to_image(datasets.sample(name)[:, :side, :256]).save(folder / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def result(folder, tiny, tmp_path_factory):
    return results.run(look_at(folder), [tiny], tmp_path_factory.mktemp("work"), ["JPEG", "AVIF"])


@pytest.fixture
def measured(monkeypatch):
    """The codec and the quality of every point that is really measured."""
    found, real = [], results.point
    monkeypatch.setattr(results, "point", lambda codec, *arguments: found.append((codec.name, arguments[0])) or real(codec, *arguments))
    return found


def test_a_point_is_made_of_real_files(result, folder):
    avif, points = rivals.AVIF, result["codecs"]["AVIF"]["points"]
    assert [p["quality"] for p in points] == list(avif.qualities) and result["codecs"]["AVIF"]["settings"] == avif.settings()
    x = images.read(folder / "coffee.png")
    row = next(i for i, p in enumerate(result["pictures"]) if p["picture"] == "coffee.png")
    data = avif.encode(x, 20)
    point = next(p for p in points if p["quality"] == 20)
    assert point["bytes"][row] == len(data) and point["psnr"][row] == pytest.approx(metrics.psnr(x, avif.decode(data)), abs=1e-3)
    assert point["container_bytes"][row] == avif.container_bytes(data) > 100
    assert result["pictures"][row] == {"picture": "coffee.png", "width": 256, "height": 192}


def test_ours_meets_the_targets_or_its_nearest_end(result, tiny):
    bpp, _ = compare.curve(result, "tiny", "psnr")
    for row in result["targets"]["tiny"]:
        nearest = min(max(row["target"], bpp[0]), bpp[-1])
        assert row["bpp"] == pytest.approx(nearest, rel=0.02)


def test_a_stopped_run_goes_on(folder, tmp_path, monkeypatch, measured):
    real = results.point

    def stops(codec, quality, pictures):
        if len(measured) == 3:
            raise KeyboardInterrupt
        return real(codec, quality, pictures)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(results, "point", stops)
        results.run(look_at(folder), [], tmp_path, ["JPEG"])
    next(tmp_path.iterdir()).write_text('{"point": {"qua')  # and one file of it is torn
    again = results.run(look_at(folder), [], tmp_path, ["JPEG"])["codecs"]["JPEG"]["points"]
    assert len(measured) == len(rivals.JPEG.qualities) + 1 and [p["quality"] for p in again] == list(rivals.JPEG.qualities)


def test_points_are_found_again_by_what_they_were_made_of(folder, tmp_path, measured, monkeypatch):
    """Not by names and sizes: neither of files, nor of folders, nor of codecs."""
    runs = lambda folder: results.run(look_at(folder), [], tmp_path / "work", ["JPEG"])["codecs"]["JPEG"]["points"]
    quick = replace(rivals.JPEG, qualities=(5, 30))
    monkeypatch.setitem(rivals.CODECS, "JPEG", quick)
    first, all_of_them = runs(folder), 2
    copy = tmp_path / "other" / folder.name
    shutil.copytree(folder, copy)
    (copy / "coffee.png").rename(copy / "cup.png")
    assert runs(copy) == first and len(measured) == all_of_them
    (copy / "cup.png").rename(copy / "a cup.png")
    assert [p["bytes"][::-1] for p in runs(copy)] == [p["bytes"] for p in first] and len(measured) == 2 * all_of_them  # another order
    (copy / "a cup.png").rename(copy / "coffee.png")
    assert runs(copy) == first and len(measured) == 2 * all_of_them
    data = bytearray((copy / "coffee.png").read_bytes())
    images.to_image(1 - images.read(copy / "coffee.png")).save(copy / "coffee.png")
    other = (copy / "coffee.png").read_bytes()
    (copy / "coffee.png").write_bytes(other + bytes(max(0, len(data) - len(other))))  # of the same name and, padded, of the same size
    assert runs(copy) != first and len(measured) == 3 * all_of_them
    settings = rivals.JPEG.settings() | {"encoder": "another version"}
    monkeypatch.setitem(rivals.CODECS, "JPEG", replace(quick, settings=lambda: settings))
    runs(folder)
    assert len(measured) == 4 * all_of_them
    monkeypatch.setattr(results, "_here", lambda: ["weights that were fetched since"])
    runs(folder)
    assert len(measured) == 5 * all_of_them


def test_two_models_of_one_name_and_one_model_twice(folder, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "TARGETS", (0.3,))
    real = results.ours
    monkeypatch.setattr(results, "ours", lambda model: replace(real(model), qualities=(0.0, 2.0)))
    other = tiny_model(symmetric=True)
    models = [TrainedModel("JPEG", model.networks, model.frozen) for model in (tiny, other, other)]
    found = results.run(look_at(folder), models, tmp_path / "work", ["JPEG", "JPEG"])
    names = [f"JPEG {model.hash[:8]}" for model in models[:2]]
    assert set(found["codecs"]) == {"JPEG", *names} and set(found["targets"]) == set(names)
    assert [codec["hash"] for codec in found["codecs"].values()] == [None, models[0].hash, models[1].hash]
    assert [len(codec["points"]) for codec in found["codecs"].values()] == [len(rivals.JPEG.qualities), 2, 2]
    assert pages.results(found).count("\n| JPEG") == 3


def test_a_codec_that_fails_is_left_out_and_the_rest_is_written(folder, tmp_path, monkeypatch, measured):
    def encode(picture, quality):
        if picture.shape[1] == 192 and quality == 20:
            raise CodecFailed("AVIF: no")
        return rivals.AVIF.encode(picture, quality)

    monkeypatch.setitem(rivals.CODECS, "AVIF", replace(rivals.AVIF, encode=encode))
    found = results.run(look_at(folder), [], tmp_path, ["AVIF", "JPEG"])
    assert set(found["codecs"]) == {"JPEG"} and found["missing"]["AVIF"] == f"{folder / 'coffee.png'}: AVIF: no"
    monkeypatch.setitem(rivals.CODECS, "AVIF", rivals.AVIF)
    del measured[:]
    assert set(results.run(look_at(folder), [], tmp_path, ["AVIF", "JPEG"])["codecs"]) == {"AVIF", "JPEG"}
    assert measured == [("AVIF", 20)]  # what was done before is kept


def test_bad_files_are_known_before_anything_is_measured(folder, tmp_path, measured):
    pictures = tmp_path / "pictures"
    shutil.copytree(folder, pictures)
    (pictures / "zebra.png").write_bytes((folder / "coffee.png").read_bytes()[:2000])
    (pictures / "zoo.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match="of 4 pictures 2 cannot be used.*zebra.png.*zoo.png"):
        results.run(look_at(pictures), [], tmp_path / "work", ["JPEG"])
    assert not measured


def test_small_and_flat_pictures_have_dashes(tiny, tmp_path):
    """An icon is too small for some metrics, a flat one may come back exactly: null in JSON, means over what has values."""
    x = datasets.sample("coffee")
    pictures = {"icon": x[:, :24, :24], "flat": 0 * x[:, :64, :64], "photo": x[:, :192, :192]}
    for name, picture in pictures.items():
        (tmp_path / name).mkdir()
        images.to_image(picture).save(tmp_path / name / f"{name}.png")
    (tmp_path / "icon" / "deep").mkdir()
    for name in ("flat", "photo"):
        shutil.copy(tmp_path / name / f"{name}.png", tmp_path / "icon" / "deep")
    found = results.run(look_at(tmp_path / "icon"), [tiny], tmp_path / "work", ["JPEG"])
    assert [p["picture"] for p in found["pictures"]] == ["deep/flat.png", "deep/photo.png", "icon.png"]
    json.dumps(found["codecs"], allow_nan=False)
    point = found["codecs"]["JPEG"]["points"][-1]
    assert point["ms_ssim"][0] is None and point["ms_ssim"][1] > 0.8 and point["ms_ssim"][2] is None
    assert point["psnr"][0] is None and min(point["psnr"][1:]) > 20  # black comes back as black
    assert compare.curve(found, "JPEG", "ms_ssim")[1][-1] == pytest.approx(point["ms_ssim"][1])
    assert compare.curve(found, "JPEG", "ms_ssim", np.array([0, 2, 2])) is None
    (row, *_) = found["targets"]["tiny"]
    assert row["ms_ssim"] == pytest.approx(row["ms_ssim_pooled"]) and row["psnr_pooled"] > 0
    only = results.run(look_at(tmp_path / "flat"), [], tmp_path / "work", ["JPEG"])
    assert only["codecs"]["JPEG"]["points"][-1]["psnr"] is None and "None" not in pages.results(only)


def test_two_processes_share_the_points(folder, tmp_path):
    command = [sys.executable, "-m", "accelerate.commands.launch", "--num_machines", "1", "--num_processes", "2", "--multi_gpu"]
    command += ["-m", "plic_lib", "results", str(folder), "--models", "--codecs", "JPEG", "--work", str(tmp_path)]
    command += ["--json", str(tmp_path / "out.json")]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"})
    assert done.returncode == 0, done.stderr[-2000:]
    shared = json.loads((tmp_path / "out.json").read_text())["codecs"]["JPEG"]["points"]
    alone = results.run(look_at(folder), [], tmp_path / "alone", ["JPEG"])["codecs"]["JPEG"]["points"]
    assert [p["bytes"] for p in shared] == [p["bytes"] for p in alone]
    assert [p["psnr"] for p in shared] == [pytest.approx(p["psnr"], abs=1e-4) for p in alone]
    assert done.stdout.count("| JPEG |") <= 1  # one of them speaks


def test_results_of_other_pictures_are_not_written_over(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(compare, "FOLDER", tmp_path)
    monkeypatch.setitem(rivals.CODECS, "JPEG", replace(rivals.JPEG, qualities=(5, 30)))
    command = ["results", str(folder), "--models", "--codecs", "JPEG", "--work", str(tmp_path / "work")]
    assert main(command) == 0 and main(command) == 0
    out = tmp_path / f"{folder.name}.json"
    recorded = json.loads(out.read_text())
    assert recorded["sha256"] == look_at(folder).content
    out.write_text(json.dumps(recorded | {"sha256": "of others"}))
    assert main(command) == 1 and "results of other pictures" in capsys.readouterr().err
    assert json.loads(out.read_text())["sha256"] == "of others" and main([*command, "--json", str(tmp_path / "here.json")]) == 0


def test_what_is_missing_is_named(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    result = results.run(look_at(folder), [], tmp_path, ["VVC (vvenc)"])
    assert "vvencapp" in result["missing"]["VVC (vvenc)"] and result["codecs"] == {}


def test_bd_rate_of_a_shifted_curve():
    rate, value = np.array([0.1, 0.2, 0.4, 0.8]), np.array([25.0, 28.0, 31.0, 34.0])
    percent, overlap = compare.bd_rate((rate, value), (0.8 * rate, value), "psnr")
    assert percent == pytest.approx(-20) and overlap == 1
    percent, overlap = compare.bd_rate((rate, 1 / value), (1.5 * rate, 1 / value), "lpips")
    assert percent == pytest.approx(50) and overlap == 1
    percent, overlap = compare.bd_rate((rate, value), (rate, value + 6), "psnr")
    assert percent < -50 and overlap == pytest.approx(3 / 15)
    assert compare.bd_rate((rate, value), (rate, value + 20), "psnr") == (None, 0.0)


def test_curves_that_have_no_bd_rate_get_a_dash():
    rate, value = np.array([0.1, 0.2, 0.4, 0.8]), np.array([25.0, 28.0, 31.0, 34.0])
    tie = np.array([25.0, 28.0, 28.0, 34.0])
    for pair in (((rate, value), (rate, tie)), ((rate, tie), (rate, value))):
        percent, overlap = compare.bd_rate(*pair, "psnr")
        assert percent is None and overlap == 1
    twice = np.array([0.1, 0.1, 0.2, 0.4, 0.8]), np.array([25.0, 25.0, 28.0, 31.0, 34.0])  # two qualities that give the same files
    assert compare.bd_rate((rate, value), twice, "psnr")[0] == pytest.approx(0)
    holes = np.array([25.0, math.nan, 31.0, math.inf])
    assert compare.bd_rate((rate, value), (rate, holes), "psnr")[0] == pytest.approx(0, abs=3)
    assert compare.bd_rate((rate, value), (rate, np.full(4, math.nan)), "psnr") == (None, 0.0)


def test_a_table_is_written_whatever_cannot_be_computed(result):
    columns = {"lpips": [[0.1, 0.2], [0.1, 0.2], [0.05, 0.1]], "psnr": [[None, 20.0], [21.0, 21.0], [22.0, 22.0]]}
    points = [
        {"quality": q, "bytes": [900 * 2**q] * 2, "kid_alexnet": None} | {name: column[q] for name, column in columns.items()}
        for q in range(3)
    ]
    codecs = {"HEVC": result["codecs"]["AVIF"], "ties": {"hash": None, "points": points}}
    table = pages.results({"pictures": result["pictures"], "codecs": codecs, "missing": {}})
    line = next(line for line in table.splitlines() if line.startswith("| ties"))
    assert line.endswith(("| – |", "| no common quality |")) and "nan" not in table


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


def test_kid_of_the_drawn_pictures(folder, tiny, tmp_path):
    if metrics.weights_fault("squeeze"):
        pytest.skip("SqueezeNet's weights are not here")
    found = results.run(look_at(folder), [tiny], tmp_path, [], levels=[0.0, 2.0])
    points = found["codecs"]["tiny"]["points"]
    assert [point["quality"] for point in points] == [0, 2] and not found["targets"]  # the levels that were asked for
    assert [[len(row) for row in point["kid_squeeze_pairs"]] for point in points] == [[1, 0]] * 2  # and one pair of pictures
    assert points[0]["kid_squeeze"] is None  # one of them has no patch
    with_pairs = {"pictures": [{"width": 8, "height": 8}] * 3, "codecs": {"ours": {"points": [{"bytes": [8] * 3, "kid_squeeze": 2.0}]}}}
    with_pairs["codecs"]["ours"]["points"][0]["kid_squeeze_pairs"] = [[1.0, 2.0], [3.0], []]
    for chosen, expected in ((None, 2.0), ([0, 2, 2], 2.0), ([1, 0, 0], 1.0), ([1, 1, 1], None)):
        curve = compare.curve(with_pairs, "ours", "kid_squeeze", None if chosen is None else np.array(chosen))
        assert (curve and curve[1][0]) == expected


def test_pooled_psnr():
    assert evaluation.pooled_psnr([30.0, 30.0], [10, 90]) == pytest.approx(30)
    assert evaluation.pooled_psnr([20.0, 40.0], [1, 1]) == pytest.approx(-10 * np.log10((1e-2 + 1e-4) / 2))


def test_published_figures_name_their_source():
    figures = compare.load("published_kodak")["codecs"]
    for name, codec in figures.items():
        assert codec["source"] and list(codec["bpp"]) == sorted(codec["bpp"])
        bpp, psnr = compare.published(name, "psnr")
        assert len(bpp) == len(psnr) and 20 < psnr.min() < psnr.max() < 50
    assert compare.published("VTM (4:4:4)", "lpips") is None
