"""Training: one plain loop, from a laptop CPU to several GPUs (Hugging Face accelerate).

Crops, levels and noise are functions of (seed, step, sample), and a checkpoint holds
the networks, the optimisers and the step. So a run that was killed and resumed ends
with the same weights as one that was not.
"""

import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from plic_lib import codec, losses, metrics
from plic_lib.bitstream import File
from plic_lib.checkpoint import TrainedModel, round_weights_
from plic_lib.datasets import SAMPLES, RandomCrops, sample
from plic_lib.integer import freeze
from plic_lib.model import MINI, PAPER, Plic, Widths


class TrainingError(RuntimeError):
    """Training cannot start or go on; the message says why."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a run computes. Fractions are of ``steps``."""

    widths: Widths = PAPER
    steps: int = 800_000
    batch: int = 8
    crop: int = 256  #: pixels
    downscale: tuple[float, float] = (0.5, 1.0)
    seed: int = 0
    learning_rate: float = 1e-4
    #: (fraction, factor): from this fraction on, the learning rate is this multiple of the first one
    decay: tuple[tuple[float, float], ...] = ((0.2, 0.5), (0.62, 0.25))
    gain_speed: float = 10.0  #: learning rate of the gains, relative; each sees 1/n of the steps
    clip: float = 1.0  #: largest norm of the gradient
    #: weights of the objective: rate (one a level, level 0 first), L1 on 0-255, LPIPS
    alphas: tuple[float, ...] = (4.7, 2.6, 1.6)
    l1: float = 0.01
    lpips: float = 1.0
    #: a first phase, up to ``hold``, starts with other weights: alphas times ``alpha_start``, L1 ``l1_start``,
    #: LPIPS times ``lpips_start``; until ``ramp`` they move to their final values. From random weights
    #: with the full alphas the rate collapses to almost nothing and does not come back.
    alpha_start: float = 0.05
    l1_start: float = 0.01
    lpips_start: float = 1.0
    hold: float = 0.0
    ramp: float = 0.5
    precision: str = "no"  #: "bf16" runs encoder and generator in bfloat16

    def weights(self, step: int) -> tuple[float, float, float]:
        """(factor on the alphas, L1 weight, LPIPS weight) at a step."""
        progress = step / self.steps
        t = 1.0 if progress >= self.ramp else max(0.0, (progress - self.hold) / (self.ramp - self.hold))
        geometric = lambda start, end: start ** (1 - t) * end**t  # noqa: E731
        return geometric(self.alpha_start, 1.0), geometric(self.l1_start, self.l1), self.lpips * (self.lpips_start * (1 - t) + t)

    def learning_rate_at(self, step: int) -> float:
        """Learning rate of the networks at a step."""
        factors = [factor for fraction, factor in self.decay if step >= fraction * self.steps]
        return self.learning_rate * (factors[-1] if factors else 1.0)

    def level(self, step: int) -> int:
        """The level that this step trains, uniform over all."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        return int(torch.randint(len(self.alphas), (1,), generator=generator))


PRESETS = {
    # Small enough for a laptop: starts on distortion, then learns perception (stage 1 of HiFiC and MS-ILLM in one run).
    "mini": Recipe(
        widths=MINI,
        steps=15_000,
        crop=128,
        learning_rate=4e-4,
        decay=((0.6, 0.5), (0.75, 0.25), (0.87, 0.1), (0.95, 0.03)),
        gain_speed=5.0,
        alphas=(2.2, 0.55, 0.05),
        alpha_start=0.3,
        l1_start=0.06,
        lpips_start=0.0,
        hold=0.25,
        ramp=0.45,
        precision="bf16",
    ),
}


@dataclass
class Trainer:
    """One run: networks, optimisers, and the folder that it writes to.

    Args:
        recipe: what to compute.
        folders: where the training pictures are.
        out: folder for ``state.pt`` (resume), ``log.jsonl``.
        start: the state of another run, whose weights this one begins with: a second stage.
        workers: processes that load pictures; 0 keeps all decoded pictures in memory.
    """

    recipe: Recipe
    folders: list[str]
    out: Path
    start: dict | None = None
    workers: int = 0
    step: int = field(default=0, init=False)

    def __post_init__(self):
        recipe = self.recipe
        self.out = Path(self.out)
        self.accelerator = Accelerator(mixed_precision=recipe.precision, step_scheduler_with_optimizer=False)
        torch.manual_seed(recipe.seed)
        self.model = Plic(recipe.widths)
        self.steps_before = 0
        if self.start is not None:
            self.model.load_state_dict(self.start["model"])
            self.steps_before = self.start["step"] + self.start["steps_before"]
        self.model.to(self.accelerator.device, memory_format=torch.channels_last)
        gains = list(self.model.gain_units.parameters())
        quantiles = [self.model.prior.quantiles]
        others = {id(p) for p in gains + quantiles}
        networks = [p for p in self.model.parameters() if id(p) not in others]
        self.optimizer = torch.optim.Adam([{"params": networks}, {"params": gains}], lr=recipe.learning_rate)
        self.aux_optimizer = torch.optim.Adam(quantiles, lr=1e-3)
        self.perceptual = metrics.LPIPS().to(self.accelerator.device)
        self.crops = RandomCrops(self.folders, recipe.crop, recipe.seed, recipe.downscale, in_memory=self.workers == 0)
        self._resume()

    # ---------------------------------------------------------------- the loop

    def run(self, save_every: int = 500, check_every: int = 1000) -> None:
        """Train to the end of the recipe; may be interrupted and called again."""
        model, self.optimizer = self.accelerator.prepare(self.model, self.optimizer)
        model.train()
        bar = tqdm(total=self.recipe.steps, initial=self.step, unit="step", disable=not self.accelerator.is_main_process)
        started = time.monotonic()
        for x in self._batches():
            figures = self._train_step(model, x)
            self.step += 1
            bar.update()
            if self.step % 50 == 0 or self.step == self.recipe.steps:
                figures["seconds"] = round(time.monotonic() - started, 1)
                self._log(figures)
                bar.set_postfix(level=figures["level"], bpp=figures["bpp"], lpips=figures["lpips"])
            if self.step % check_every == 0 or self.step == self.recipe.steps:
                for row in self.check():
                    self._log({"step": self.step, "check": row})
            if self.step % save_every == 0 or self.step == self.recipe.steps:
                self.save()
        bar.close()

    def _train_step(self, model: torch.nn.Module, x: Tensor) -> dict:
        recipe, step = self.recipe, self.step
        rate_of_learning = recipe.learning_rate_at(step)
        for group, speed in zip(self.optimizer.param_groups, (1.0, recipe.gain_speed)):
            group["lr"] = rate_of_learning * speed
        level = recipe.level(step)
        factor, l1_weight, lpips_weight = recipe.weights(step)
        alpha = recipe.alphas[level] * factor

        seeds = [(recipe.seed << 40) + step * recipe.batch + i for i in range(len(x))]
        output = model(x, torch.full((1, 1), float(level), device=x.device), seeds)
        bpp, l1 = losses.rate(output), losses.l1(x, output.x_hat)
        lpips = self.perceptual(x, output.x_hat).mean() if lpips_weight else torch.zeros(())
        loss = alpha * bpp + l1_weight * l1 + lpips_weight * lpips
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss.item()} at step {step} (level {level}: {bpp.item():.3g} bpp, L1 {l1.item():.3g}, "
                f"LPIPS {lpips.item():.3g}); the last good state is {self.out / 'state.pt'}. A smaller learning rate may help"
            )
        self.optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        norm = self.accelerator.clip_grad_norm_([p for g in self.optimizer.param_groups for p in g["params"]], recipe.clip)
        self.optimizer.step()

        self.aux_optimizer.zero_grad(set_to_none=True)
        aux = self.model.prior.loss()
        aux.backward()
        self.aux_optimizer.step()

        figures = {
            "step": step + 1,
            "level": level,
            "alpha": alpha,
            "loss": loss,
            "bpp": bpp,
            "l1": l1,
            "lpips": lpips,
            "aux": aux,
            "gradient": norm,
        }
        figures = {k: float(f"{v.item() if isinstance(v, Tensor) else v:.5g}") for k, v in figures.items()}
        return figures | {"step": step + 1, "level": level, "learning_rate": rate_of_learning}

    def _batches(self):
        """Batches from the current step to the last."""
        batch = self.recipe.batch
        items = range(self.step * batch, self.recipe.steps * batch)
        loader = DataLoader(self.crops, batch, sampler=items, num_workers=self.workers, pin_memory=self.workers > 0)
        for x in loader:
            yield x.to(self.accelerator.device, memory_format=torch.channels_last, non_blocking=True)

    # ---------------------------------------------------------------- looking at it

    @torch.no_grad()
    def check(self) -> list[dict]:
        """Rate and quality of real files of scikit-image's photographs, which are never trained on.

        One row a level. ``gap`` is what the coded latents cost over the float networks'
        parallel estimate, as a fraction of it; ``noise_gap`` is how far the noisy
        estimate that the loss sees is above that one.
        """
        networks = Plic(self.recipe.widths).eval()
        networks.load_state_dict(self.model.state_dict())
        pictures = [sample(name)[:, :256, :384] for name in SAMPLES]
        model = TrainedModel("check", networks, freeze(networks, pictures))
        rows = []
        for level in range(model.levels):
            totals = dict.fromkeys(("file", "stream", "estimate", "noisy", "pixels", "psnr", "lpips"), 0.0)
            for x in pictures:
                analysis = codec.analyse(model, x)
                data = codec.encode_latents(model, analysis, level)
                x_hat = codec.decode(model, data)
                noisy = networks(x[None], torch.full((1, 1), float(level)), seeds=[0])
                totals["file"] += 8 * len(data)
                totals["stream"] += 8 * len(File.unpack(data).stream)
                totals["estimate"] += codec.estimated_bits(model, analysis, level)
                totals["noisy"] += float(noisy.y_bits.sum() + noisy.z_bits.sum())
                totals["pixels"] += x.shape[1] * x.shape[2]
                totals["psnr"] += metrics.psnr(x, x_hat) / len(pictures)
                distance = self.perceptual(*(t[None].to(self.accelerator.device) for t in (x, x_hat)))
                totals["lpips"] += float(distance) / len(pictures)
            rows.append(
                {
                    "level": level,
                    "bpp": round(totals["file"] / totals["pixels"], 5),
                    "psnr": round(totals["psnr"], 3),
                    "lpips": round(totals["lpips"], 5),
                    "gap": round(totals["stream"] / totals["estimate"] - 1, 5),
                    "noise_gap": round(totals["noisy"] / totals["estimate"] - 1, 5),
                }
            )
        return rows

    def _log(self, figures: dict) -> None:
        if self.accelerator.is_main_process:
            self.out.mkdir(parents=True, exist_ok=True)
            with open(self.out / "log.jsonl", "a") as log:
                log.write(json.dumps(figures) + "\n")

    # ---------------------------------------------------------------- stop and go on

    def save(self) -> None:
        """Write ``state.pt`` whole: first beside it, then in its place."""
        if not self.accelerator.is_main_process:
            return
        self.out.mkdir(parents=True, exist_ok=True)
        state = {
            "recipe": json.dumps(asdict(self.recipe)),
            "step": self.step,
            "steps_before": self.steps_before,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "aux_optimizer": self.aux_optimizer.state_dict(),
        }
        torch.save(state, self.out / "state.part")
        os.replace(self.out / "state.part", self.out / "state.pt")

    def _resume(self) -> None:
        path = self.out / "state.pt"
        if not path.exists():
            return
        state = read_state(path, self.accelerator.device)
        if state["recipe"] != json.dumps(asdict(self.recipe)):
            raise TrainingError(f"{path} belongs to a run with another recipe; use another folder, or delete it to start again")
        self.step, self.steps_before = state["step"], state["steps_before"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.aux_optimizer.load_state_dict(state["aux_optimizer"])


def read_state(path: str | Path, device: str | torch.device = "cpu") -> dict:
    """A training state, without executing code from it. Raises TrainingError where it is none."""
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        state["recipe"], state["step"], state["steps_before"], state["model"]
    except FileNotFoundError as error:
        raise TrainingError(f"{path}: there is no such file") from error
    except Exception as error:  # torch and pickle raise many kinds for a file that is not theirs
        raise TrainingError(f"{path}: not a training state of plic ({error.__class__.__name__})") from error
    return state


def freeze_state(path: str | Path, name: str) -> TrainedModel:
    """The trained model of a state: weights rounded as a checkpoint stores them, integers and tables made."""
    state = read_state(path)
    recipe = json.loads(state["recipe"])
    networks = Plic(Widths(**recipe["widths"])).eval()
    networks.load_state_dict(state["model"])
    frozen = freeze(round_weights_(networks), [sample(name) for name in SAMPLES])
    return TrainedModel(name, networks, frozen, {"step": state["steps_before"] + state["step"], "recipe": recipe})
