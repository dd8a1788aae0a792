"""The README's first picture: a photograph, HEVC and ours, at equal bytes: ``python -m plic_lib.study.cover``."""

from PIL import Image, ImageDraw, ImageFont

from plic_lib import checkpoint, codec, datasets, files, images, metrics
from plic_lib.checkpoint import TrainedModel
from plic_lib.study import rivals
from plic_lib.study.codecs import ours
from plic_lib.study.compare import FOLDER
from plic_lib.study.measure import Measurement, measure

PHOTOGRAPH, BPP = "chelsea", 0.15
#: left, top, right and bottom of what is shown of it, pixel for pixel
PIECE = (60, 10, 360, 290)
GAP, STRIP = 12, 30  #: pixels between the pictures, and above them for their names


def at_equal_bytes(model: TrainedModel, bpp: float = BPP) -> dict[str, Measurement]:
    """HEVC's largest file of at most that rate, and ours of as many bytes as it has without its container."""
    x = datasets.sample(PHOTOGRAPH)
    pixels = x[0].numel()
    hevc = measure(rivals.HEVC, x, rivals.HEVC.encode_to_bytes(x, int(bpp * pixels / 8))[1])
    level = codec.encode_to_bpp(model, x, 8 * _picture_bytes(hevc) / pixels, tolerance=0.005)[1]
    return {"HEVC": hevc, "plic": measure(ours(model), x, level)}


def _picture_bytes(found: Measurement) -> int:
    return len(found.data) - found.container_bytes


def draw(found: dict[str, Measurement]) -> Image.Image:
    """The original and each decoded picture side by side, under their names and bytes."""
    left, top, right, bottom = PIECE
    panels = {"original": next(iter(found.values())).picture}
    panels |= {f"{name}, {_bytes(name, measured):,} bytes": measured.decoded for name, measured in found.items()}
    width, height = right - left, bottom - top
    sheet = Image.new("RGB", (len(panels) * (width + GAP) - GAP, height + STRIP), "white")
    for number, (title, picture) in enumerate(panels.items()):
        x = number * (width + GAP)
        ImageDraw.Draw(sheet).text((x + width // 2, STRIP // 2), title, "black", ImageFont.load_default(17), anchor="mm")
        sheet.paste(images.to_image(picture[:, top:bottom, left:right]), (x, STRIP))
    return sheet


def _bytes(name: str, measured: Measurement) -> int:
    return _picture_bytes(measured) if name == "HEVC" else len(measured.data)


def write(model: TrainedModel) -> None:
    """The picture and its figures, to ``data/results``."""
    found = at_equal_bytes(model)
    with files.whole(FOLDER / "cover.jpg") as file:
        draw(found).save(file, "JPEG", quality=95, subsampling="4:4:4")
    figures = {
        name: {
            "bytes": _bytes(name, measured),
            "container_bytes": measured.container_bytes,
            "quality": measured.quality,
            "psnr": metrics.psnr(measured.picture, measured.decoded),
            "lpips": metrics.lpips_or_none(measured.picture, measured.decoded),
        }
        for name, measured in found.items()
    }
    about = {"command": "python -m plic_lib.study.cover", "model": model.name, "hash": model.hash, "photograph": PHOTOGRAPH}
    files.write_json(FOLDER / "cover.json", {**about, "pixels": list(found["plic"].picture.shape[1:]), "codecs": figures})


if __name__ == "__main__":
    write(checkpoint.load("mini"))
