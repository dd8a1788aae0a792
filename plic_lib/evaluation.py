"""Figures of a model over a folder of pictures, from real files."""

import json
import os
import platform
import time
from pathlib import Path

import torch
from tqdm.auto import tqdm

from plic_lib import codec, datasets, images, metrics
from plic_lib.checkpoint import TrainedModel

COLUMNS = ("bytes", "bpp", "estimated_bpp", "psnr", "ms_ssim", "lpips")


def evaluate_picture(model: TrainedModel, path: Path, level: float) -> dict:
    """Encode one picture to bytes, decode the bytes, measure.

    Metrics are of the decoded 8-bit picture. ``lpips`` is None where its weights are missing.
    """
    image = images.read(path)
    height, width = image.shape[1:]
    start = time.perf_counter()
    analysis = codec.analyse(model, image)
    data = codec.encode_latents(model, analysis, level)
    encoded = time.perf_counter()
    decoded = codec.decode(model, data)
    end = time.perf_counter()
    decoded = images.to_tensor(images.to_image(decoded))
    return {
        "picture": path.name,
        "width": width,
        "height": height,
        "level": level,
        "bytes": len(data),
        "bpp": metrics.bpp(len(data), height, width),
        "estimated_bpp": codec.estimated_bits(model, analysis, level) / (height * width),
        "psnr": metrics.psnr(image, decoded),
        "ms_ssim": metrics.ms_ssim(image, decoded),
        "lpips": metrics.lpips_or_none(image, decoded),
        "encode_seconds": encoded - start,
        "decode_seconds": end - encoded,
    }


def evaluate_folder(model: TrainedModel, folder: str | Path, levels: list[float]) -> list[dict]:
    """``evaluate_picture`` for all pictures below a folder, at each level."""
    tasks = [(level, path) for level in levels for path in datasets.find(folder)]
    return [evaluate_picture(model, path, level) for level, path in tqdm(tasks, desc="pictures", delay=2)]


def level_for_bpp(model: TrainedModel, folder: str | Path, bpp: float, tolerance: float = 0.005) -> float:
    """The level at which the files of a whole folder add up to ``bpp``, by bisection.

    Returns the nearest end of the range where that does not reach ``bpp``.
    """
    analyses = [codec.analyse(model, images.read(path)) for path in tqdm(datasets.find(folder), desc="encoder", delay=2)]
    pixels = sum(a.height * a.width for a in analyses)

    def reached(level: float) -> float:
        return sum(8 * len(codec.encode_latents(model, a, level)) for a in tqdm(analyses, desc=f"level {level:.3f}", delay=2)) / pixels

    low, high = 0.0, float(model.levels - 1)
    if reached(low) >= bpp:
        return low
    if reached(high) <= bpp:
        return high
    while high - low > 1 / 1024:
        level = (low + high) / 2
        value = reached(level)
        if abs(value / bpp - 1) <= tolerance:
            return level
        low, high = (level, high) if value < bpp else (low, level)
    return low


def summary(rows: list[dict]) -> dict:
    """Totals of one level: bpp over all pixels, means of the metrics over the pictures."""
    pixels = sum(row["width"] * row["height"] for row in rows)
    total = {"pictures": len(rows), "level": rows[0]["level"], "bytes": sum(row["bytes"] for row in rows)}
    total["bpp"] = 8 * total["bytes"] / pixels
    estimate = sum(row["estimated_bpp"] * row["width"] * row["height"] for row in rows)
    total["estimated_bpp"] = estimate / pixels
    total["mean_bpp"] = sum(row["bpp"] for row in rows) / len(rows)
    for name in ("psnr", "ms_ssim", "lpips"):
        values = [row[name] for row in rows if row[name] is not None]
        total[name] = sum(values) / len(values) if values else None
    # what a file costs beyond the float estimate: header and flush on each, the rest relative
    total["overhead"] = 8 * total["bytes"] / estimate - 1
    total["overhead_without_40_bytes_each"] = 8 * (total["bytes"] - 40 * len(rows)) / estimate - 1
    return total


def provenance(model: TrainedModel) -> dict:
    """What a recorded figure depends on."""
    import compressai

    return {
        "model": model.name,
        "hash": model.hash,
        "about": model.about,
        "torch": torch.__version__,
        "compressai": compressai.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
    }


def write_json(path: str | Path, content: dict) -> None:
    """Write whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(content, indent=1) + "\n")
    os.replace(part, path)
