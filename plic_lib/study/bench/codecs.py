"""Seconds, megapixels a second and memory of our codec beside other codecs, over picture sizes.

Classic codecs are set to about 0.3 bits a pixel. CompressAI's models have random weights:
that hardly changes their speed, but their bits a pixel mean nothing.
"""

import os
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from compressai import zoo
from torch import Tensor
from tqdm.auto import tqdm

from plic_lib import checkpoint, codec, images, metrics
from plic_lib.checkpoint import TrainedModel
from plic_lib.grid import CELL
from plic_lib.study import evaluation, results, rivals
from plic_lib.study.bench import compressai as bench
from plic_lib.study.bench.process import NotMeasured, in_fresh_process

OURS = "plic"
COMPRESSAI = {
    "bmshj2018-hyperprior": zoo.bmshj2018_hyperprior,
    "mbt2018-mean": zoo.mbt2018_mean,
    "mbt2018": zoo.mbt2018,
    "cheng2020-attn": zoo.cheng2020_attn,
}
NAMES = (OURS, *rivals.CODECS, *COMPRESSAI)
SERIAL = ("mbt2018", "cheng2020-attn")  #: decode one latent position after the other
SIZES = (0.25, 1.0, 2.0, 4.0, 12.0)  #: megapixels
SERIAL_LIMIT = 2.0  #: megapixels; the serial ones are not timed above
REPEAT_LIMIT = 2.0  #: megapixels; above, one run has to do
QUALITY = 3  #: CompressAI's setting, 1 to 8; it decides the widths
TARGET_BPP = 0.3  #: bits a pixel, for the classic codecs

# What encoding and decoding are here: a picture to (what decoding takes, bytes), and back.
Encode = Callable[[Tensor], tuple[Any, int]]
Decode = Callable[[Any], Tensor]


def shape(megapixels: float) -> tuple[int, int]:
    """(height, width) in pixels of about that many megapixels: 3:2, sides in whole cells of 16."""
    return tuple(CELL * max(1, round((megapixels * 1e6 * ratio) ** 0.5 / CELL)) for ratio in (2 / 3, 3 / 2))


def run(model: TrainedModel, codecs: Iterable[str] = NAMES, sizes: Iterable[float] = SIZES, runs: int = 5) -> dict:
    """Time and memory of our codec at its middle level and of others, one core each.

    Every run of every codec has a fresh process of its own, which warms up on a small
    picture first. Up to 2 megapixels the codecs take turns, ``runs`` times; above, each
    has one run. The classic codecs' qualities are chosen outside the timing, on the
    picture cut to at most a megapixel.

    Args:
        codecs: some of ``NAMES``; ours is always among them.
        sizes: megapixels.
        runs: how many, at small sizes.

    Returns:
        ``rows``, one for each size and codec, and ``growth``. A row has either a ``reason`` in
        words why there are no figures, or the medians: seconds, megapixels a second, how
        many times the seconds of ours (``_ratio``), ``bpp``, and ``peak_megabytes`` (10^6 bytes)
        of the whole process with Python, PyTorch and the picture (of the libraries' code, what
        it touched); ``megabytes_above_idle`` is what it has beyond a process that has done
        nothing. VVC is a program of its own: there the larger of it and its caller counts.
    """
    names = [name for name in NAMES if name == OURS or name in codecs]
    sizes = sorted(set(sizes))
    load = os.getloadavg()[0]
    measured: dict[tuple[float, str], list[dict]] = {}
    reasons: dict[tuple[float, str], str] = {}
    qualities: dict[tuple[float, str], int] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        checkpoint.save(model, path)
        turns = [(size, name) for size in sizes for _ in range(runs if size <= REPEAT_LIMIT else 1) for name in names]
        for turn in (progress := tqdm(turns, desc="codecs")):
            size, name = turn
            progress.set_postfix_str(f"{name}, {size:g} megapixels")
            if turn in reasons:
                continue
            try:
                _check(name, size)
                chosen = (min(size, 1.0), name)
                if name in rivals.CODECS and chosen not in qualities:
                    qualities[chosen] = in_fresh_process(_choose_quality, name, chosen[0])
                measured.setdefault(turn, []).append(in_fresh_process(_measure, name, size, qualities.get(chosen), path))
            except NotMeasured as error:
                reasons[turn] = str(error)
    rows = [_row(size, name, measured.get((size, name), []), reasons.get((size, name))) for size in sizes for name in names]
    _compare_with_ours(rows)
    return {
        **evaluation.provenance(model),
        "threads": 1,
        "pinned_to_one_core": hasattr(os, "sched_setaffinity"),
        "versions": results.versions(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "load_at_start": load,
        "target_bpp": TARGET_BPP,
        "compressai_quality": QUALITY,
        "rows": rows,
        "growth": [growth for name in names if (growth := _growth([row for row in rows if row["codec"] == name]))],
    }


def _check(name: str, megapixels: float) -> None:
    if name in rivals.CODECS and (reason := rivals.CODECS[name].missing()):
        raise NotMeasured(reason)
    if name in SERIAL and megapixels > SERIAL_LIMIT:
        raise NotMeasured(f"decodes position by position: not timed above {SERIAL_LIMIT:g} megapixels")


def _choose_quality(name: str, megapixels: float) -> int:
    height, width = shape(megapixels)
    return rivals.encode_to_bytes(rivals.CODECS[name], bench.picture(height, width), int(TARGET_BPP * height * width / 8))[1]


def _measure(name: str, megapixels: float, quality: int | None, model: Path) -> dict:
    """One run: seconds of encoding and of decoding, bits a pixel, megabytes."""
    idle = bench.peak_megabytes()
    encode, decode = _coder(name, quality, model)
    decode(encode(bench.picture(128, 192))[0])
    height, width = shape(megapixels)
    x = bench.picture(height, width)
    start = time.perf_counter()
    packed, n_bytes = encode(x)
    encoded = time.perf_counter()
    decoded = decode(packed)
    end = time.perf_counter()
    if decoded.shape != x.shape:
        raise RuntimeError(f"gave back {tuple(decoded.shape)} for {tuple(x.shape)}")
    peak = max(bench.peak_megabytes(), bench.peak_megabytes(resource.RUSAGE_CHILDREN))
    return {
        "bpp": metrics.bpp(n_bytes, height, width),
        "encode_seconds": encoded - start,
        "decode_seconds": end - encoded,
        "peak_megabytes": peak,
        "megabytes_above_idle": peak - idle,
    }


def _coder(name: str, quality: int | None, path: Path) -> tuple[Encode, Decode]:
    if name in COMPRESSAI:
        return _compressai(name)
    if name == OURS:
        model = checkpoint.load(path)
        encode, decode = lambda x: codec.encode(model, x, (model.levels - 1) / 2), lambda data: codec.decode(model, data)
    else:
        rival = rivals.CODECS[name]
        encode, decode = lambda x: rival.encode(x, quality), rival.decode
    return lambda x: (data := encode(x), len(data)), decode


def _compressai(name: str) -> tuple[Encode, Decode]:
    torch.manual_seed(0)
    networks = COMPRESSAI[name](quality=QUALITY, pretrained=False).eval()
    networks.update(force=True)

    def encode(x: Tensor):
        packed = networks.compress(images.pad(x[None]))
        return (packed, x.shape[1:]), sum(len(strings[0]) for strings in packed["strings"])

    def decode(data) -> Tensor:
        packed, (height, width) = data
        return images.crop(networks.decompress(**packed)["x_hat"], height, width)[0]

    return encode, decode


def _row(megapixels: float, name: str, runs: list[dict], reason: str | None) -> dict:
    height, width = shape(megapixels)
    row = {"codec": name, "megapixels": height * width / 1e6, "pixels": [width, height]}
    if reason:
        return {**row, "reason": reason}
    row |= {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    for what in ("encode", "decode"):
        row[f"{what}_megapixels_per_second"] = row["megapixels"] / row[f"{what}_seconds"]
    return {**row, "runs": runs}


def _compare_with_ours(rows: list[dict]) -> None:
    ours = {row["megapixels"]: row for row in rows if row["codec"] == OURS and "reason" not in row}
    for row in rows:
        if "reason" not in row and row["megapixels"] in ours:
            for what in ("encode", "decode"):
                row[f"{what}_ratio"] = row[f"{what}_seconds"] / ours[row["megapixels"]][f"{what}_seconds"]


def _growth(rows: list[dict]) -> dict | None:
    """Seconds a megapixel at a codec's smallest and largest size, and what a further megapixel takes of memory."""
    rows = [row for row in rows if "reason" not in row]
    if len(rows) < 2:
        return None
    ends = rows[0], rows[-1]
    growth = {"codec": rows[0]["codec"], "megapixels": [row["megapixels"] for row in ends]}
    for what in ("encode", "decode"):
        growth[f"{what}_seconds_per_megapixel"] = [row[f"{what}_seconds"] / row["megapixels"] for row in ends]
    more = ends[1]["peak_megabytes"] - ends[0]["peak_megabytes"]
    return {**growth, "megabytes_per_megapixel": more / (ends[1]["megapixels"] - ends[0]["megapixels"])}


def _cpu() -> str:
    if (path := Path("/proc/cpuinfo")).exists():
        for line in path.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
