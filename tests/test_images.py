import io
import os
import struct
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from plic_lib import images
from plic_lib.errors import ImageError

RNG = np.random.default_rng(0)
RGB = Image.fromarray(RNG.integers(0, 256, (40, 60, 3), dtype=np.uint8))


def saved(image, path, **options):
    image.save(path, **options)
    return path


MODES = {
    "grey.png": RGB.convert("L"),
    "bits.png": RGB.convert("1"),
    "palette.png": RGB.quantize(32),
    "alpha.png": RGB.convert("RGBA"),
    "grey_alpha.png": RGB.convert("LA"),
    "cmyk.jpg": RGB.convert("CMYK"),
    "cmyk.tif": RGB.convert("CMYK"),
    "lab.tif": RGB.convert("LAB"),
    "ycc.jpg": RGB.convert("YCbCr"),
    "float.tif": RGB.convert("F"),
    "int.tif": Image.fromarray(np.array(RGB.convert("L")).astype(np.int32) * 257),
    "frames.gif": RGB.convert("P"),
    "photo.webp": RGB,
    "photo.bmp": RGB,
    "photo.avif": RGB,
    "photo.ppm": RGB,
    "photo.jp2": RGB,
    "photo.heic": RGB,
}


@pytest.mark.parametrize("name", MODES)
def test_every_mode_becomes_rgb(name, tmp_path):
    x = images.read(saved(MODES[name], tmp_path / name))
    assert x.shape == (3, 40, 60) and x.min() >= 0 and x.max() <= 1 and x.std() > 0.05


def test_16_bits_keep_their_scale(tmp_path):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    x = images.read(saved(Image.fromarray(ramp), tmp_path / "ramp.png"))
    torch.testing.assert_close(x[0], torch.from_numpy(ramp / 65535).float(), rtol=0, atol=1 / 255)


def test_transparency_lies_on_white(tmp_path):
    image = Image.new("RGBA", (8, 8), (200, 0, 0, 0))
    image.putpixel((0, 0), (200, 0, 0, 255))
    x = images.read(saved(image, tmp_path / "a.png"))
    assert torch.equal(x[:, 1, 1], torch.ones(3)) and float(x[1, 0, 0]) == 0
    palette = RGB.quantize(4)
    palette.info["transparency"] = 0
    x = images.read(saved(palette, tmp_path / "p.png", transparency=0))
    index = np.array(palette)
    assert torch.equal(x[:, torch.from_numpy(index == 0)], torch.ones(3, int((index == 0).sum())))


def test_exif_rotation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees
    x = images.read(saved(RGB, tmp_path / "r.png", exif=exif))
    assert x.shape == (3, 60, 40)
    assert torch.equal(x, torch.rot90(images.to_tensor(RGB), -1, (1, 2)))


def test_colour_profiles_are_converted(tmp_path):
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    same = images.read(saved(RGB, tmp_path / "s.png", icc_profile=lab))
    assert (same - images.to_tensor(RGB)).abs().max() <= 2 / 255
    broken = images.read(saved(RGB, tmp_path / "b.png", icc_profile=b"no profile"))
    assert torch.equal(broken, images.to_tensor(RGB))


def test_first_frame_of_many(tmp_path):
    path = tmp_path / "a.gif"
    Image.new("RGB", (8, 8), "red").save(path, save_all=True, append_images=[Image.new("RGB", (8, 8), "blue")])
    assert images.read(path)[0].min() == 1


def test_what_cannot_be_read_is_named(tmp_path):
    empty, text, cut = tmp_path / "empty.png", tmp_path / "text.png", tmp_path / "cut.png"
    empty.write_bytes(b"")
    text.write_text("not a picture")
    buffer = io.BytesIO()
    RGB.save(buffer, "PNG")
    cut.write_bytes(buffer.getvalue()[:2000])
    for path in (empty, text, cut, tmp_path / "none.png", tmp_path):
        with pytest.raises(ImageError, match=str(path)):
            images.read(path)


def test_a_damaged_picture_is_not_called_something_else(tmp_path):
    """Any chunk with a wrong checksum: the file has come to harm, and nothing tells where else."""
    path = with_chunk(saved(RGB, tmp_path / "a.png"), b"tEXt", b"Title\0a picture")
    data = bytearray(path.read_bytes())
    data[45] ^= 1  # within the text
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"a\.png: begins as PNG does, but is damaged"):
        images.read(path)


def test_no_other_program_is_started_to_read_a_picture(tmp_path, monkeypatch):
    """For a drawing in PostScript Pillow would call Ghostscript, whatever the file is called."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n")
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_, **__: pytest.fail("Ghostscript is called"))
    with pytest.raises(ImageError, match=r"photo\.jpg: is not a picture of a kind that can be read here"):
        images.read(path)


def tiff(bits: int, photometric: int, data: bytes) -> bytes:
    """A grey TIFF of 8 x 8 pixels, as a scanner writes it."""
    tags = {256: 8, 257: 8, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: 8, 279: len(data)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + entries + bytes(4)


def test_white_of_a_tiff_is_what_its_tags_say(tmp_path):
    path = tmp_path / "a.tif"
    for bits, photometric, data, grey in (
        (12, 1, b"\xff" * 96, 1.0),
        (12, 1, b"\x80\x08\x00" * 32, 0x800 / 0xFFF),
        (16, 1, b"\xff\xff" * 64, 1.0),
        (16, 0, b"\x00\x00" * 64, 1.0),
        (16, 0, b"\xff\xff" * 64, 0.0),
        (8, 0, b"\x00" * 64, 1.0),
    ):
        path.write_bytes(tiff(bits, photometric, data))
        assert abs(images.read(path) - grey).max() < 0.6 / 255, (bits, photometric, data[:2])


def test_pictures_beyond_the_limit_are_refused(tmp_path):
    path = saved(Image.new("1", (9000, 8000)), tmp_path / "big.png")
    with pytest.raises(ImageError, match="72 megapixels, the limit is 50"):
        images.read(path)


@pytest.mark.parametrize("height,width", [(1, 1), (1, 200), (64, 65), (128, 64)])
def test_pad_and_crop(height, width):
    x = torch.rand(1, 3, height, width)
    padded = images.pad(x)
    assert padded.shape[-2] % 64 == padded.shape[-1] % 64 == 0 and padded.shape[-2] - height < 64
    assert torch.equal(images.crop(padded, height, width), x)
    assert torch.equal(padded[..., -1, -1], x[..., -1, -1])


def test_tensor_and_image_are_inverse():
    assert torch.equal(images.to_tensor(images.to_image(images.to_tensor(RGB))), images.to_tensor(RGB))


# ---------------------------------------------------------------- what is said is what was done


def noted(image, path, **options):
    return images.read_with_notes(saved(image, path, **options))


def with_chunk(path: Path, name: bytes, content: bytes) -> Path:
    """The PNG with one more chunk before its pixels."""
    data = path.read_bytes()
    chunk = struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    path.write_bytes(data[:33] + chunk + data[33:])
    return path


def orientation(value) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def test_what_reading_changes_is_said(tmp_path, photo):
    assert noted(RGB, tmp_path / "plain.png")[1] == []
    assert noted(RGB.convert("RGBA"), tmp_path / "opaque.png")[1] == []
    transparent = RGB.copy()
    transparent.putalpha(RGB.convert("L"))
    assert noted(transparent, tmp_path / "a.png")[1] == ["transparency laid on white"]
    assert noted(MODES["cmyk.jpg"], tmp_path / "c.jpg")[1] == ["CMYK converted to sRGB"]
    sixteen = Image.fromarray(np.array(RGB.convert("L")).astype(np.uint16) * 257)
    assert noted(sixteen, tmp_path / "s.png")[1] == ["reduced to 8 bits"]
    frames = tmp_path / "f.gif"
    RGB.save(frames, save_all=True, append_images=[RGB.rotate(90)])
    assert "the first of 2 frames" in images.read_with_notes(frames)[1]


@pytest.mark.parametrize("value", range(10))
def test_pictures_are_turned_as_their_metadata_says_and_only_then_is_it_said(value, tmp_path):
    x, notes = noted(RGB, tmp_path / "r.png", exif=orientation(value))
    upright = images.to_tensor(RGB)
    mirrored = {2: (2,), 3: (1, 2), 4: (1,)}
    wanted = {5: upright.mT, 6: upright.mT.flip(2), 7: upright.mT.flip(1, 2), 8: upright.mT.flip(1)}.get(
        value, upright.flip(mirrored.get(value, ()))
    )
    assert torch.equal(x, wanted) and notes == ["turned upright"] * (2 <= value <= 8)


@pytest.mark.parametrize("kind", ["png", "webp", "jpeg"])
def test_a_picture_counts_though_its_metadata_cannot_be_read(kind, tmp_path):
    lossless = {"lossless": True} if kind == "webp" else {}
    x, notes = noted(RGB, tmp_path / f"a.{kind}", exif=b"Exif\0\0not a directory of tags", **lossless)
    assert notes == ["metadata that cannot be read ignored"] and x.shape == (3, 40, 60)
    assert kind == "jpeg" or torch.equal(x, images.to_tensor(RGB))


def test_a_colour_profile_is_applied_or_said_to_be_ignored(tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    ignored = ["a colour profile that does not fit ignored"]
    assert noted(RGB, tmp_path / "s.png", icc_profile=srgb)[1] == ["colours converted to sRGB"]
    assert noted(RGB, tmp_path / "b.png", icc_profile=b"no profile")[1] == ignored
    assert noted(RGB.convert("L"), tmp_path / "grey.png", icc_profile=srgb)[1] == ignored  # a profile of three channels
    x, notes = images.read_with_notes(with_chunk(saved(RGB, tmp_path / "chunk.png"), b"iCCP", b"name\0\0not compressed"))
    assert notes == ignored and torch.equal(x, images.to_tensor(RGB))


def test_a_transparent_grey_of_16_bits_lies_on_white(tmp_path):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    path = with_chunk(saved(Image.fromarray(ramp), tmp_path / "t.png"), b"tRNS", struct.pack(">H", int(ramp[3, 4])))
    x, notes = images.read_with_notes(path)
    assert notes == ["reduced to 8 bits", "transparency laid on white"] and x[0, 3, 4] == 1 and x[0, 3, 5] < 0.5


# ---------------------------------------------------------------- deep grey values

DEEP = {
    "int32 of 8 bits": (np.int32, 255, []),
    "int32 of 16 bits": (np.int32, 65535, []),
    "int32": (np.int32, 2**31 - 1, []),
    "int32 with outliers": (np.int32, 255, [2**30, -(2**31)]),
    "floats": (np.float32, 1, []),
    "floats with highlights": (np.float32, 1, [1.01, 40, 1000]),
    "floats of 8 bits": (np.float32, 255, []),
    "floats of 16 bits": (np.float32, 65535, [1e9]),
}


@pytest.mark.parametrize("name", DEEP)
def test_the_range_of_grey_values_is_found_whatever_single_ones_are(name, tmp_path, photo):
    kind, white, outliers = DEEP[name]
    grey = photo.mean(dim=0).double().numpy()
    values = (grey * white).astype(kind)
    values.flat[: len(outliers)] = outliers
    x, notes = noted(Image.fromarray(values), tmp_path / "deep.tif")
    assert abs(x[0] - torch.from_numpy(grey)).flatten()[len(outliers) :].max() <= 1.01 / 255
    assert notes == [f"reduced to 8 bits, its grey values taken to be 0 … {white}"]


def test_unsigned_integers_of_32_bits_are_not_read_as_negative(tmp_path):
    values = np.linspace(0, 2**32 - 1, 256).astype(np.uint32).reshape(16, 16)
    path = saved(Image.fromarray(values.view(np.int32)), tmp_path / "u.tif")
    data = path.read_bytes()
    signed, unsigned = (struct.pack("<HHII", 339, 3, 1, kind) for kind in (2, 1))
    assert data.count(signed) == 1
    path.write_bytes(data.replace(signed, unsigned))
    torch.testing.assert_close(images.read(path)[0], torch.linspace(0, 1, 256).reshape(16, 16), rtol=0, atol=0.6 / 255)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_grey_values_that_are_no_numbers_are_refused(value, tmp_path):
    values = np.array(RGB.convert("L"), np.float32) / 255
    values[3, 4] = value
    with pytest.raises(ImageError, match=r"n\.tif: .*1 of its grey values are no finite numbers"):
        images.read(saved(Image.fromarray(values), tmp_path / "n.tif"))


def test_floats_of_a_portable_map_are_floats(tmp_path, photo):
    """Pillow calls the format PPM, whose whole numbers it brings to 16 bits; floats it leaves."""
    grey = photo.mean(dim=0).numpy()
    (tmp_path / "a.pfm").write_bytes(b"Pf\n192 128\n-1.0\n" + grey[::-1].astype("<f4").tobytes())
    x, notes = images.read_with_notes(tmp_path / "a.pfm")
    assert abs(x[0].numpy() - grey).max() <= 0.501 / 255 and notes == ["reduced to 8 bits, its grey values taken to be 0 … 1"]


# ---------------------------------------------------------------- files that are not files


def test_a_fifo_and_standard_input_are_read(tmp_path, monkeypatch):
    data = saved(RGB, tmp_path / "a.png").read_bytes()
    os.mkfifo(tmp_path / "fifo")
    writer = threading.Thread(target=lambda: (tmp_path / "fifo").write_bytes(data))
    writer.start()
    assert torch.equal(images.read(tmp_path / "fifo"), images.to_tensor(RGB))
    writer.join()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert torch.equal(images.read("-"), images.to_tensor(RGB))


def test_pictures_are_written_in_the_format_of_their_ending():
    x = images.to_tensor(RGB)
    for path in ("a.png", "a.TIF", "a.webp", "-", "/dev/stdout"):
        data, exact = images.to_bytes(x, images.format_of(path))
        assert exact and torch.equal(images.to_tensor(Image.open(io.BytesIO(data)).convert("RGB")), x)
    for path in ("a.docx", "a.pdf"):  # what cannot be read again cannot be looked at either
        with pytest.raises(ImageError, match=f"{path}: cannot write pictures of the kind {path[1:]}; use .png"):
            images.format_of(path)
    with pytest.raises(ImageError, match="a picture of 20000 x 1 cannot be written as WEBP"):
        images.to_bytes(torch.zeros(3, 1, 20000), "WEBP")


@pytest.mark.parametrize("ending,deviation", [("jpg", 2), ("avif", 3), ("heic", 3), ("gif", 20)])
def test_a_format_that_loses_something_loses_little_and_says_so(ending, deviation, photo):
    data, exact = images.to_bytes(photo, images.format_of(f"a.{ending}"))
    again = images.to_tensor(Image.open(io.BytesIO(data)).convert("RGB"))
    assert not exact and 0 < 255 * (again - photo).abs().mean() < deviation


def test_a_format_that_gives_back_another_picture_is_refused(photo):
    with pytest.raises(ImageError, match="a picture of 192 x 128 cannot be written as ICO .it would have"):
        images.to_bytes(photo, "ICO")
