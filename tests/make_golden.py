"""How the golden files were made: ``python -m tests.make_golden FOLDER``.

Never run by a test and never run again for format 1: the files in ``plic_lib/golden`` are
what every later version has to decode. The model is a small one after a short training,
so that its latents are those of a codec, and its files are of all kinds that the format has.
"""

import hashlib
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
import torch

from plic_lib import bitstream, checkpoint, codec, coding, datasets, files, images, reference_decoder, roi
from plic_lib.checkpoint import TrainedModel
from plic_lib.level_map import LevelMap
from plic_lib.model import Widths
from plic_lib.training import states
from plic_lib.training.codec_task import CodecTask
from plic_lib.training.recipe import Recipe
from plic_lib.training.trainer import Trainer

RECIPE = Recipe(
    widths=Widths(N=8, M=12),
    steps=2000,
    batch=8,
    crop=64,
    learning_rate=1e-3,
    decay=((400, 0.5), (1250, 0.25)),
    alphas=(1.6, 0.6, 0.2),
    lpips=0.0,
    ramp=1000,
)


def train(folder: Path) -> TrainedModel:
    """A model of a few minutes."""
    pictures = folder / "pictures"
    pictures.mkdir()
    for name in datasets.SAMPLES:
        images.to_image(datasets.sample(name)).save(pictures / f"{name}.png")
    Trainer(CodecTask(RECIPE), [str(pictures)], folder / "run").run()
    return states.freeze_state(folder / "run" / "state.pt", "golden")


def ellipse(height: int, width: int) -> np.ndarray:
    """Labels of a region that is no box, with another inside; on level 0.8 they pass both ends of the range."""
    y, x = np.mgrid[:height, :width]
    distance = ((y - height / 2) / height) ** 2 + ((x - width / 2) / width) ** 2
    return np.where(distance < 0.03, -7, np.where(distance < 0.16, 10, 0))


def as_int16(y: torch.Tensor) -> bytes:
    """64 * y_hat as the check and the hashes read it."""
    return y.round().to(torch.int16).contiguous().numpy().astype("<i2").tobytes()


def extremes(model: TrainedModel) -> bytes:
    """A file of latents that no picture has: far beyond all tables, up to where they are clamped."""
    generator = torch.Generator().manual_seed(0)
    widths = model.networks.widths
    y_bar = torch.randn(widths.M, 4, 8, generator=generator) * torch.logspace(-1, 3.5, widths.M)[:, None, None]
    z = torch.randn(widths.N, 1, 2, generator=generator) * torch.logspace(0, 3.5, widths.N)[:, None, None]
    stream, y = coding.encode(model.integers, model.frozen.tables, y_bar, z)
    return bitstream.File(bytes.fromhex(model.hash)[:4], 128, 64, 0, zlib.crc32(as_int16(y)) & 0xFFFF, stream).pack()


def encode_all(model: TrainedModel) -> dict[str, tuple[str, bytes]]:
    """Name -> (what it shows, the file)."""
    photo = datasets.sample("astronaut")[:, 32:160, 144:336]  # 128 x 192: a face
    wide = datasets.sample("astronaut")[:, :256, :384]
    boxes = roi.cells(roi.box(wide, 30, 10, 90, 60)) * 9 + roi.cells(roi.box(wide, 140, 100, 225, 200)) * -2
    return {
        "plain": ("128 x 192 pixels in the middle of the range", codec.encode(model, photo, 1.0)),
        "lowest": ("the lower end of the range of levels", codec.encode(model, photo, 0.0)),
        "highest": ("the upper end", codec.encode(model, photo, float(model.levels - 1))),
        "boxes": ("a level map of two boxes, with a soft edge", codec.encode(model, wide, 0.6, LevelMap(boxes, 2))),
        "cells": ("a level map cell by cell, with a wide soft edge", codec.encode(model, photo, 0.8, LevelMap(ellipse(8, 12), 5))),
        "pixel": ("one pixel", codec.encode(model, photo[:, :1, :1], 0.5)),
        "odd": ("67 x 101 pixels, and a level between two steps of 1/8", codec.encode(model, photo[:, :67, :101], 1.237)),
        "extremes": ("escapes and clamps", extremes(model)),
    }


def main(out: Path) -> None:
    out.mkdir()
    with tempfile.TemporaryDirectory() as folder:
        model = train(Path(folder))
    checkpoint.save(model, out / "golden.safetensors")
    model = checkpoint.load(out / "golden.safetensors")
    reference = reference_decoder.read_model(out / "golden.safetensors")
    rows = {}
    for name, (shows, data) in encode_all(model).items():
        files.write(out / f"{name}.plic", data)
        _, y_hat = codec.decode_latents(model, data)
        levels = reference_decoder.decode(reference, data).levels
        rows[name] = {
            "shows": shows,
            "bytes": len(data),
            "latents": y_hat.numel(),
            "latents_sha256": hashlib.sha256(as_int16(64 * y_hat[0])).hexdigest(),
            "levels_sha256": hashlib.sha256((levels * 1024).astype("<i2").tobytes()).hexdigest(),
        }
    files.write_json(out / "golden.json", {"model": model.hash, "files": rows})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
