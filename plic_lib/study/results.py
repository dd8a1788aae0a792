"""Rate and quality of every codec over a folder of pictures, from real files.

A *point* is one codec at one quality over all pictures. Each point is a JSON file of its
own until all are there: a run that is stopped goes on, and the processes that
``accelerate launch`` starts share the points.
"""

import hashlib
import importlib.metadata
import json
import time
from datetime import timedelta
from pathlib import Path

from accelerate import Accelerator, InitProcessGroupKwargs
from PIL import features
from tqdm.auto import tqdm

from plic_lib import codec, datasets, files, images, metrics
from plic_lib.checkpoint import TrainedModel
from plic_lib.study import evaluation, rivals
from plic_lib.study.evaluation import QUALITY
from plic_lib.study.rivals import Codec

TARGETS = (0.075, 0.15, 0.3)  #: bits per pixel over the whole set, as in the challenge (paper, Table 1)


def learned(model: TrainedModel, step: float = 0.25) -> Codec:
    """One of our models as a ``Codec``: its quality is the level."""
    highest = model.levels - 1
    points = tuple(i * step for i in range(round(highest / step) + 1))
    encode = lambda x, level: codec.encode(model, x, level)  # noqa: E731
    return Codec(model.name, 0, highest, points, encode, lambda data: codec.decode(model, data))


def measure(which: Codec, quality: float, paths: list[Path]) -> dict:
    """One point: lists over the pictures of bytes, seconds and every metric, and KID and FID of the set."""
    columns = {name: [] for name in ("bytes", "encode_seconds", "decode_seconds", *QUALITY)}
    whole = metrics.SetQuality()
    for path in tqdm(paths, desc=f"{which.name} {quality:g}", leave=False):
        x = images.read(path)
        start = time.perf_counter()
        data = which.encode(x, quality)
        middle = time.perf_counter()
        decoded = which.decode(data)
        end = time.perf_counter()
        x_hat = images.to_tensor(images.to_image(decoded[:, : x.shape[1], : x.shape[2]]))
        whole.add(x, x_hat)
        row = {"bytes": len(data), "encode_seconds": round(middle - start, 4), "decode_seconds": round(end - middle, 4)}
        row |= {name: value if value is None else float(f"{value:.6g}") for name, value in metrics.quality(x, x_hat).items()}
        for name, value in row.items():
            columns[name].append(value)
    columns = {name: None if values[0] is None else values for name, values in columns.items()}  # weights that are not here
    return {"quality": quality, **whole.figures(), **columns}


def run(folder: str | Path, models: list[TrainedModel], work: str | Path, names: list[str] | None = None) -> dict | None:
    """Measure everything that is not measured yet, and gather it.

    Args:
        folder: pictures, searched recursively.
        models: ours; measured at every quarter of a level, and at the levels that meet ``TARGETS`` over the whole set.
        work: folder for the points.
        names: some of ``rivals.CODECS``; all without it.

    Returns:
        ``pictures``, ``codecs`` (their points, fewest bits first), ``targets`` (our models at the three
        rates), ``missing`` (codecs and metrics that cannot run here, with the reason); None in processes other than the first.
    """
    processes = Accelerator(kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(days=1))])
    paths, work = datasets.find(folder), Path(work)
    work.mkdir(parents=True, exist_ok=True)
    wanted = [rivals.CODECS[name] for name in (rivals.CODECS if names is None else names)]
    missing = {c.name: c.missing() for c in wanted if c.missing()}
    # of several pictures with one name, and of changed ones, the sizes tell
    content = hashlib.sha256(json.dumps([(path.name, path.stat().st_size) for path in paths]).encode()).hexdigest()
    tasks = [(c, None, quality, None) for c in wanted if c.name not in missing for quality in c.points]
    for model in models:
        tasks += [(learned(model), model, quality, None) for quality in learned(model).points]
        tasks += [(learned(model), model, None, target) for target in TARGETS]
    mine = tasks[processes.process_index :: processes.num_processes]
    for which, model, quality, target in tqdm(mine, desc="points", disable=not processes.is_main_process):
        path, key = _path(work, which, quality, target), {"pictures": content, "model": model and model.hash}
        if _read(path, key) is not None:
            continue
        if quality is None:
            quality = evaluation.level_for_bpp(model, folder, target)
        files.write_json(path, {"key": key, "point": measure(which, quality, paths)})
    processes.wait_for_everyone()
    if not processes.is_main_process:
        return None
    sizes = [images.read(path).shape[1:] for path in tqdm(paths, desc="sizes", delay=2)]
    pictures = [{"picture": path.name, "width": width, "height": height} for path, (height, width) in zip(paths, sizes)]
    result = {"pictures": pictures, "codecs": {}, "targets": {}, "missing": missing}
    result["missing"] |= {
        metric: "weights not here, see plic doctor" for net, metric in metrics.NEEDED_FOR.items() if metrics.weights_fault(net)
    }
    for which, model, quality, target in tasks:
        point = _read(_path(work, which, quality, target), {"pictures": content, "model": model and model.hash})
        if target is None:
            found = result["codecs"].setdefault(which.name, {"hash": model and model.hash, "points": []})
            found["points"].append(point)
        else:
            result["targets"].setdefault(which.name, []).append({"target": target, **_table_row(point, pictures)})
    return result


def _path(work: Path, which: Codec, quality: float | None, target: float | None) -> Path:
    return work / f"{which.name.replace(' ', '')}-{f'{target:g}bpp' if quality is None else f'{quality:g}'}.json"


def _read(path: Path, key: dict) -> dict | None:
    """A point that was measured on these pictures with this model, or None."""
    if not path.exists():
        return None
    content = json.loads(path.read_text())
    return content["point"] if content["key"] == key else None


def _table_row(point: dict, pictures: list[dict]) -> dict:
    """One line of Table 1: over all pixels as the challenge's script counts, and as means over the pictures."""
    pixels = [p["width"] * p["height"] for p in pictures]
    mean = lambda name: None if point[name] is None else sum(point[name]) / len(pictures)  # noqa: E731
    return {
        "level": point["quality"],
        "bpp": 8 * sum(point["bytes"]) / sum(pixels),
        "psnr_pooled": evaluation.pooled_psnr(point["psnr"], pixels),
        "ms_ssim_pooled": sum(n * v for n, v in zip(pixels, point["ms_ssim"])) / sum(pixels),
        **{name: mean(name) for name in QUALITY},
        **{name: point[name] for name in ("patches", "kid_alexnet", "kid", "fid")},
    }


def versions() -> dict:
    """What the figures depend on."""
    found = {name: features.version(name) for name in ("libjpeg_turbo", "jpg_2000", "webp", "avif")}
    found |= {package: importlib.metadata.version(package) for package in ("pillow", "torch", "torchmetrics", "lpips", "pytorch-msssim")}
    if rivals.CODECS["HEVC"].missing() is None:
        import pillow_heif

        found["heif"] = pillow_heif.libheif_info()["HEIF"]
    return found
