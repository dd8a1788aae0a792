import io
import json
import os
import shutil
import stat
import threading

import pytest
import torch
from PIL import Image

from plic_lib import codec, images, metrics, roi, shipped
from plic_lib.commands.main import main


def plic(*arguments) -> int:
    return main([str(a) for a in arguments])


@pytest.fixture
def picture(tmp_path, photo):
    path = tmp_path / "in.png"
    images.to_image(photo).save(path)
    return path


def test_encode_info_decode(mini, picture, tmp_path, capsys, photo):
    file, out = tmp_path / "a.plic", tmp_path / "out.png"
    assert plic("encode", picture, file, "--rate", 1.5) == 0
    assert plic("decode", file, out) == 0
    assert file.read_bytes() == codec.encode(mini, photo, 1.5)
    assert (images.read(out) - codec.decode(mini, file.read_bytes())).abs().max() <= 0.501 / 255
    capsys.readouterr()
    assert plic("info", file, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["bytes"] == file.stat().st_size and facts["level"] == 1.5 and facts["model_name"] == "mini"
    assert facts["header_bytes"] + facts["stream_bytes"] == facts["bytes"]
    assert plic("info", file) == 0 and "mini" in capsys.readouterr().out


def test_regions(mini, picture, tmp_path, capsys, photo):
    file, plain = tmp_path / "a.plic", tmp_path / "plain.plic"
    assert plic("encode", picture, file, "--roi", "8,8,40,40", "--roi-rate", 2, "--background-rate", 0.5) == 0
    assert "region: " in capsys.readouterr().out
    chosen = roi.level_map(roi.box(photo, 8, 8, 40, 40), 2.0, 0.5)
    assert file.read_bytes() == codec.encode(mini, photo, 0.5, chosen)
    assert plic("decode", file, tmp_path / "out.png") == 0
    capsys.readouterr()
    assert plic("info", file, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["level_offsets"] == [0, 1.5] and facts["level_map_bytes"] > 2
    images.to_image(roi.box(photo, 8, 8, 40, 40).float().expand(3, -1, -1)).save(tmp_path / "mask.png")
    mask = ("--roi-mask", tmp_path / "mask.png", "--roi-rate", 2, "--rate", 0.5)
    assert plic("encode", picture, tmp_path / "b.plic", *mask) == 0 and (tmp_path / "b.plic").read_bytes() == file.read_bytes()
    # a region at the rate of the rest is no region
    assert plic("encode", picture, file, "--roi", "8,8,40,40", "--roi-rate", 1, "--rate", 1) == 0
    assert plic("encode", picture, plain, "--rate", 1) == 0
    assert file.read_bytes() == plain.read_bytes()
    capsys.readouterr()
    assert plic("encode", picture, file, "--roi-faces") == 0
    assert "no face found" in capsys.readouterr().out


def test_what_became_of_a_region_is_said(mini, picture, tmp_path, capsys, photo):
    mask = tmp_path / "mask.png"
    for drawn, options, words in (
        (roi.box(photo, 0, 0, 96, 128).byte(), (), "region: 50.0% of the cells"),  # 0 and 1
        (torch.zeros(128, 192).byte(), (), f"region: nothing is drawn in {mask}, so there is none"),
        (roi.box(photo, 0, 0, 96, 128).byte(), ("--roi-rate", 1, "--rate", 1), "region: has the level of the rest"),
    ):
        Image.fromarray(drawn.numpy()).save(mask)
        assert plic("encode", picture, tmp_path / "a.plic", "--roi-mask", mask, *options) == 0
        assert words in capsys.readouterr().out
    for options, words in (  # the level that the region has, which offsets of 1/8 reach, within the range
        (("--rate", 0.31), "level 2.000"),
        (("--rate", 0.3, "--roi-rate", 0), "level 0.050"),
        (("--rate", 1.5, "--roi-rate", 0.5), "level 0.500"),
    ):
        assert plic("encode", picture, tmp_path / "a.plic", "--roi", "0,0,64,64", *options) == 0
        assert words in capsys.readouterr().out.partition("region: ")[2]


def test_pictures_of_a_camera_roll(mini, tmp_path, capsys, photo):
    """HEIC, also where no other codec was asked for; a picture on its side."""
    images.to_image(photo).save(tmp_path / "a.heic")
    assert plic("encode", tmp_path / "a.heic", tmp_path / "a.plic") == 0
    exif = Image.Exif()
    exif[0x0112] = 6
    images.to_image(photo).save(tmp_path / "a.jpg", exif=exif)
    capsys.readouterr()
    assert plic("encode", tmp_path / "a.jpg", tmp_path / "a.plic") == 0
    assert f"of {tmp_path / 'a.jpg'}: turned upright" in capsys.readouterr().out
    assert plic("decode", tmp_path / "a.plic", tmp_path / "b.heic") == 0 and images.read(tmp_path / "b.heic").shape == (3, 192, 128)


def test_files_through_pipes_links_and_fifos(mini, picture, tmp_path, capsysbinary, monkeypatch, photo):
    expected = codec.encode(mini, photo, 1.0)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(picture.read_bytes())))
    assert plic("encode", "-", "-") == 0
    captured = capsysbinary.readouterr()
    assert captured.out == expected and b"bpp" in captured.err
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(expected)))
    assert plic("decode", "-", "-") == 0
    decoded = Image.open(io.BytesIO(capsysbinary.readouterr().out))
    assert decoded.format == "PNG" and decoded.size == (192, 128)
    (tmp_path / "link.plic").symlink_to(tmp_path / "target.plic")
    assert plic("encode", picture, tmp_path / "link.plic") == 0
    assert (tmp_path / "link.plic").is_symlink() and (tmp_path / "target.plic").read_bytes() == expected
    os.mkfifo(tmp_path / "fifo")
    got = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "fifo").read_bytes()))
    reader.start()
    assert plic("encode", picture, tmp_path / "fifo") == 0
    reader.join()
    assert got == [expected] and stat.S_ISFIFO((tmp_path / "fifo").stat().st_mode)


def test_a_target_out_of_reach_is_said(mini, picture, tmp_path, capsys):
    for bpp, level in (("20", "2.000"), ("1e300", "2.000"), ("1e-300", "0.000")):
        assert plic("encode", picture, tmp_path / "a.plic", "--bpp", bpp) == 0
        out = capsys.readouterr().out
        assert f"level {level}" in out and "was not met" in out


def test_bad_input_is_one_sentence_and_nothing_is_written(mini, picture, tmp_path, capsys):
    text, out = tmp_path / "text.png", tmp_path / "out.plic"
    text.write_text("not a picture")
    good = tmp_path / "good.plic"
    plic("encode", picture, good)
    (tmp_path / "cut.plic").write_bytes(good.read_bytes()[:-3])
    (tmp_path / "link").symlink_to(text)
    mask, model, train = tmp_path / "mask.png", tmp_path / "model.safetensors", ("--data", tmp_path)
    shutil.copy(picture, mask), shutil.copy(shipped.find("mini"), model)
    capsys.readouterr()
    cases = [
        (("encode", text, out), "text.png"),
        (("encode", tmp_path / "none.png", out), "no such file"),
        (("encode", picture, out, "--rate", 2.5), "between 0"),
        *((("encode", picture, out, "--rate", rate, "--roi", "0,0,9,9"), "level lies between 0") for rate in ("nan", "inf", "20")),
        (("encode", picture, out, "--model", "nobody"), "nobody"),
        (("encode", picture, out, "--roi", "1,2,3"), "four whole numbers"),
        (("encode", picture, out, "--roi", "0,0,9,9999"), "does not lie in a picture"),
        (("encode", picture, out, "--roi-mask", text), "text.png"),
        (("encode", picture, out, "--roi-rate", 1), "belongs to a region"),
        (("encode", picture, out, "--roi", "0,0,9,9", "--roi-rate", 3), "--roi-rate lies between"),
        (("encode", picture, out, "--device", "abacus"), "abacus"),
        (("encode", picture, tmp_path / "no" / "out.plic"), "does not exist"),
        *((("encode", picture, path), "is a folder") for path in (tmp_path, f"{tmp_path}/new/", "")),
        (("decode", tmp_path / "cut.plic", tmp_path / "o.png"), "cut.plic: the file is cut off"),
        (("decode", picture, tmp_path / "o.png"), "not a .plic file"),
        (("decode", good, tmp_path / "o.docx"), "use .png"),
        (("decode", good, tmp_path / "o.png", "--max-pixels", 24575), "exceeds the limit of 24575"),
        (("decode", good, tmp_path / "o.png", "--max-pixels", 0), "whole number of 1 or more"),
        *((("encode", picture, out, "--bpp", bpp), "a number above 0 is expected") for bpp in ("0", "-1", "nan", "inf", "1,5")),
        (("encode", picture, out, "--rate", "nan"), "between 0"),
        (("eval", tmp_path, "--bpp", "nan"), "a number above 0 is expected"),
        (("bench", "--runs", "0"), "a whole number of 1 or more is expected"),
        (("train", "--data", tmp_path, "--out", tmp_path, "--workers", "-1"), "a whole number of 0 or more is expected"),
        (("encode", picture), "the following arguments are required: OUT.plic; see `plic encode --help`"),
        (("encrypt", picture), "invalid choice: 'encrypt'"),
        (("encode", picture, picture), "is also what is read"),
        (("encode", picture, mask, "--roi-mask", mask), "is also what is read"),
        (("encode", picture, model, "--model", model), "is also what is read"),
        (("decode", good, good), "is also what is read"),
        (("freeze", text, tmp_path / "link"), "is also what is read"),
        (("eval", tmp_path, "--json", picture), "is also what is read"),
        (("eval-roi", tmp_path, "--json", picture), "is also what is read"),
        (("results", tmp_path, "--json", picture), "is also what is read"),
        (("results", tmp_path, "--json", model, "--models", "mini", model), "is also what is read"),
        (("results", tmp_path, "--json", shipped.find("mini"), "--models", "mini"), "is also what is read"),
        (("results", tmp_path, "--json", tmp_path / "r.json", "--work", good), "good.plic: cannot be a folder to write to (is a file)"),
        (("train", *train, "--out", good / "run"), "run: cannot be a folder to write to (Not a directory)"),
        (("ablate", *train, "--eval", tmp_path, "--work", good, "--results", tmp_path), "good.plic: cannot be a folder"),
        (("ablate", *train, "--eval", tmp_path, "--work", tmp_path, "--results", good), "good.plic: cannot be a folder"),
        (("enhance", *train, "--eval", tmp_path, "--model", "mini", "--out", good), "good.plic: cannot be a folder"),
        (
            ("enhance", "--data", tmp_path, "--eval", tmp_path, "--model", "mini", "--out", out, "--json", tmp_path / "in.json"),
            "in.png: is also",
        ),
        (("bench", "--json", tmp_path / "no" / "out.json"), "does not exist"),
        (("info", text), "not a .plic file"),
        (("eval", tmp_path / "nowhere"), "nowhere"),
        (("eval", tmp_path, "--rates", "a"), "levels like 0,1,2"),
        (("train", "--data", tmp_path, "--out", tmp_path, "--preset", "huge"), "no preset"),
        (("train", "--data", tmp_path, "--out", tmp_path, "--set", "color=3"), "no field 'color'"),
        (("freeze", text, tmp_path / "o.safetensors"), "text.png"),
    ]
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for arguments, words in cases:
        assert plic(*arguments) == 1, arguments
        captured = capsys.readouterr()
        last = captured.err.strip().splitlines()[-1]
        assert words in last and last.startswith("plic: ") and "Traceback" not in captured.err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_eval_gives_pictures_and_totals(mini, tmp_path, capsys, photo):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(2):
        images.to_image(photo.roll(40 * i, dims=2)).save(folder / f"{i}.png")
    assert plic("eval", folder, "--rates", "0,1.5,0", "--json", tmp_path / "eval.json") == 0
    result = json.loads((tmp_path / "eval.json").read_text())
    assert len(result["pictures"]) == 4 and [t["level"] for t in result["totals"]] == [0, 1.5] and result["hash"] == mini.hash
    total = result["totals"][0]
    assert total["bytes"] == sum(p["bytes"] for p in result["pictures"][:2])
    assert total["bpp"] == pytest.approx(8 * total["bytes"] / (2 * 128 * 192))
    assert (total["lpips"] is None) == (not metrics.weights_path("alex").is_file())
    # the command as it was given, not as the program around it was started
    # and without the folders of this machine, which a record that is published has no business with
    assert result["command"] == "plic eval pictures --rates 0,1.5,0 --json eval.json"
    middle = (total["bpp"] * result["totals"][1]["bpp"]) ** 0.5
    assert plic("eval", folder, "--bpp", middle, "--json", tmp_path / "eval.json") == 0
    assert json.loads((tmp_path / "eval.json").read_text())["totals"][0]["bpp"] == pytest.approx(middle, rel=0.02)


def test_doctor_reports(capsys):
    assert plic("doctor") == 0
    out = capsys.readouterr().out
    assert "Python" in out and "compressai" in out and "model mini" in out


def test_doctor_names_weights_that_are_not_and_fetches_them_again(mini, tmp_path, monkeypatch, capsys):
    page, good = tmp_path / "checkpoints" / metrics.WEIGHT_FILES["squeeze"], tmp_path / "good"
    page.parent.mkdir()
    page.write_text("<html>blocked by the proxy</html>")
    torch.save({metrics.OWN_LAYERS["squeeze"]: torch.zeros(1)}, good)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda url, path, hash_prefix: shutil.copy(good, path))
    assert plic("doctor") == 0
    assert f"! {page} does not load (UnpicklingError): LPIPS-squeeze is left out" in capsys.readouterr().out
    assert plic("doctor", "--fetch", "squeeze") == 0
    out = capsys.readouterr().out
    assert f"  {page}\n" in out and "already there" not in out
    assert plic("doctor", "--fetch", "squeeze") == 0 and f"{page} is already there" in capsys.readouterr().out

    def no_network(*_, **__):
        raise OSError("timed out")

    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    assert plic("doctor", "--fetch", "alex") == 1 and "could not be downloaded (timed out)" in capsys.readouterr().err


def test_pictures_of_any_ending(mini, picture, tmp_path, capsys):
    plic("encode", picture, tmp_path / "a.plic")
    for ending, said in (("png", ""), ("webp", ""), ("tif", ""), ("jpg", ", and JPEG loses some of what was decoded; PNG does not")):
        capsys.readouterr()
        assert plic("decode", tmp_path / "a.plic", tmp_path / f"o.{ending}") == 0
        assert capsys.readouterr().out == f"{tmp_path}/o.{ending}: 192 x 128{said}\n"
        assert Image.open(tmp_path / f"o.{ending}").size == (192, 128)
    assert plic("decode", tmp_path / "a.plic", tmp_path / "o.ico") == 1  # which would be a smaller picture
    assert "cannot be written as ICO" in capsys.readouterr().err and not (tmp_path / "o.ico").exists()


def test_grey_pictures_and_single_pixels(mini, tmp_path):
    for size in ((1, 1), (300, 1)):
        Image.new("L", size, 90).save(tmp_path / "g.png")
        assert plic("encode", tmp_path / "g.png", tmp_path / "g.plic") == 0
        assert plic("decode", tmp_path / "g.plic", tmp_path / "h.png") == 0
        x = images.read(tmp_path / "h.png")
        assert x.shape == (3, size[1], size[0]) and torch.isfinite(x).all()
