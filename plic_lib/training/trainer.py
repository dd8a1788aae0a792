"""Training: one plain loop, from a laptop CPU to many GPUs (Hugging Face accelerate).

Crops, levels and noise are functions of (seed, step, sample), and a state holds the
networks, the optimisers and the step. So a run that was killed and resumed ends with the
same weights as one that was not, and several processes that share each batch end with
those of one (but for the last bits of their sums).
"""

import json
import os
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.utils import gather_object
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from plic_lib import checkpoint, codec, images, metrics
from plic_lib.bitstream import File
from plic_lib.checkpoint import TrainedModel, round_weights_
from plic_lib.datasets import KEEP, SAMPLES, RandomCrops, sample
from plic_lib.errors import TrainingError
from plic_lib.integer import freeze
from plic_lib.model import MINI, PAPER, Plic, Widths
from plic_lib.training import losses
from plic_lib.training.discriminator import Discriminator, discriminator_loss, generator_loss
from plic_lib.training.losses import Terms


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a run computes. Fractions are of ``steps``."""

    widths: Widths = PAPER
    steps: int = 800_000
    batch: int = 8  #: of all processes together
    crop: int = 256  #: pixels
    downscale: tuple[float, float] = (0.5, 1.0)
    seed: int = 0
    learning_rate: float = 1e-4
    #: (fraction, factor): from this fraction on, the learning rate is this multiple of the first one
    decay: tuple[tuple[float, float], ...] = ((0.2, 0.5), (0.625, 0.25))
    gain_speed: float = 10.0  #: learning rate of the gains, relative; each sees 1/n of the steps
    clip: float = 1.0  #: largest norm of the gradient
    #: weights of the objective: rate (one a level, level 0 first), L1 on 0-255, LPIPS, generator's adversarial loss
    alphas: tuple[float, ...] = (4.7, 2.6, 1.6)
    alpha_scale: float = 1.0  #: multiplies all alphas, to bring the levels to their rates
    l1: float = 0.01
    lpips: float = 1.0
    gan: float = 0.0
    gan_from: float = 0.0  #: the discriminator joins at this fraction of the steps
    discriminator: int = 64  #: channels of its first layers
    discriminator_rate: float = 1e-4  #: its learning rate, with the same decay
    #: a first phase, up to ``hold``, starts with other weights: alphas times ``alpha_start``, L1 ``l1_start``,
    #: LPIPS times ``lpips_start``; until ``ramp`` they move to their final values. From random weights
    #: with the full alphas the rate collapses to almost nothing and does not come back.
    alpha_start: float = 0.05
    l1_start: float = 0.01
    lpips_start: float = 1.0
    hold: float = 0.0
    ramp: float = 0.5
    precision: str = "no"  #: "bf16" runs encoder, generator and discriminator in bfloat16

    def weights(self, step: int, level: int = 0) -> Terms:
        """Weights of the four terms at a step that trains ``level``."""
        progress = step / self.steps
        if progress >= self.ramp:
            t = 1.0
        else:
            t = 0.0 if progress <= self.hold else (progress - self.hold) / (self.ramp - self.hold)
        geometric = lambda start, end: start ** (1 - t) * end**t  # noqa: E731
        return Terms(
            rate=self.alphas[level] * self.alpha_scale * geometric(self.alpha_start, 1.0),
            l1=geometric(self.l1_start, self.l1),
            lpips=self.lpips * (self.lpips_start * (1 - t) + t),
            gan=self.gan if progress >= self.gan_from else 0.0,
        )

    def decay_at(self, step: int) -> float:
        """What the learning rates are multiplied with at a step."""
        return next((factor for fraction, factor in reversed(self.decay) if step >= fraction * self.steps), 1.0)

    def level(self, step: int) -> int:
        """The level that this step trains, uniform over all."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        return int(torch.randint(len(self.alphas), (1,), generator=generator))


_PAPER = Recipe(gan=5e-4, gan_from=0.5, precision="bf16")

PRESETS = {
    # The paper's three models: its alphas, crops, batch, optimiser and milestones (section 3). Not stated there
    # and chosen here: 800,000 steps in all, the ramp of alpha, and the discriminator from half of the run on.
    "paper-low": replace(_PAPER, widths=replace(PAPER, pooled=True), alphas=(4.7, 2.6, 1.6), l1=0.04, l1_start=0.04),
    "paper-mid": replace(_PAPER, alphas=(2.0, 1.35, 0.75)),
    "paper-high": replace(_PAPER, alphas=(1.0, 0.6, 0.45)),
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
# The second stage of ``mini``: starts from it (``--from mini``), with a narrow discriminator and the paper's weight of it.
# Ten times that weight and twice this learning rate made every metric worse (data/results/mini-gan-first_training.jsonl).
PRESETS["mini-gan"] = replace(
    PRESETS["mini"],
    steps=1500,
    learning_rate=5e-5,
    decay=((0.5, 0.4), (0.75, 0.15), (0.9, 0.05)),
    alpha_start=1.0,
    l1_start=0.01,
    lpips_start=1.0,
    hold=0.0,
    ramp=0.0,
    gan=5e-4,
    discriminator=16,
)


@dataclass
class Trainer:
    """One run: networks, optimisers, and the folder that it writes to.

    Args:
        recipe: what to compute.
        folders: where the training pictures are.
        out: folder for ``state.pt`` (resume), ``log.jsonl`` and ``samples/``.
        start: what ``start_from`` gave: this run is a second stage and begins with those weights.
        workers: processes that load pictures; 0 loads them here, and keeps ``KEEP`` bytes of decoded ones.
        compiled: compile encoder, generator and discriminator (pays on a GPU, after a minute or two).
        tensorboard: write the log for TensorBoard too.
    """

    recipe: Recipe
    folders: list[str]
    out: Path
    start: dict | None = None
    workers: int = 0
    compiled: bool = False
    tensorboard: bool = False
    step: int = field(default=0, init=False)

    def __post_init__(self):
        recipe = self.recipe
        self.out = Path(self.out)
        self.accelerator = Accelerator(
            mixed_precision=recipe.precision,
            step_scheduler_with_optimizer=False,
            kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
            log_with="tensorboard" if self.tensorboard else None,
            project_dir=self.out,
        )
        if recipe.batch % self.accelerator.num_processes:
            raise TrainingError(
                f"a batch of {recipe.batch} cannot be shared evenly by {self.accelerator.num_processes} processes; "
                f"--set batch={self.accelerator.num_processes} is the smallest that can"
            )
        if self.accelerator.device.type == "cuda":
            torch.backends.cudnn.benchmark = True  # all crops have one size: let it find the fastest kernels
        torch.manual_seed(recipe.seed)
        self.model = Plic(recipe.widths)
        self.discriminator = Discriminator(recipe.discriminator) if recipe.gan else None
        self.steps_before = 0
        if self.start is not None:
            try:
                self.model.load_state_dict(self.start["model"])
            except RuntimeError as error:
                raise TrainingError(f"the networks to start from are of other widths than {recipe.widths}") from error
            self.steps_before = self.start["step"] + self.start["steps_before"]
        self.model.to(self.accelerator.device, memory_format=torch.channels_last)
        gains = list(self.model.gain_units.parameters())
        quantiles = [self.model.prior.quantiles]
        others = {id(p) for p in gains + quantiles}
        networks = [p for p in self.model.parameters() if id(p) not in others]
        self.optimizer = torch.optim.Adam([{"params": networks}, {"params": gains}], lr=recipe.learning_rate)
        self.aux_optimizer = torch.optim.Adam(quantiles, lr=1e-3)
        if self.discriminator:
            self.discriminator.to(self.accelerator.device, memory_format=torch.channels_last)
            self.discriminator_optimizer = torch.optim.Adam(self.discriminator.parameters(), lr=recipe.discriminator_rate)
        self.perceptual = metrics.LPIPS().to(self.accelerator.device) if recipe.lpips else None
        self.crops = RandomCrops(self.folders, recipe.crop, recipe.seed, recipe.downscale, keep=0 if self.workers else KEEP)
        self._resume()
        self._prepare()

    def _prepare(self) -> None:
        """The networks as the processes share them: ``shared_model`` and ``shared_discriminator``."""
        # the quantiles get the same gradient in every process, from the auxiliary loss alone
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(self.model, ["prior.quantiles"])
        self.shared_model, self.optimizer = self.accelerator.prepare(self.model, self.optimizer)
        if self.discriminator:
            self.shared_discriminator, self.discriminator_optimizer = self.accelerator.prepare(
                self.discriminator, self.discriminator_optimizer
            )
        if self.compiled:
            for network in (self.model.encoder, self.model.generator, self.discriminator):
                if network is not None:
                    network.compile()
        if self.tensorboard:
            self.accelerator.init_trackers("tensorboard")

    # ---------------------------------------------------------------- the loop

    def run(self, save_every: int = 500, check_every: int = 1000) -> None:
        """Train to the end of the recipe; may be interrupted and called again."""
        self.shared_model.train()
        bar = tqdm(total=self.recipe.steps, initial=self.step, unit="step", disable=not self.accelerator.is_main_process)
        surroundings = {"processes": self.accelerator.num_processes, "device": str(self.accelerator.device)}
        self._log({"start": self.step, **surroundings, "recipe": asdict(self.recipe)})
        started = time.monotonic()
        for x in self._batches():
            figures = self._train_step(x)
            self.step += 1
            bar.update()
            last = self.step == self.recipe.steps
            if self.step % 50 == 0 or last:
                figures = self._summary(figures) | {"seconds": round(time.monotonic() - started, 1)}
                self._log(figures)
                bar.set_postfix(level=figures["level"], bpp=figures["bpp"], lpips=figures["lpips"])
            if self.step % save_every == 0 or last:
                self.save()
            if (self.step % check_every == 0 or last) and self.accelerator.is_main_process:
                for row in self.check():
                    self._log({"step": self.step, "check": row})
        bar.close()
        self.accelerator.wait_for_everyone()
        self.accelerator.end_training()

    def _train_step(self, x: Tensor) -> dict:
        """One step of all optimisers; returns its figures, some of them tensors still."""
        recipe, step = self.recipe, self.step
        decay = recipe.decay_at(step)
        for group, speed in zip(self.optimizer.param_groups, (1.0, recipe.gain_speed)):
            group["lr"] = recipe.learning_rate * decay * speed
        level = recipe.level(step)
        weights = recipe.weights(step, level)

        first = step * recipe.batch + self.accelerator.process_index * len(x)
        seeds = [(recipe.seed << 40) + first + i for i in range(len(x))]
        output = self.shared_model(x, torch.full((1, 1), float(level), device=x.device), seeds)
        terms = Terms(
            rate=losses.rate(output),
            l1=losses.l1(x, output.x_hat),
            lpips=self.perceptual(x, output.x_hat).mean() if weights.lpips else 0.0,
            gan=self._adversarial(x, output.x_hat) if weights.gan else 0.0,
        )
        loss = losses.objective(weights, terms)
        self.optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        norm = self.accelerator.clip_grad_norm_([p for g in self.optimizer.param_groups for p in g["params"]], recipe.clip)
        self._must_be_finite({"loss": loss, "gradient": norm} | terms._asdict())
        self.optimizer.step()

        self.aux_optimizer.zero_grad(set_to_none=True)
        aux = self.model.prior.loss()
        aux.backward()
        self.aux_optimizer.step()

        figures = {"level": level, "alpha": weights.rate, "learning_rate": recipe.learning_rate * decay, "loss": loss}
        figures |= {"bpp": terms.rate, "l1": terms.l1, "lpips": terms.lpips, "aux": aux, "gradient": norm}
        if weights.gan:
            figures |= {"gan": terms.gan} | self._train_discriminator(x, output.x_hat, decay)
        return figures

    def _adversarial(self, x: Tensor, x_hat: Tensor) -> Tensor:
        """The generator's loss; the discriminator only passes gradients on and gets none."""
        self.discriminator.requires_grad_(False)
        with self.accelerator.autocast():
            real, fake = self.discriminator(torch.cat([x, x_hat])).float().chunk(2)
        self.discriminator.requires_grad_(True)
        return generator_loss(real, fake)

    def _train_discriminator(self, x: Tensor, x_hat: Tensor, decay: float) -> dict:
        """One step of the discriminator on the pictures of the same step; nothing reaches the generator."""
        self.discriminator_optimizer.param_groups[0]["lr"] = self.recipe.discriminator_rate * decay
        real, fake = self.shared_discriminator(torch.cat([x, x_hat.detach()])).float().chunk(2)
        loss = discriminator_loss(real, fake)
        self.discriminator_optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        norm = self.accelerator.clip_grad_norm_(self.discriminator.parameters(), self.recipe.clip)
        self._must_be_finite({"discriminator": loss, "discriminator_gradient": norm})
        self.discriminator_optimizer.step()
        # how far apart it holds them: 0 when it cannot tell, growing without end when it has won
        return {"discriminator": loss, "discriminator_gap": (real.mean() - fake.mean()).detach(), "discriminator_gradient": norm}

    def _must_be_finite(self, figures: dict) -> None:
        """Stop before a broken step changes any weights, so that what was saved last is good."""
        values = torch.stack([torch.as_tensor(v, device=self.accelerator.device).detach().float() for v in figures.values()])
        if not torch.isfinite(values).all():
            found = ", ".join(f"{name} {value:.3g}" for name, value in zip(figures, values.tolist()))
            raise TrainingError(
                f"not a finite number at step {self.step} (level {self.recipe.level(self.step)}: {found}); "
                f"the last good state is {self.out / 'state.pt'}. A smaller learning rate may help"
            )

    def _summary(self, figures: dict) -> dict:
        """Plain numbers, means over the processes."""
        mean = lambda v: self.accelerator.reduce(v.detach().float(), "mean").item() if isinstance(v, Tensor) else v  # noqa: E731
        return {"step": self.step} | {k: v if k == "level" else float(f"{mean(v):.5g}") for k, v in figures.items()}

    def _batches(self):
        """This process's share of each batch, from the current step to the last."""
        batch, share = self.recipe.batch, self.recipe.batch // self.accelerator.num_processes
        first = self.accelerator.process_index * share
        items = (range(k * batch + first, k * batch + first + share) for k in range(self.step, self.recipe.steps))
        loader = DataLoader(self.crops, batch_sampler=items, num_workers=self.workers, pin_memory=self.workers > 0)
        for x in loader:
            yield x.to(self.accelerator.device, memory_format=torch.channels_last, non_blocking=True)

    # ---------------------------------------------------------------- looking at it

    @torch.no_grad()
    def check(self) -> list[dict]:
        """Rate and quality of real files of scikit-image's photographs, which are never trained on.

        One row a level; the decoded pictures go to ``samples/``. LPIPS on SqueezeNet, where its
        weights are, is a witness that was not trained on. ``gap`` is what the coded latents cost over the float networks'
        parallel estimate, as a fraction of it; ``noise_gap`` is how far the noisy
        estimate that the loss sees is above that one.
        """
        networks = Plic(self.recipe.widths).eval()
        networks.load_state_dict(self.model.state_dict())
        pictures = [sample(name)[:, :256, :384] for name in SAMPLES]
        model = TrainedModel("check", networks, freeze(networks, pictures))
        rows, sheet = [], [torch.cat(pictures, 1)]
        for level in range(model.levels):
            decoded, witness = [], []
            totals = dict.fromkeys(("file", "stream", "estimate", "noisy", "pixels", "psnr", "lpips"), 0.0)
            for x in pictures:
                analysis = codec.analyse(model, x)
                data = codec.encode_latents(model, analysis, level)
                x_hat = codec.decode(model, data)
                decoded.append(x_hat)
                witness.append(metrics.lpips_or_none(x, x_hat, net="squeeze"))
                noisy = networks(x[None], torch.full((1, 1), float(level)), seeds=[0])
                totals["file"] += 8 * len(data)
                totals["stream"] += 8 * len(File.unpack(data).stream)
                totals["estimate"] += codec.estimated_bits(model, analysis, level)
                totals["noisy"] += float(noisy.y_bits.sum() + noisy.z_bits.sum())
                totals["pixels"] += x.shape[1] * x.shape[2]
                totals["psnr"] += metrics.psnr(x, x_hat) / len(pictures)
                if self.perceptual:
                    distance = self.perceptual(*(t[None].to(self.accelerator.device) for t in (x, x_hat)))
                    totals["lpips"] += float(distance) / len(pictures)
            sheet.append(torch.cat(decoded, 1))
            rows.append(
                {
                    "level": level,
                    "bpp": round(totals["file"] / totals["pixels"], 5),
                    "psnr": round(totals["psnr"], 3),
                    "lpips": round(totals["lpips"], 5) if self.perceptual else None,
                    "lpips_squeeze": None if None in witness else round(sum(witness) / len(witness), 5),
                    "gap": round(totals["stream"] / totals["estimate"] - 1, 5),
                    "noise_gap": round(totals["noisy"] / totals["estimate"] - 1, 5),
                }
            )
        (self.out / "samples").mkdir(parents=True, exist_ok=True)
        images.to_image(torch.cat(sheet, 2)).save(self.out / "samples" / f"{self.step:07d}.jpg", quality=90)
        return rows

    def _log(self, figures: dict) -> None:
        if self.accelerator.is_main_process:
            self.out.mkdir(parents=True, exist_ok=True)
            with open(self.out / "log.jsonl", "a") as log:
                log.write(json.dumps(figures) + "\n")
        if self.tensorboard and "loss" in figures:
            self.accelerator.log({k: v for k, v in figures.items() if k not in ("step", "level")}, step=figures["step"])

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
        if self.discriminator:
            state["discriminator"] = self.discriminator.state_dict()
            state["discriminator_optimizer"] = self.discriminator_optimizer.state_dict()
        torch.save(state, self.out / "state.part")
        os.replace(self.out / "state.part", self.out / "state.pt")

    def _resume(self) -> None:
        path = self.out / "state.pt"
        if path.exists():
            self._load(path)
        if len(set(gather_object([self.step]))) > 1:
            raise TrainingError(f"the processes do not all see the same {path}: --out has to be on a disk that all of them share")

    def _load(self, path: Path) -> None:
        state = read_state(path, self.accelerator.device)
        if state["recipe"] != json.dumps(asdict(self.recipe)):
            raise TrainingError(f"{path} belongs to a run with another recipe; use another folder, or delete it to start again")
        self.step, self.steps_before = state["step"], state["steps_before"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.aux_optimizer.load_state_dict(state["aux_optimizer"])
        if self.discriminator:
            self.discriminator.load_state_dict(state["discriminator"])
            self.discriminator_optimizer.load_state_dict(state["discriminator_optimizer"])


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


def start_from(name_or_path: str | Path) -> dict:
    """What a new stage begins with: a run's ``state.pt``, or a checkpoint by name or path.

    Raises TrainingError or CheckpointError where it is neither.
    """
    if Path(name_or_path).suffix == ".pt":
        return read_state(name_or_path)
    model = checkpoint.load(name_or_path)
    return {"model": model.networks.state_dict(), "step": model.about["step"], "steps_before": 0}


def freeze_state(path: str | Path, name: str) -> TrainedModel:
    """The trained model of a state: weights rounded as a checkpoint stores them, integers and tables made."""
    state = read_state(path)
    recipe = json.loads(state["recipe"])
    networks = Plic(Widths(**recipe["widths"])).eval()
    networks.load_state_dict(state["model"])
    frozen = freeze(round_weights_(networks), [sample(name) for name in SAMPLES])
    return TrainedModel(name, networks, frozen, {"step": state["steps_before"] + state["step"], "recipe": recipe})
