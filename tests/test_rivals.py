"""Every codec writes real files, more bytes for more quality, and gives the picture back; what it ran with is on record."""

import io
import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from plic_lib import codec as our_codec
from plic_lib import datasets, images, metrics
from plic_lib.errors import CodecFailed, CodecMissing
from plic_lib.study import codecs, containers, rivals, vvc
from plic_lib.study.bench import zoo
from plic_lib.study.rivals import CODECS


@pytest.fixture(params=sorted(CODECS))
def codec(request):
    codec = CODECS[request.param]
    if reason := codec.missing():
        pytest.skip(reason)
    return codec


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Stand-ins for VVC's two programs that copy the film: what is left is our own colour conversion."""
    for program, taken in (("vvencapp", "--input"), ("vvdecapp", "--bitstream")):
        script = f"#!{sys.executable}\nimport shutil, sys\na = sys.argv\n"
        script += "if '--version' in a: sys.exit(print('vvencapp: 1.12.0'))\n"
        script += f"shutil.copy(a[a.index({taken!r}) + 1], a[a.index('--output') + 1])\n"
        (tmp_path / program).write_text(script)
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_more_quality_costs_more_bytes_and_is_nearer(codec, photo):
    files = [codec.encode(photo, quality) for quality in codec.qualities]
    assert [len(data) for data in files] == sorted(len(data) for data in files)
    decoded = [codec.decode(data) for data in files]
    assert all(x.shape == photo.shape for x in decoded)
    assert metrics.psnr(photo, decoded[-1]) > max(24, metrics.psnr(photo, decoded[0]) + 3)


def test_decoded_pictures_are_8_bit_pictures_of_the_same_size(codec, photo):
    x = photo[:, :37, :51]
    decoded = codec.decode(codec.encode(x, codec.qualities[-1]))
    assert decoded.shape == x.shape and torch.equal(images.eight_bit(decoded), decoded)


def test_files_of_at_most_some_bytes(codec, photo):
    data, quality = codec.encode_to_bytes(photo, 2500)
    assert len(data) <= 2500 < len(codec.encode(photo, min(codec.highest, quality + 10)))
    smallest, quality = codec.encode_to_bytes(photo, 10)
    assert quality == codec.lowest and smallest == codec.encode(photo, codec.lowest) and len(smallest) > 10


def test_settings_are_those_that_the_files_were_made_with(codec, photo):
    settings = codec.settings()
    assert any(c.isdigit() for c in settings["encoder"]), "the encoder's version"
    codec.encode(photo, codec.qualities[0])
    assert json.loads(json.dumps(codec.settings())) == settings  # plug-ins of Pillow add to what they are given


def test_hevc_and_avif_run_as_their_libraries_choose_and_say_so(photo):
    """The stated tuning is the default one: without it the files are the same, with another one they are not."""
    if reason := rivals.HEVC.missing() or rivals.AVIF.missing():
        pytest.skip(reason)
    saved = lambda format, **arguments: images.to_image(photo).save(buffer := io.BytesIO(), format, **arguments) or buffer.getvalue()
    assert rivals.HEVC.settings()["enc_params"] == {"preset": "slow", "tune": "ssim"}
    assert rivals.HEVC.encode(photo, 24) == saved("HEIF", quality=24, chroma=420)
    assert rivals.HEVC.encode(photo, 24) != saved("HEIF", quality=24, chroma=420, enc_params={"tune": "psnr"})
    avif = {"quality": 24, "speed": 4, "max_threads": 1}
    assert rivals.AVIF.encode(photo, 24) == saved("AVIF", **avif, advanced={"tune": "iq"})
    assert rivals.AVIF.encode(photo, 24) != saved("AVIF", **avif, advanced={"tune": "psnr"})


def test_container_bytes(photo, tiny):
    """What is around the picture does not grow with the file, and can be told from the picture."""
    around = {}
    for codec in (rivals.JPEG, rivals.WEBP, rivals.AVIF, rivals.HEVC, rivals.JPEG_2000):
        if codec.missing() is None:
            files = [codec.encode(photo, quality) for quality in codec.qualities]
            found = {codec.container_bytes(data) for data in files}
            assert len(found) == 1, codec.name
            around[codec.name] = found.pop()
    assert around["JPEG"] == 18 and around["WebP"] == 20 and around["JPEG 2000"] == 0
    assert all(200 < around[name] < 400 for name in ("AVIF", "HEVC") if name in around)
    noted = io.BytesIO()
    images.to_image(photo).save(noted, "JPEG", quality=30, optimize=True, subsampling="4:2:0", comment=b"x" * 100)
    assert containers.jpeg(noted.getvalue()) == 18 + 104
    ours = codecs.ours(tiny)
    assert ours.container_bytes(ours.encode(photo, 0.0)) < 40


def test_ours_is_a_codec_like_the_others(tiny, photo):
    ours = codecs.ours(tiny)
    assert ours.qualities == tuple(i / 4 for i in range(9)) and ours.settings() == {"model": tiny.hash}
    data = ours.encode(photo, 1.5)
    assert data == our_codec.encode(tiny, photo, 1.5)
    assert torch.equal(ours.decode(data), images.to_tensor(images.to_image(our_codec.decode(tiny, data))))
    again = codecs.analysed(tiny, our_codec.analyse(tiny, photo))
    assert again.encode(photo, 1.5) == data


def test_compressai_s_models_are_codecs_like_the_others(photo):
    rival = zoo.CODECS["bmshj2018-hyperprior"]
    data = rival.encode(photo[:, :100, :75], zoo.QUALITY)
    decoded = rival.decode(data)
    assert isinstance(data, bytes) and decoded.shape == (3, 100, 75) and torch.equal(images.eight_bit(decoded), decoded)


def test_what_a_plug_in_cannot_take_is_our_error(monkeypatch, photo):
    def fails(*arguments, **named):
        raise OverflowError("too much")

    monkeypatch.setattr(Image.Image, "save", fails)
    with pytest.raises(CodecFailed, match="JPEG: too much"):
        rivals.JPEG.encode(photo, 30)


def test_vvc_goes_through_its_programs(photo, programs, monkeypatch):
    codec = CODECS["VVC (vvenc)"]
    assert codec.missing() is None and codec.settings()["encoder"] == "vvencapp: 1.12.0" and codec.settings()["preset"] == "medium"
    for height, width in ((128, 192), (127, 192), (128, 191), (127, 191)):
        x = photo[:, :height, :width]
        data = codec.encode(x, 30)
        decoded = codec.decode(data)
        assert decoded.shape == x.shape and metrics.psnr(x, decoded) > 33
    (programs / "vvencapp").write_text("#!/bin/sh\necho no licence >&2\nexit 3\n")
    with pytest.raises(CodecFailed, match="vvencapp failed: no licence"):
        codec.encode(photo, 30)
    monkeypatch.setenv("PATH", "/nowhere")
    assert "vvencapp and vvdecapp not found" in codec.missing()
    with pytest.raises(CodecMissing, match="install vvenc"):
        codec.encode(photo, 30)


def test_films_of_ten_bits(photo):
    film = vvc.to_y4m(images.to_image(photo))
    header, frame = film.split(b"FRAME\n", 1)
    wide = b"".join((4 * sample).to_bytes(2, "little") for sample in frame)
    ten = header.replace(b"C420jpeg", b"C420p10") + b"FRAME\n" + wide
    assert vvc.from_y4m(ten).tobytes() == vvc.from_y4m(film).tobytes()


def test_eight_bit_is_what_a_file_on_disk_holds():
    x = datasets.sample("chelsea")[:, :50, :60] * 1.3 - 0.1
    assert torch.equal(images.eight_bit(x), images.to_tensor(np.asarray(images.to_image(x))))
