"""Figures of a model over a folder of pictures, from real files."""

import math
import platform
import time
from pathlib import Path

import torch
from tqdm.auto import tqdm

from plic_lib import bitstream, codec, datasets, images, metrics, roi
from plic_lib.checkpoint import TrainedModel
from plic_lib.errors import LevelError
from plic_lib.grid import CELL, ceil_div

QUALITY = ("psnr", "ms_ssim", "lpips", "lpips_squeeze", "lpips_vgg", "dists")  #: what ``metrics.quality`` measures


def evaluate_picture(model: TrainedModel, path: Path, level: float) -> dict:
    """Encode one picture to bytes, decode the bytes, measure.

    Metrics are of the decoded 8-bit picture, as ``metrics.quality`` gives them.
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
        **metrics.quality(image, decoded),
        "encode_seconds": encoded - start,
        "decode_seconds": end - encoded,
    }


def evaluate_folder(model: TrainedModel, folder: str | Path, levels: list[float]) -> list[dict]:
    """``evaluate_picture`` for all pictures below a folder, at each level."""
    tasks = [(level, path) for level in levels for path in datasets.find(folder)]
    return [evaluate_picture(model, path, level) for level, path in tqdm(tasks, desc="pictures", delay=2)]


def central_third(image: torch.Tensor) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of the middle third of a picture in both directions, on the grid of 16 pixels."""
    height, width = (side // CELL for side in image.shape[1:])
    left, top, right, bottom = width // 3, height // 3, ceil_div(2 * width, 3), ceil_div(2 * height, 3)
    return left * CELL, top * CELL, right * CELL, bottom * CELL


def evaluate_region(model: TrainedModel, path: Path, region: float, background: float) -> dict:
    """One picture whose central third has another level, beside three uniform files.

    The uniform files are at the background's level (what did the region cost and gain?), at
    the region's (what did lowering the rest save?), and at equal bytes.

    Returns:
        ``files``: for "region", "uniform_background", "uniform_region" and "uniform_equal" the
        bytes, the level, PSNR and LPIPS inside and outside. LPIPS inside is of the cut-out;
        outside, of the picture with the original pasted into the region, over the outside's share.
    """
    image = images.read(path)
    height, width = image.shape[1:]
    left, top, right, bottom = central_third(image)
    mask = roi.box(image, left, top, right, bottom)
    share = 1 - float(mask.float().mean())
    analysis = codec.analyse(model, image)
    data = codec.encode_latents(model, analysis, background, roi.level_map(mask, region, background))
    equal, equal_level = codec.encode_to_bpp(model, analysis, metrics.bpp(len(data), height, width), tolerance=0.003)
    files = {
        "region": (data, background),
        "uniform_background": (codec.encode_latents(model, analysis, background), background),
        "uniform_region": (codec.encode_latents(model, analysis, region), region),
        "uniform_equal": (equal, equal_level),
    }
    row = {"picture": path.name, "width": width, "height": height, "box": [left, top, right, bottom]}
    row["map_bytes"] = len(data) - bitstream.HEADER_BYTES - len(bitstream.File.unpack(data).stream)
    row["files"] = {}
    for name, (data, level) in files.items():
        decoded = images.to_tensor(images.to_image(codec.decode(model, data)))
        cut = lambda x: x[:, top:bottom, left:right]  # noqa: E731
        outside = metrics.lpips_or_none(image, torch.where(mask, image, decoded))
        row["files"][name] = {
            "bytes": len(data),
            "level": level,
            "psnr_inside": metrics.psnr(image[:, mask], decoded[:, mask]),
            "psnr_outside": metrics.psnr(image[:, ~mask], decoded[:, ~mask]),
            "lpips_inside": metrics.lpips_or_none(cut(image), cut(decoded)),
            "lpips_outside": None if outside is None else outside / share,
        }
    return row


def region_summary(rows: list[dict]) -> dict:
    """Totals of bytes and means of the metrics over the pictures, for each of the four files."""
    total = {}
    for name in rows[0]["files"]:
        files = [row["files"][name] for row in rows]
        total[name] = {"bytes": sum(f["bytes"] for f in files)}
        for metric in ("psnr_inside", "psnr_outside", "lpips_inside", "lpips_outside"):
            values = [f[metric] for f in files if f[metric] is not None]
            total[name][metric] = sum(values) / len(values) if values else None
    return {"pictures": len(rows), "map_bytes": sum(row["map_bytes"] for row in rows), "files": total}


def level_for_bpp(model: TrainedModel, folder: str | Path, bpp: float, tolerance: float = 0.005) -> float:
    """The level at which the files of a whole folder add up to ``bpp``, by bisection.

    Returns the nearest end of the range where that does not reach ``bpp``. Raises LevelError for a target that is no number above 0.
    """
    if not 0 < bpp < math.inf:
        raise LevelError(f"the target is a number of bits per pixel above 0, not {bpp:g}")
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
    """Totals of one level: bpp over all pixels, means of the metrics over the pictures.

    ``psnr_pooled`` and ``ms_ssim_pooled`` are over all pixels of the set, as the script of the CLIC challenge has
    them (the paper's Table 1): PSNR from the summed squared error, MS-SSIM weighted by the pixels.
    """
    pixels = sum(row["width"] * row["height"] for row in rows)
    total = {"pictures": len(rows), "level": rows[0]["level"], "bytes": sum(row["bytes"] for row in rows)}
    total["bpp"] = 8 * total["bytes"] / pixels
    estimate = sum(row["estimated_bpp"] * row["width"] * row["height"] for row in rows)
    total["estimated_bpp"] = estimate / pixels
    total["mean_bpp"] = sum(row["bpp"] for row in rows) / len(rows)
    for name in QUALITY:
        values = [row[name] for row in rows if row.get(name) is not None]
        total[name] = sum(values) / len(values) if values else None
    sizes = [row["width"] * row["height"] for row in rows]
    total["psnr_pooled"] = pooled_psnr([row["psnr"] for row in rows], sizes)
    total["ms_ssim_pooled"] = sum(size * row["ms_ssim"] for size, row in zip(sizes, rows)) / pixels
    # what a file costs beyond the float estimate: header and flush on each, the rest relative
    total["overhead"] = 8 * total["bytes"] / estimate - 1
    total["overhead_without_40_bytes_each"] = 8 * (total["bytes"] - 40 * len(rows)) / estimate - 1
    return total


def pooled_psnr(psnr: list[float], pixels: list[int]) -> float:
    """PSNR of the squared error summed over a whole set, from that of each picture; below their mean."""
    error = sum(size * 10 ** (-value / 10) for value, size in zip(psnr, pixels)) / sum(pixels)
    return -10 * math.log10(error) if error else math.inf


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
