import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from plic_lib import images

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
        with pytest.raises(images.ImageError, match=str(path)):
            images.read(path)


def test_pictures_beyond_the_limit_are_refused(tmp_path):
    path = saved(Image.new("1", (9000, 8000)), tmp_path / "big.png")
    with pytest.raises(images.ImageError, match="72 megapixels, the limit is 50"):
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


def test_what_reading_changes_is_said(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    assert images.notes(saved(RGB, tmp_path / "plain.png")) == []
    assert images.notes(saved(MODES["alpha.png"], tmp_path / "a.png")) == ["transparency laid on white"]
    assert images.notes(saved(RGB, tmp_path / "r.png", exif=exif)) == ["turned upright"]
    assert images.notes(saved(MODES["cmyk.jpg"], tmp_path / "c.jpg")) == ["colours converted to sRGB"]
    assert images.notes(saved(MODES["int.tif"], tmp_path / "i.tif")) == ["reduced to 8 bits"]
    frames = tmp_path / "f.gif"
    RGB.save(frames, save_all=True, append_images=[RGB.rotate(90)])
    assert "the first of 2 frames" in images.notes(frames)
