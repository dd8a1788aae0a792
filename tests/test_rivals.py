"""Every rival writes real files, more bytes for more quality, and gives the picture back."""

import sys

import pytest

from plic_lib import metrics
from plic_lib.study import rivals
from plic_lib.study.rivals import CODECS


@pytest.fixture(params=sorted(CODECS))
def codec(request):
    codec = CODECS[request.param]
    if reason := codec.missing():
        pytest.skip(reason)
    return codec


def test_more_quality_costs_more_bytes_and_is_nearer(codec, photo):
    files = [codec.encode(photo, quality) for quality in codec.points]
    assert [len(data) for data in files] == sorted(len(data) for data in files)
    decoded = [codec.decode(data) for data in files]
    assert all(x.shape == photo.shape for x in decoded)
    assert metrics.psnr(photo, decoded[-1]) > max(24, metrics.psnr(photo, decoded[0]) + 3)


def test_files_of_at_most_some_bytes(codec, photo):
    data, quality = rivals.encode_to_bytes(codec, photo, 2500)
    assert len(data) <= 2500 < len(codec.encode(photo, min(codec.highest, quality + 10)))
    smallest, quality = rivals.encode_to_bytes(codec, photo, 10)
    assert quality == codec.lowest and smallest == codec.encode(photo, codec.lowest) and len(smallest) > 10


def test_vvc_goes_through_its_programs(photo, tmp_path, monkeypatch):
    """Stand-ins for the two programs copy the film: what is left is our own colour conversion."""
    for program, taken in (("vvencapp", "--input"), ("vvdecapp", "--bitstream")):
        script = (
            f"#!{sys.executable}\nimport shutil, sys\na = sys.argv\nshutil.copy(a[a.index({taken!r}) + 1], a[a.index('--output') + 1])\n"
        )
        (tmp_path / program).write_text(script)
        (tmp_path / program).chmod(0o755)
    vvc = CODECS["VVC"]
    monkeypatch.setenv("PATH", "/nowhere")
    assert "vvencapp and vvdecapp not found" in vvc.missing()
    with pytest.raises(rivals.CodecMissing, match="install vvenc"):
        vvc.encode(photo, 30)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert vvc.missing() is None
    odd = photo[:, :127, :191]
    decoded = vvc.decode(vvc.encode(odd, 30))
    assert decoded.shape == (3, 128, 192)  # sides of 4:2:0 are even; who decodes cuts the rest
    assert metrics.psnr(odd, decoded[:, :127, :191]) > 33
    (tmp_path / "vvencapp").write_text("#!/bin/sh\necho no licence >&2\nexit 3\n")
    with pytest.raises(RuntimeError, match="vvencapp failed: no licence"):
        vvc.encode(odd, 30)


def test_films_of_ten_bits(photo):
    from plic_lib import images

    film = rivals._to_y4m(images.to_image(photo))
    header, frame = film.split(b"FRAME\n", 1)
    wide = b"".join((4 * sample).to_bytes(2, "little") for sample in frame)
    ten = header.replace(b"C420jpeg", b"C420p10") + b"FRAME\n" + wide
    assert rivals._from_y4m(ten).tobytes() == rivals._from_y4m(film).tobytes()
