"""Samples a second of our training loop beside CompressAI's."""

import functools
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from compressai.losses import RateDistortionLoss
from compressai.models import JointAutoregressiveHierarchicalPriors
from compressai.optimizers import net_aux_optimizer
from torch import Tensor
from tqdm.auto import tqdm

from plic_lib import datasets, images
from plic_lib.model import Widths
from plic_lib.training.codec_task import CodecTask
from plic_lib.training.recipe import Recipe
from plic_lib.training.trainer import Trainer


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


def run(recipe: Recipe, steps: int = 5, runs: int = 3, compiled: bool = False) -> dict:
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
