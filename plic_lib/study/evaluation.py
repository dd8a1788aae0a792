"""Figures of a model over a set of pictures, from real files."""

import math
from collections.abc import Iterable, Iterator

from tqdm.auto import tqdm

from plic_lib import codec, images
from plic_lib.checkpoint import TrainedModel
from plic_lib.errors import LevelError
from plic_lib.grid import LEVEL_STEPS
from plic_lib.study.codecs import ours
from plic_lib.study.measure import METRICS, mean, measure
from plic_lib.study.pictures import Pictures, named


def evaluate(model: TrainedModel, pictures: Pictures, levels: Iterable[float]) -> Iterator[dict]:
    """One row for each picture and level, each as soon as it is measured, so that what is done can be kept.

    Row: the picture's name and size, the level, the figures of ``Measurement.row``, and ``estimated_bpp``,
    what the float networks expect the latents to cost (``codec.estimated_bits``).
    """
    codec_, levels = ours(model), list(dict.fromkeys(levels))
    for path, row in tqdm(list(zip(pictures.paths, pictures.rows())), desc="pictures", delay=2):
        with named(path):
            picture = images.read(path)
            analysis = codec.analyse(model, picture)
            for level in levels:
                estimate = codec.estimated_bits(model, analysis, level) / (row["height"] * row["width"])
                yield row | {"level": level, **measure(codec_, picture, level).row(), "estimated_bpp": estimate}


def summary(rows: Iterable[dict]) -> dict:
    """Totals of one level: bpp over all pixels, means of the metrics over the pictures that have them.

    ``psnr_pooled`` and ``ms_ssim_pooled`` are over all pixels of the set, as the script of the CLIC challenge has
    them (the paper's Table 1): PSNR from the summed squared error, MS-SSIM weighted by the pixels.
    """
    rows = list(rows)
    pixels = [row["width"] * row["height"] for row in rows]
    total = {"pictures": len(rows), "level": rows[0]["level"], "bytes": sum(row["bytes"] for row in rows)}
    estimate = sum(row["estimated_bpp"] * size for row, size in zip(rows, pixels))
    total |= {"bpp": 8 * total["bytes"] / sum(pixels), "estimated_bpp": estimate / sum(pixels), "mean_bpp": mean(r["bpp"] for r in rows)}
    columns = {name: [row.get(name) for row in rows] for name in METRICS}
    total |= {name: mean(column) for name, column in columns.items()} | pooled(columns, pixels)
    # what a file costs beyond the float estimate: header and flush on each, the rest relative
    total["overhead"] = 8 * total["bytes"] / estimate - 1
    total["overhead_without_40_bytes_each"] = 8 * (total["bytes"] - 40 * len(rows)) / estimate - 1
    return total


def pooled(columns: dict[str, list[float | None]], pixels: list[int]) -> dict:
    """PSNR and MS-SSIM over all pixels of the pictures that have them; a picture without PSNR has no error."""
    has = [(value, size) for value, size in zip(columns["ms_ssim"], pixels) if value is not None]
    weight = sum(size for _, size in has)
    return {
        "psnr_pooled": pooled_psnr([math.inf if value is None else value for value in columns["psnr"]], pixels),
        "ms_ssim_pooled": sum(size * value for value, size in has) / weight if weight else None,
    }


def pooled_psnr(psnr: list[float], pixels: list[int]) -> float:
    """PSNR of the squared error summed over a whole set, from that of each picture; below their mean."""
    error = sum(size * 10 ** (-value / 10) for value, size in zip(psnr, pixels)) / sum(pixels)
    return -10 * math.log10(error) if error else math.inf


def level_for_bpp(model: TrainedModel, pictures: Pictures, bpp: float, tolerance: float = 0.005) -> float:
    """The level at which the files of a whole set add up to ``bpp``, by bisection.

    Returns the nearest end of the range where that does not reach ``bpp``. Raises LevelError for a rate that is no positive number.
    """
    if not 0 < bpp < math.inf:
        raise LevelError(f"bits per pixel are a number above 0, not {bpp:g}")
    analyses = [codec.analyse(model, images.read(path)) for path in tqdm(pictures.paths, desc="encoder", delay=2)]

    def reached(level: float) -> float:
        files = (codec.encode_latents(model, a, level) for a in tqdm(analyses, desc=f"level {level:.3f}", delay=2))
        return 8 * sum(len(data) for data in files) / sum(pictures.pixels)

    low, high = 0.0, float(model.levels - 1)
    if reached(low) >= bpp:
        return low
    if reached(high) <= bpp:
        return high
    while high - low > 1 / LEVEL_STEPS:
        level = (low + high) / 2
        value = reached(level)
        if abs(value / bpp - 1) <= tolerance:
            return level
        low, high = (level, high) if value < bpp else (low, level)
    return low
