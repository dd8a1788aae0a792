"""Seconds, megapixels a second and memory of our codec beside other codecs, over picture sizes.

Classic codecs are set to about 0.3 bits a pixel. CompressAI's models have random weights:
that hardly changes their speed, but their bits a pixel mean nothing.
"""

import os
import resource
import statistics
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from tqdm.auto import tqdm

from plic_lib import checkpoint
from plic_lib.checkpoint import TrainedModel
from plic_lib.study import record, rivals
from plic_lib.study.bench import zoo
from plic_lib.study.bench.inputs import picture, shape
from plic_lib.study.bench.process import NotMeasured, in_fresh_process, peak_megabytes
from plic_lib.study.codecs import Codec, ours
from plic_lib.study.measure import measure

OURS = "plic"
NAMES = (OURS, *rivals.CODECS, *zoo.CODECS)
SIZES = (0.25, 1.0, 2.0, 4.0, 12.0)  #: megapixels
SERIAL_LIMIT = 2.0  #: megapixels; CompressAI's serial models are not timed above
REPEAT_LIMIT = 2.0  #: megapixels; above, one run has to do
TARGET_BPP = 0.3  #: bits a pixel, for the classic codecs


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
    sizes, load = sorted(set(sizes)), os.getloadavg()[0]
    measured, reasons = _take_turns(model, names, sizes, runs)
    rows = [_row(size, name, measured.get((size, name), []), reasons.get((size, name))) for size in sizes for name in names]
    _compare_with_ours(rows)
    others = [codec for name, codec in {**rivals.CODECS, **zoo.CODECS}.items() if name in names and not codec.missing()]
    return {
        **record.provenance(model),
        "threads": 1,
        "pinned_to_one_core": hasattr(os, "sched_setaffinity"),
        "load_at_start": load,
        "target_bpp": TARGET_BPP,
        "compressai_quality": zoo.QUALITY,
        "settings": {codec.name: codec.settings() for codec in others},
        "rows": rows,
        "growth": [growth for name in names if (growth := _growth([row for row in rows if row["codec"] == name]))],
    }


Turn = tuple[float, str]  #: megapixels, and a codec's name


def _take_turns(model: TrainedModel, names: list[str], sizes: list[float], runs: int) -> tuple[dict[Turn, list[dict]], dict[Turn, str]]:
    """The figures of every run, and the reasons why there are none."""
    measured: dict[Turn, list[dict]] = {}
    reasons: dict[Turn, str] = {}
    qualities: dict[Turn, float] = {}
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
                if chosen not in qualities:
                    qualities[chosen] = _quality(model, name, chosen[0])
                measured.setdefault(turn, []).append(in_fresh_process(_measure, name, size, qualities[chosen], path))
            except NotMeasured as error:
                reasons[turn] = str(error)
    return measured, reasons


def _check(name: str, megapixels: float) -> None:
    if name in rivals.CODECS and (reason := rivals.CODECS[name].missing()):
        raise NotMeasured(reason)
    if name in zoo.SERIAL and megapixels > SERIAL_LIMIT:
        raise NotMeasured(f"decodes position by position: not timed above {SERIAL_LIMIT:g} megapixels")


def _quality(model: TrainedModel, name: str, megapixels: float) -> float:
    """The quality to time a codec at: our middle level, CompressAI's ``zoo.QUALITY``, a classic codec's for ``TARGET_BPP``."""
    if name == OURS:
        return (model.levels - 1) / 2
    return zoo.QUALITY if name in zoo.CODECS else in_fresh_process(_choose_quality, name, megapixels)


def _choose_quality(name: str, megapixels: float) -> int:
    height, width = shape(megapixels)
    return rivals.CODECS[name].encode_to_bytes(picture(height, width), int(TARGET_BPP * height * width / 8))[1]


def _measure(name: str, megapixels: float, quality: float, model: Path) -> dict:
    """One run: seconds of encoding and of decoding, bits a pixel, megabytes."""
    idle = peak_megabytes()
    codec = _codec(name, model)
    measure(codec, picture(128, 192), quality)
    measured = measure(codec, picture(*shape(megapixels)), quality)
    peak = max(peak_megabytes(), peak_megabytes(resource.RUSAGE_CHILDREN))
    return {
        "bpp": measured.bpp,
        "encode_seconds": measured.encode_seconds,
        "decode_seconds": measured.decode_seconds,
        "peak_megabytes": peak,
        "megabytes_above_idle": peak - idle,
    }


def _codec(name: str, path: Path) -> Codec:
    """A codec by its name here; ours with the model at ``path``."""
    if name == OURS:
        return replace(ours(checkpoint.load(path)), name=OURS)
    return zoo.CODECS[name] if name in zoo.CODECS else rivals.CODECS[name]


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
