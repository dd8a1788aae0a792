"""Speed of coding and of training, beside CompressAI's of the same width, in one run.

CompressAI's networks have random weights: their speed does not depend on them, and the
time of its coder hardly does. One thread, interleaved runs, medians.
"""

import functools
import resource
import statistics
import sys
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path

import torch
from compressai.losses import RateDistortionLoss
from compressai.models import JointAutoregressiveHierarchicalPriors
from compressai.optimizers import net_aux_optimizer
from torch import Tensor
from tqdm.auto import tqdm

from plic_lib import checkpoint, codec, datasets, images, metrics
from plic_lib.checkpoint import TrainedModel
from plic_lib.grid import CELL, ceil_div
from plic_lib.integer import freeze
from plic_lib.model import PAPER, Plic, Widths
from plic_lib.training.codec_task import CodecTask
from plic_lib.training.recipe import Recipe
from plic_lib.training.trainer import Trainer


def picture(height: int, width: int) -> Tensor:
    """A photograph of any size: scikit-image's motorcycle, repeated and cut."""
    x = datasets.sample("motorcycle")
    return x.repeat(1, ceil_div(height, x.shape[1]), ceil_div(width, x.shape[2]))[:, :height, :width].contiguous()


def untrained(widths=PAPER) -> TrainedModel:
    """A model of random weights. Its latents spread over a third of a step; its entropy model knows nothing of them, so the bits are many."""
    torch.manual_seed(0)
    networks = checkpoint.round_weights_(Plic(widths).eval())
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


class CompressAITraining:
    """CompressAI's ``examples/train.py`` (its networks, loss, two optimisers, clipping) on given batches."""

    def __init__(self, widths: Widths, device: torch.device):
        torch.manual_seed(0)
        self.model = JointAutoregressiveHierarchicalPriors(widths.N, widths.M).to(device).train()
        settings = {"net": {"type": "Adam", "lr": 1e-4}, "aux": {"type": "Adam", "lr": 1e-3}}
        optimizers = net_aux_optimizer(self.model, settings)
        self.optimizer, self.aux_optimizer = optimizers["net"], optimizers["aux"]
        self.objective = RateDistortionLoss(lmbda=1e-2)

    def step(self, x: Tensor) -> None:
        """One batch."""
        self.optimizer.zero_grad()
        self.aux_optimizer.zero_grad()
        loss = self.objective(self.model(x), x)["loss"]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.model.aux_loss().backward()
        self.aux_optimizer.step()


def training(recipe: Recipe, steps: int = 5, runs: int = 3, compiled: bool = False) -> dict:
    """Samples a second of our training loop and of CompressAI's, interleaved in one run.

    Same widths, same crops from memory. Ours is timed as the paper trains (rate, L1,
    LPIPS, discriminator), and with L1 alone, which is what the other one computes.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name in datasets.SAMPLES:
            images.to_image(datasets.sample(name)).save(Path(folder) / f"{name}.png")
        settings = {"alpha_start": 1.0, "hold": 0, "ramp": 0, "gan_from": 0}
        recipes = {
            "plic": replace(recipe, **settings),
            "plic_without_perception": replace(recipe, **settings, lpips=0.0, gan=0.0),
        }
        ours = {name: Trainer(CodecTask(r, compiled=compiled), [folder], Path(folder) / name) for name, r in recipes.items()}
        device = ours["plic"].accelerator.device
        rival = CompressAITraining(recipe.widths, device)
        batches = [next(ours["plic"].batches()) for _ in range(2)]
        loops = {name: functools.partial(trainer.task.step, 0) for name, trainer in ours.items()} | {"compressai": rival.step}
        seconds: dict[str, list[float]] = {}
        for run_number in tqdm(range(-1, runs), desc="interleaved runs"):
            for name, step in loops.items():
                start = time.perf_counter()
                for i in range(steps):
                    step(batches[i % 2])
                if device.type == "cuda":
                    torch.cuda.synchronize()
                if run_number >= 0:  # the first one warms up
                    seconds.setdefault(name, []).append(time.perf_counter() - start)
    samples = {name: steps * recipe.batch / statistics.median(times) for name, times in seconds.items()}
    return {
        "N": recipe.widths.N,
        "M": recipe.widths.M,
        "crop": recipe.crop,
        "batch": recipe.batch,
        "precision": recipe.precision,
        "device": str(device),
        "threads": torch.get_num_threads(),
        "steps": steps,
        "samples_per_second": samples,
        "ratios": {name: samples[name] / samples["compressai"] for name in ours},
    }


def peak_megabytes(who: int = resource.RUSAGE_SELF) -> float:
    """Largest memory so far of this process, or with ``resource.RUSAGE_CHILDREN`` of a program that it called, in 10^6 bytes."""
    peak = resource.getrusage(who).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6


def load(model_name: str) -> TrainedModel:
    """A shipped model, a file, or "untrained-paper": the paper's width with random weights."""
    return untrained() if model_name == "untrained-paper" else checkpoint.load(model_name)


def run(model_name: str, runs: int = 5) -> dict:
    """Everything ``plic bench`` prints without options, at one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model = load(model_name)
        result = {"model": model.name, "hash": model.hash, "compressai": against_compressai(model, runs=runs), "growth": growth(model)}
    finally:
        torch.set_num_threads(threads)
    return result
