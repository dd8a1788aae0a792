"""What another level in a region of the picture costs and gains (paper, Figure 4)."""

from collections.abc import Iterator

import torch
from tqdm.auto import tqdm

from plic_lib import bitstream, codec, images, metrics, roi
from plic_lib.checkpoint import TrainedModel
from plic_lib.grid import CELL, ceil_div
from plic_lib.study.codecs import analysed
from plic_lib.study.measure import Measurement, mean, measure
from plic_lib.study.pictures import Pictures, named

METRICS = ("psnr_inside", "psnr_outside", "lpips_inside", "lpips_outside")


def central_third(image: torch.Tensor) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of the middle third of a picture in both directions, on the grid of 16 pixels."""
    height, width = image.shape[1:]
    rows, columns = max(1, height // CELL), max(1, width // CELL)
    right, bottom = CELL * ceil_div(2 * columns, 3), CELL * ceil_div(2 * rows, 3)
    return CELL * (columns // 3), CELL * (rows // 3), min(right, width), min(bottom, height)


def evaluate(model: TrainedModel, pictures: Pictures, region: float, background: float) -> Iterator[dict]:
    """``evaluate_picture`` for a whole set: one row a picture, each as soon as it is measured."""
    for path, row in tqdm(list(zip(pictures.paths, pictures.rows())), desc="pictures", delay=2):
        with named(path):
            yield row | evaluate_picture(model, images.read(path), region, background)


def evaluate_picture(model: TrainedModel, image: torch.Tensor, region: float, background: float) -> dict:
    """One picture whose central third has another level, beside three uniform files.

    The uniform files are at the background's level (what did the region cost and gain?), at
    the region's (what did lowering the rest save?), and at equal bytes.

    Returns:
        ``box``, ``map_bytes`` and ``files``: for "region", "uniform_background", "uniform_region" and
        "uniform_equal" the bytes, the level, PSNR and LPIPS inside and outside. LPIPS inside is of the cut-out;
        outside, of the picture with the original pasted into the region, over the outside's share.
        None where a part is empty or too small for a metric.
    """
    box = central_third(image)
    mask = roi.box(image, *box)
    analysis = codec.analyse(model, image)
    level_map = roi.level_map(mask, region, background)
    uniform = analysed(model, analysis)
    chosen = measure(analysed(model, analysis, level_map), image, background)
    _, equal = codec.encode_to_bpp(model, analysis, chosen.bpp, tolerance=0.003)
    levels = {"uniform_background": background, "uniform_region": region, "uniform_equal": equal}
    measured = {"region": chosen} | {name: measure(uniform, image, level) for name, level in levels.items()}
    return {
        "box": list(box),
        "map_bytes": bitstream.File.unpack(chosen.data).level_map_bytes,
        "files": {name: _row(found, mask, box) for name, found in measured.items()},
    }


def _row(measured: Measurement, mask: torch.Tensor, box: tuple[int, int, int, int]) -> dict:
    """Figures inside and outside of a region."""
    x, x_hat = measured.picture, measured.decoded
    left, top, right, bottom = box
    cut = lambda picture: picture[:, top:bottom, left:right]
    outside = metrics.lpips_or_none(x, torch.where(mask, x, x_hat))
    share = 1 - float(mask.float().mean())
    return {
        "bytes": len(measured.data),
        "level": measured.quality,
        "psnr_inside": metrics.finite(metrics.psnr(cut(x), cut(x_hat))),
        "psnr_outside": metrics.finite(metrics.psnr(x[:, ~mask], x_hat[:, ~mask])),
        "lpips_inside": metrics.lpips_or_none(cut(x), cut(x_hat)),
        "lpips_outside": None if outside is None or not share else outside / share,
    }


def summary(rows: list[dict]) -> dict:
    """Totals of bytes and means of the metrics over the pictures, for each of the four files."""
    total = {}
    for name in rows[0]["files"]:
        files = [row["files"][name] for row in rows]
        total[name] = {"bytes": sum(file["bytes"] for file in files)} | {metric: mean(file[metric] for file in files) for metric in METRICS}
    return {"pictures": len(rows), "map_bytes": sum(row["map_bytes"] for row in rows), "files": total}
