"""VVC through Fraunhofer's programs ``vvencapp`` and ``vvdecapp``, where they are installed.

They take films in YCbCr with halved chroma, whose sides are even. The file is the
program's own stream, after one byte where a side of the picture is odd: which.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from plic_lib import images
from plic_lib.errors import CodecFailed, CodecMissing

ENCODER, DECODER = "vvencapp", "vvdecapp"
SETTINGS = {"preset": "medium", "chroma": "4:2:0", "frames": 1}
HIGHEST = 63  #: the quality is this less the quantisation parameter


def missing() -> str | None:
    """Which of the programs are not here, or None."""
    absent = [program for program in (ENCODER, DECODER) if shutil.which(program) is None]
    return f"{' and '.join(absent)} not found: install vvenc and vvdec" if absent else None


def settings() -> dict:
    """The encoder's version and what it runs with."""
    return {"encoder": _run(ENCODER, "--version").strip().partition("\n")[0], **SETTINGS}


def encode(picture: Tensor, quality: int) -> bytes:
    """One intra frame. Raises CodecMissing, or CodecFailed with the last line of what the program said."""
    height, width = picture.shape[1:]
    with tempfile.TemporaryDirectory() as folder:
        film, stream = Path(folder) / "in.y4m", Path(folder) / "out.266"
        film.write_bytes(to_y4m(images.to_image(picture)))
        options = ("--preset", SETTINGS["preset"], "--frames", str(SETTINGS["frames"]), "--qp", str(HIGHEST - quality))
        _run(ENCODER, "--input", str(film), *options, "--output", str(stream))
        odd = height % 2 + 2 * (width % 2)
        return bytes([odd] * (odd > 0)) + stream.read_bytes()


def decode(data: bytes) -> Tensor:
    """The picture of ``encode``, (3, H, W) in [0, 1]. Raises as ``encode``."""
    odd, data = (data[0], data[1:]) if data[:1] in (b"\1", b"\2", b"\3") else (0, data)  # a stream starts with a zero
    with tempfile.TemporaryDirectory() as folder:
        stream, film = Path(folder) / "in.266", Path(folder) / "out.y4m"
        stream.write_bytes(data)
        _run(DECODER, "--bitstream", str(stream), "--output", str(film))
        picture = images.to_tensor(from_y4m(film.read_bytes()))
    return images.crop(picture, picture.shape[1] - odd % 2, picture.shape[2] - odd // 2)


def _run(*command: str) -> str:
    """What a program prints. Raises CodecMissing, CodecFailed."""
    if shutil.which(command[0]) is None:
        raise CodecMissing(f"VVC: {missing()}")
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise CodecFailed(f"{command[0]} failed: {said[-1] if said else f'exit status {done.returncode}'}")
    return done.stdout


def to_y4m(picture: Image.Image) -> bytes:
    """An uncompressed 4:2:0 film of one frame; odd sides get their last row or column twice."""
    pixels = np.asarray(picture.convert("YCbCr"))
    pixels = np.pad(pixels, [(0, side % 2) for side in pixels.shape[:2]] + [(0, 0)], mode="edge")
    height, width, _ = pixels.shape
    chroma = pixels[..., 1:].reshape(height // 2, 2, width // 2, 2, 2).mean(axis=(1, 3)).round().astype(np.uint8)
    planes = [pixels[..., 0], chroma[..., 0], chroma[..., 1]]
    return f"YUV4MPEG2 W{width} H{height} F1:1 Ip C420jpeg\nFRAME\n".encode() + b"".join(p.tobytes() for p in planes)


def from_y4m(film: bytes) -> Image.Image:
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
