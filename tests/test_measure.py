"""One picture through one codec, a set of them through ours, and a region: figures that can be trusted and kept."""

import json
import math
import shutil
from dataclasses import replace

import pytest
import torch

from plic_lib import codec as our_codec
from plic_lib import datasets, images, metrics
from plic_lib.commands.main import main
from plic_lib.errors import CodecFailed, ImageError, LevelError, RegionError
from plic_lib.study import codecs, evaluation, record, regions, rivals
from plic_lib.study.measure import mean, measure
from plic_lib.study.pictures import look_at, named


@pytest.fixture
def folder(tmp_path):
    """A photograph, an icon that is too small for most metrics, and another photograph in a folder below."""
    (tmp_path / "pictures" / "more").mkdir(parents=True)
    x = datasets.sample("coffee")
    for name, picture in {"a.png": x[:, :176, :192], "icon.png": x[:, :24, :24], "more/a.png": x[:, 200:376, :177]}.items():
        images.to_image(picture).save(tmp_path / "pictures" / name)
    return tmp_path / "pictures"


def test_a_measurement_is_of_the_bytes(tiny, photo):
    for codec, quality in ((rivals.JPEG, 20), (codecs.ours(tiny), 1.25)):
        found = measure(codec, photo, quality)
        assert found.data == codec.encode(photo, quality) and torch.equal(found.decoded, codec.decode(found.data))
        row = found.row()
        assert row["bytes"] == len(found.data) and row["bpp"] == found.bpp == metrics.bpp(len(found.data), 128, 192)
        assert row["psnr"] == metrics.psnr(photo, found.decoded) and row["container_bytes"] == codec.container_bytes(found.data)
        assert row["encode_seconds"] > 0 and row["decode_seconds"] > 0


def test_a_picture_of_another_size_is_not_measured(photo):

    even = replace(rivals.JPEG, decode=lambda data: rivals.JPEG.decode(data)[:, :-1])
    with pytest.raises(CodecFailed, match=r"JPEG gave back \(3, 127, 192\)"):
        measure(even, photo, 20)


def test_means_are_over_what_has_values():
    assert mean([1.0, None, 2.0]) == 1.5 and mean([None]) is None and mean([]) is None


def test_smallest_pictures_of_each_network(needs_lpips):
    """One pixel less, and nothing would be left in the network's last layers."""
    x = datasets.sample("coffee")
    for net, side in metrics.SMALLEST.items():
        if metrics.weights_fault(net):
            continue
        assert metrics.lpips_or_none(x[:, :side, :90], x[:, 50 : 50 + side, :90], net) > 0
        assert metrics.lpips_or_none(x[:, : side - 1, :90], x[:, : side - 1, :90], net) is None
        with pytest.raises(RuntimeError):
            metrics.lpips(x[:, : side - 1, :90], x[:, : side - 1, :90], net)


def test_a_picture_that_comes_back_exactly_has_no_psnr_in_json(photo):
    row = metrics.quality(photo, photo)
    assert row["psnr"] is None and math.isinf(metrics.psnr(photo, photo))
    json.dumps(row, allow_nan=False)


def test_a_set_is_evaluated_picture_by_picture(tiny, folder):
    pictures = look_at(folder)
    assert pictures.names == ["a.png", "icon.png", "more/a.png"] and pictures.sizes == [(176, 192), (24, 24), (176, 177)]
    rows = list(evaluation.evaluate(tiny, pictures, [1.0, 1.0, 0.0]))
    assert [(row["picture"], row["level"]) for row in rows] == [(name, level) for name in pictures.names for level in (1.0, 0.0)]
    data = our_codec.encode(tiny, images.read(folder / "icon.png"), 1.0)
    assert rows[2]["bytes"] == len(data) and rows[2]["ms_ssim"] is None and rows[2]["width"] == 24
    total = evaluation.summary(row for row in rows if row["level"] == 1.0)
    assert total["pictures"] == 3 and total["bytes"] == sum(row["bytes"] for row in rows[::2])
    assert total["ms_ssim"] == pytest.approx((rows[0]["ms_ssim"] + rows[4]["ms_ssim"]) / 2)
    weights = [176 * 192, 176 * 177]
    assert total["ms_ssim_pooled"] == pytest.approx((weights[0] * rows[0]["ms_ssim"] + weights[1] * rows[4]["ms_ssim"]) / sum(weights))
    json.dumps(total, allow_nan=False)


def test_rates_that_are_none(tiny, folder):
    for bpp in (0, -1, math.nan, math.inf):
        with pytest.raises(LevelError, match="above 0"):
            evaluation.level_for_bpp(tiny, look_at(folder), bpp)


def test_bad_files_are_named_at_the_start_and_contents_tell_sets_apart(folder, tmp_path):
    before = look_at(folder).content
    shutil.copytree(folder, tmp_path / "copy")
    assert look_at(tmp_path / "copy").content == before
    (tmp_path / "copy" / "icon.png").write_bytes((folder / "a.png").read_bytes())
    assert look_at(tmp_path / "copy").content != before
    (folder / "z.png").write_bytes((folder / "a.png").read_bytes()[:1000])
    with pytest.raises(ImageError, match="of 4 pictures 1 cannot be used.*z.png"):
        look_at(folder)


def test_errors_of_a_picture_name_it(folder):
    with pytest.raises(RegionError, match="a.png: no box"), named(folder / "a.png"):
        raise RegionError("no box")
    with pytest.raises(KeyError), named(folder / "a.png"):  # a fault of ours stays one
        raise KeyError("level")


def test_eval_keeps_what_is_done(folder, tmp_path, monkeypatch, capsys):
    out = tmp_path / "eval.json"
    real = evaluation.measure
    monkeypatch.setattr(
        evaluation, "measure", lambda c, x, q: real(c, x, q) if x.shape[2] != 177 else (_ for _ in ()).throw(CodecFailed("no"))
    )
    assert main(["eval", str(folder), "--rates", "1,1,0", "--json", str(out)]) == 1
    assert f"{folder / 'more' / 'a.png'}: no" in capsys.readouterr().err
    found = json.loads(out.read_text())
    assert [(row["picture"], row["level"]) for row in found["pictures"]] == [("a.png", 1), ("icon.png", 1), ("a.png", 0), ("icon.png", 0)]
    assert found["not_measured"] == 2 and [total["level"] for total in found["totals"]] == [1, 0] and found["totals"][0]["pictures"] == 2
    # not what this test was started with, and no folder of this machine
    assert found["command"] == f"plic eval {folder.name} --rates 1,1,0 --json {out.name}"
    assert found["sha256"] == look_at(folder).content and found["versions"] == record.versions()


def test_regions_of_small_pictures(tiny, photo):
    for height, width in ((10, 12), (24, 24), (70, 40)):
        x = photo[:, :height, :width]
        left, top, right, bottom = regions.central_third(x)
        assert 0 <= left < right <= width and 0 <= top < bottom <= height
        row = regions.evaluate_picture(tiny, x, 2.0, 0.0)
        json.dumps(row, allow_nan=False)
        assert row["files"]["region"]["psnr_inside"] > 0 and row["box"] == [left, top, right, bottom]
    assert regions.central_third(torch.zeros(3, 512, 768)) == (256, 160, 512, 352)
    total = regions.summary([row])
    assert total["pictures"] == 1 and total["files"]["region"]["bytes"] == row["files"]["region"]["bytes"]


def test_a_region_costs_and_gains(tiny, folder):
    (row, *_) = regions.evaluate(tiny, look_at(folder), 2.0, 0.5)
    files = row["files"]
    assert files["uniform_background"]["bytes"] < files["region"]["bytes"] < files["uniform_region"]["bytes"]
    assert files["uniform_equal"]["bytes"] == pytest.approx(files["region"]["bytes"], rel=0.01) and row["map_bytes"] > 0
    assert files["uniform_region"]["level"] == 2.0 and row["picture"] == "a.png"
