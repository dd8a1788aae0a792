"""Samples a second of our training loop beside CompressAI's."""

import functools
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from compressai.losses import RateDistortionLoss
from compressai.models import JointAutoregressiveHierarchicalPriors
from compressai.optimizers import net_aux_optimizer
from torch import Tensor
from tqdm.auto import tqdm

from plic_lib import datasets, images
from plic_lib.metrics import LPIPS
from plic_lib.model import Widths
from plic_lib.training import losses
from plic_lib.training.codec_task import CodecTask
from plic_lib.training.recipe import Recipe
from plic_lib.training.trainer import Trainer


class CompressAITraining:
    """CompressAI's ``examples/train.py`` (its networks, two optimisers, clipping) on given batches.

    Args:
        objective: ``objective(output, x)``, a loss from what its model returns.
    """

    def __init__(self, widths: Widths, device: torch.device, objective: Callable[[dict, Tensor], Tensor]):
        torch.manual_seed(0)
        self.model = JointAutoregressiveHierarchicalPriors(widths.N, widths.M).to(device).train()
        settings = {"net": {"type": "Adam", "lr": 1e-4}, "aux": {"type": "Adam", "lr": 1e-3}}
        optimizers = net_aux_optimizer(self.model, settings)
        self.optimizer, self.aux_optimizer = optimizers["net"], optimizers["aux"]
        self.objective = objective

    def step(self, x: Tensor) -> None:
        """One batch."""
        self.optimizer.zero_grad()
        self.aux_optimizer.zero_grad()
        self.objective(self.model(x), x).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.model.aux_loss().backward()
        self.aux_optimizer.step()


_RATE_AND_DISTORTION = RateDistortionLoss(lmbda=1e-2)


def squared_error(output: dict, x: Tensor) -> Tensor:
    """The loss of ``examples/train.py``."""
    return _RATE_AND_DISTORTION(output, x)["loss"]


def perceptual_loss(perceptual: LPIPS, output: dict, x: Tensor) -> Tensor:
    """Rate, L1 and LPIPS, as ours."""
    rate = _RATE_AND_DISTORTION(output, x)["bpp_loss"]
    return rate + 0.01 * losses.l1(x, output["x_hat"]) + perceptual(x, output["x_hat"]).mean()


def run(recipe: Recipe, steps: int = 5, runs: int = 3, compiled: bool = False) -> dict:
    """Samples a second of our training loop and of CompressAI's, interleaved in one run, on the same crops from memory.

    The same widths. With Adam in both: ``plic`` beside ``compressai_perceptual`` (rate, L1, LPIPS; not where the recipe
    has no LPIPS), and ``plic_without_perception`` beside ``compressai``, its own loop. ``plic_soap`` is ``plic`` with that
    optimiser, ``plic_adversarial`` (where the recipe has a discriminator) ``plic`` with all of the paper's losses.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name in datasets.SAMPLES:
            images.to_image(datasets.sample(name)).save(Path(folder) / f"{name}.png")
        plain = replace(recipe, optimizer="adam", gan=0.0, alpha_start=1.0, hold=0, ramp=0, gan_from=0)
        recipes = {
            "plic": plain,
            "plic_without_perception": replace(plain, lpips=0.0),
            "plic_soap": replace(plain, optimizer="soap"),
            **({"plic_adversarial": replace(plain, gan=recipe.gan)} if recipe.gan else {}),
        }
        ours = {name: Trainer(CodecTask(r, compiled=compiled), [folder], Path(folder) / name) for name, r in recipes.items()}
        device = ours["plic"].accelerator.device
        rivals = {"compressai": CompressAITraining(recipe.widths, device, squared_error)}
        if (task := ours["plic"].task).perceptual:
            objective = functools.partial(perceptual_loss, task.perceptual)
            rivals["compressai_perceptual"] = CompressAITraining(recipe.widths, device, objective)
        batches = [next(ours["plic"].batches()) for _ in range(2)]
        loops = {name: functools.partial(trainer.task.step, 0) for name, trainer in ours.items()}
        loops |= {name: rival.step for name, rival in rivals.items()}
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
        "ratio_perceptual": samples["plic"] / samples["compressai_perceptual"] if "compressai_perceptual" in samples else None,
        #: what a step of SOAP takes more than one of Adam, as a share of Adam's
        "soap_overhead": samples["plic"] / samples["plic_soap"] - 1,
    }
