"""Other codecs behind one interface: a picture to the bytes of a real file and back.

JPEG, JPEG 2000, WebP and AVIF through Pillow, HEVC through pillow-heif, VVC through
Fraunhofer's programs ``vvencapp`` and ``vvdecapp`` where they are installed.
"""

import functools
import io
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, features
from torch import Tensor

from plic_lib import images
from plic_lib.errors import CodecFailed, CodecMissing


@dataclass(frozen=True)
class Codec:
    """A picture (3, H, W) in [0, 1] to bytes and back, at a quality: more of it, more bytes."""

    name: str
    lowest: int
    highest: int
    points: tuple[float, ...]  #: the qualities that a rate-distortion curve is drawn through, about 0.05 to 0.6 bpp
    encode: Callable[[Tensor, float], bytes]
    decode: Callable[[bytes], Tensor]
    missing: Callable[[], str | None] = lambda: None  #: why it cannot run here, or None


def _pillow(name: str, lowest: int, highest: int, points: tuple[int, ...], format: str, arguments: Callable[[int], dict], feature: str):
    """A codec that Pillow, or a plug-in of it, writes and reads as ``format``."""

    def missing() -> str | None:
        if feature == "heif":
            return None if _heif() else "pillow-heif is not installed: pip install pillow-heif"
        return None if features.check(feature) else f"this Pillow was built without {feature}"

    def encode(image: Tensor, quality: int) -> bytes:
        if reason := missing():
            raise CodecMissing(f"{name}: {reason}")
        buffer = io.BytesIO()
        images.to_image(image).save(buffer, format, **arguments(quality))
        return buffer.getvalue()

    def decode(data: bytes) -> Tensor:
        if reason := missing():
            raise CodecMissing(f"{name}: {reason}")
        with Image.open(io.BytesIO(data)) as image:
            return images.to_tensor(image.convert("RGB"))

    return Codec(name, lowest, highest, points, encode, decode, missing)


@functools.cache
def _heif() -> bool:
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def _run(*command: str) -> None:
    if shutil.which(command[0]) is None:
        raise CodecMissing(f"VVC: {_vvc_missing()}")
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise CodecFailed(f"{command[0]} failed: {said[-1] if said else f'exit status {done.returncode}'}")


def _vvc_encode(image: Tensor, quality: int) -> bytes:
    """One intra frame, 4:2:0, vvenc's preset "medium"; the quality is 63 - QP."""
    with tempfile.TemporaryDirectory() as folder:
        film, stream = Path(folder) / "in.y4m", Path(folder) / "out.266"
        film.write_bytes(_to_y4m(images.to_image(image)))
        _run("vvencapp", "--input", str(film), "--preset", "medium", "--qp", str(63 - quality), "--frames", "1", "--output", str(stream))
        return stream.read_bytes()


def _vvc_decode(data: bytes) -> Tensor:
    with tempfile.TemporaryDirectory() as folder:
        stream, film = Path(folder) / "in.266", Path(folder) / "out.y4m"
        stream.write_bytes(data)
        _run("vvdecapp", "--bitstream", str(stream), "--output", str(film))
        return images.to_tensor(_from_y4m(film.read_bytes()))


def _to_y4m(picture: Image.Image) -> bytes:
    """An uncompressed 4:2:0 film of one frame; odd sides get their last row or column twice."""
    pixels = np.asarray(picture.convert("YCbCr"))
    pixels = np.pad(pixels, [(0, side % 2) for side in pixels.shape[:2]] + [(0, 0)], mode="edge")
    height, width, _ = pixels.shape
    chroma = pixels[..., 1:].reshape(height // 2, 2, width // 2, 2, 2).mean(axis=(1, 3)).round().astype(np.uint8)
    planes = [pixels[..., 0], chroma[..., 0], chroma[..., 1]]
    return f"YUV4MPEG2 W{width} H{height} F1:1 Ip C420jpeg\nFRAME\n".encode() + b"".join(p.tobytes() for p in planes)


def _from_y4m(film: bytes) -> Image.Image:
    """The first frame of an uncompressed 4:2:0 film of 8 or more bits."""
    header, _, rest = film.partition(b"\n")
    fields = {field[:1]: field[1:] for field in header.decode().split(" ")[1:]}
    width, height = int(fields["W"]), int(fields["H"])
    depth = fields["C"].removeprefix("420p")  # "420p10"; with 8 bits the name goes on otherwise, as in "420jpeg"
    bits = int(depth) if depth.isdigit() else 8
    samples = np.frombuffer(rest.partition(b"\n")[2], "u1" if bits == 8 else "<u2") / 2 ** (bits - 8)
    luma, chroma = width * height, width * height // 4
    planes = [samples[:luma].reshape(height, width)]
    for i in range(2):
        plane = samples[luma + i * chroma : luma + (i + 1) * chroma].reshape(height // 2, width // 2)
        planes.append(np.asarray(Image.fromarray(plane.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)))
    pixels = np.stack(planes, -1).round().clip(0, 255).astype(np.uint8)
    return Image.fromarray(pixels, "YCbCr").convert("RGB")


def _vvc_missing() -> str | None:
    absent = [program for program in ("vvencapp", "vvdecapp") if shutil.which(program) is None]
    return f"{' and '.join(absent)} not found: install vvenc and vvdec" if absent else None


CODECS = {
    codec.name: codec
    for codec in (
        _pillow("JPEG", 1, 100, (2, 5, 8, 12, 16, 22, 30), "JPEG", lambda q: {"quality": q, "optimize": True}, "jpg"),
        # the quality is the rate in hundredths of a bit per pixel, which JPEG 2000 meets by itself
        _pillow(
            "JPEG 2000",
            1,
            800,
            (5, 8, 12, 16, 24, 36, 60),
            "JPEG2000",
            lambda q: {"quality_mode": "rates", "quality_layers": [2400 / q], "irreversible": True, "no_jp2": True},
            "jpg_2000",
        ),
        _pillow("WebP", 0, 100, (0, 2, 5, 10, 15, 25, 40), "WEBP", lambda q: {"quality": q, "method": 6}, "webp"),
        _pillow("AVIF", 0, 100, (0, 6, 12, 20, 28, 38, 48), "AVIF", lambda q: {"quality": q, "speed": 4}, "avif"),
        _pillow("HEVC", 0, 100, (4, 8, 13, 18, 24, 31, 38), "HEIF", lambda q: {"quality": q, "chroma": 420}, "heif"),
        Codec("VVC", 0, 63, (16, 19, 21, 23, 26, 29, 31), _vvc_encode, _vvc_decode, _vvc_missing),
    )
}


def encode_to_bytes(codec: Codec, image: Tensor, n_bytes: int) -> tuple[bytes, int]:
    """The largest file of at most ``n_bytes``, by bisection over the quality.

    Returns the file and its quality. Where even the lowest quality is larger, that file;
    the caller sees it from the size.
    """
    low, high = codec.lowest, codec.highest
    best = codec.encode(image, low)
    while low < high:
        quality = (low + high + 1) // 2
        data = codec.encode(image, quality)
        if len(data) <= n_bytes:
            low, best = quality, data
        else:
            high = quality - 1
    return best, low
