"""Speed of coding beside CompressAI's serial context model of the same width, in one run.

CompressAI's networks have random weights: their speed does not depend on them, and the
time of its coder hardly does. One thread, interleaved runs, medians.
"""

import statistics
import time
import warnings

import torch
from compressai.models import JointAutoregressiveHierarchicalPriors
from tqdm.auto import tqdm

from plic_lib import codec, metrics
from plic_lib.checkpoint import TrainedModel
from plic_lib.grid import CELL
from plic_lib.study.bench.inputs import load, picture
from plic_lib.study.bench.process import peak_megabytes
from plic_lib.study.codecs import ours
from plic_lib.study.measure import measure


def _timed(function, *arguments):
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


@torch.no_grad()
def beside_compressai(model: TrainedModel, height: int = 512, width: int = 768, runs: int = 5) -> dict:
    """Seconds of both codecs, and their ratios, for one picture.

    ``latents`` is hyper-decoder, context, gather and coder; ``decode`` adds the generator.
    """
    torch.manual_seed(0)
    widths = model.networks.widths
    rival = JointAutoregressiveHierarchicalPriors(widths.N, widths.M).eval()
    x = picture(height, width)
    level = (model.levels - 1) / 2
    seconds: dict[str, list[float]] = {}
    bpp: dict[str, float] = {}  # the same in each run
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of running on one device, as it must here
        rival.update(force=True)
        for _ in tqdm(range(runs), desc="interleaved runs"):
            encode, data = _timed(codec.encode, model, x, level)
            latents, (file, y_hat) = _timed(codec.decode_latents, model, data)
            generator, _ = _timed(codec.synthesise, model, y_hat, file)
            rival_encode, packed = _timed(rival.compress, x[None])
            rival_decode, _ = _timed(rival.decompress, packed["strings"], packed["shape"])
            rival_generator, _ = _timed(rival.g_s, torch.zeros(1, widths.M, height // CELL, width // CELL))
            run = {
                "encode": encode,
                "latents": latents,
                "decode": latents + generator,
                "compressai_encode": rival_encode,
                "compressai_latents": rival_decode - rival_generator,
                "compressai_decode": rival_decode,
            }
            for name, value in run.items():
                seconds.setdefault(name, []).append(value)
            rival_bytes = sum(len(s[0]) for s in packed["strings"])
            bpp = {"bpp": metrics.bpp(len(data), height, width), "compressai_bpp": metrics.bpp(rival_bytes, height, width)}
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    ratios = {name: medians[f"compressai_{name}"] / medians[name] for name in ("latents", "decode", "encode")}
    return {
        "N": widths.N,
        "M": widths.M,
        "pixels": [width, height],
        "runs": runs,
        "threads": torch.get_num_threads(),
        **bpp,
        "seconds": medians,
        "all_seconds": seconds,
        "ratios": ratios,
    }


def growth(model: TrainedModel, sides: tuple[int, ...] = (512, 1024, 2048), runs: int = 3) -> list[dict]:
    """Seconds a megapixel of encoding and decoding, for square pictures."""
    rows = []
    for side in tqdm(sides, desc="sizes"):
        found = [measure(ours(model), picture(side, side), (model.levels - 1) / 2) for _ in range(runs)]
        times = [[m.encode_seconds for m in found], [m.decode_seconds for m in found]]
        encode, decode = (statistics.median(column) / (side * side / 1e6) for column in times)
        rows.append({"side": side, "encode": encode, "decode": decode, "peak_megabytes": peak_megabytes()})
    return rows


def run(model_name: str, runs: int = 5) -> dict:
    """Everything ``plic bench`` prints without options, at one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model = load(model_name)
        result = {"model": model.name, "hash": model.hash, "compressai": beside_compressai(model, runs=runs), "growth": growth(model)}
    finally:
        torch.set_num_threads(threads)
    return result
