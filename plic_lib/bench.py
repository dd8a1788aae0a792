"""Speed, beside CompressAI's serial context model of the same width, in one run.

CompressAI's networks have random weights: their speed does not depend on them, and the
time of its coder hardly does. One thread, interleaved runs, medians.
"""

import resource
import statistics
import sys
import time
import warnings

import torch
from compressai.models import JointAutoregressiveHierarchicalPriors
from torch import Tensor
from tqdm.auto import tqdm

from plic_lib import checkpoint, codec, datasets, images, metrics
from plic_lib.checkpoint import TrainedModel
from plic_lib.integer import freeze
from plic_lib.model import PAPER, Plic


def picture(height: int, width: int) -> Tensor:
    """A photograph of any size: scikit-image's motorcycle, repeated and cut."""
    x = datasets.sample("motorcycle")
    return x.repeat(1, -(-height // x.shape[1]), -(-width // x.shape[2]))[:, :height, :width].contiguous()


def untrained(widths=PAPER) -> TrainedModel:
    """A model of random weights whose latents are about as small as a trained model's at a low rate."""
    torch.manual_seed(0)
    networks = Plic(widths).eval()
    x = images.pad(picture(256, 256)[None])
    with torch.no_grad():
        y = networks.encoder(x)
        networks.gain_units.theta -= torch.log(3 * y.std(dim=(0, 2, 3)))
    return TrainedModel("untrained", networks, freeze(networks, [x[0]]))


def _timed(function, *arguments):
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


@torch.no_grad()
def against_compressai(model: TrainedModel, height: int = 512, width: int = 768, runs: int = 5) -> dict:
    """Seconds of both codecs, and their ratios, for one picture.

    ``latents`` is hyper-decoder, context, gather and coder; ``decode`` adds the generator.
    """
    torch.manual_seed(0)
    widths = model.networks.widths
    rival = JointAutoregressiveHierarchicalPriors(widths.N, widths.M).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of running on one device, as it must here
        rival.update(force=True)
        x = picture(height, width)
        level = (model.levels - 1) / 2
        seconds: dict[str, list[float]] = {}
        for _ in tqdm(range(runs), desc="interleaved runs"):
            encode, data = _timed(codec.encode, model, x, level)
            latents, (file, y_hat) = _timed(codec.decode_latents, model, data)
            generator, _ = _timed(codec.synthesise, model, y_hat, file)
            rival_encode, packed = _timed(rival.compress, x[None])
            rival_decode, _ = _timed(rival.decompress, packed["strings"], packed["shape"])
            rival_generator, _ = _timed(rival.g_s, torch.zeros(1, widths.M, height // 16, width // 16))
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
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    ratios = {name: medians[f"compressai_{name}"] / medians[name] for name in ("latents", "decode", "encode")}
    rival_bytes = sum(len(s[0]) for s in packed["strings"])
    return {
        "N": widths.N,
        "M": widths.M,
        "pixels": [width, height],
        "runs": runs,
        "threads": torch.get_num_threads(),
        "bpp": metrics.bpp(len(data), height, width),
        "compressai_bpp": metrics.bpp(rival_bytes, height, width),
        "seconds": medians,
        "all_seconds": seconds,
        "ratios": ratios,
    }


def growth(model: TrainedModel, sides: tuple[int, ...] = (512, 1024, 2048), runs: int = 3) -> list[dict]:
    """Seconds a megapixel of encoding and decoding, for square pictures."""
    rows = []
    for side in tqdm(sides, desc="sizes"):
        x, level = picture(side, side), (model.levels - 1) / 2
        times = []
        for _ in range(runs):
            encode, data = _timed(codec.encode, model, x, level)
            decode, _ = _timed(codec.decode, model, data)
            times.append((encode, decode))
        encode, decode = (statistics.median(column) / (side * side / 1e6) for column in zip(*times))
        rows.append({"side": side, "encode": encode, "decode": decode, "peak_megabytes": peak_megabytes()})
    return rows


def peak_megabytes() -> float:
    """Largest memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def run(model_name: str, runs: int = 5) -> dict:
    """Everything ``plic bench`` prints, at one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model = untrained() if model_name == "untrained-paper" else checkpoint.load(model_name)
        result = {"model": model.name, "hash": model.hash, "compressai": against_compressai(model, runs=runs), "growth": growth(model)}
    finally:
        torch.set_num_threads(threads)
    return result
