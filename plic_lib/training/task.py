"""What the training loop trains: the part that every task shares.

``codec_task.CodecTask`` trains the codec; ``plic_lib.study.enhance.RepairTask`` trains a
network that repairs another codec's pictures. Both make their steps with the same
optimisers, losses and averages.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TypeVar

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import Dataset

from plic_lib import metrics
from plic_lib.errors import Diverged
from plic_lib.training import losses
from plic_lib.training.crops import RandomCrops
from plic_lib.training.losses import Terms
from plic_lib.training.recipe import Recipe
from plic_lib.training.soap import SOAP

OPTIMIZERS = {"adam": torch.optim.Adam, "soap": SOAP}
#: Added to the seed of a step's LPIPS window, which must not hang together with the step's level (``Recipe.level``).
WINDOWS = 1_500_000_001
#: A run that goes on from a restart file has optimisers without a memory; they begin gently, over so many steps.
REWARM = 100


class Task(ABC):
    """One network in training, its optimiser, and its averaged twin.

    Args:
        recipe: what to compute.
        model: the network; ``groups`` of its parameters are trained.
    """

    steps_before = 0  #: of the stages whose weights this run began with
    rewarm_from: int | None = None  #: the step of the restart file that this run went on from

    def __init__(self, recipe: Recipe, model: nn.Module):
        self.recipe, self.model = recipe, model

    def prepare(self, accelerator: Accelerator) -> None:
        """Move to the device and share among the processes (``shared_model``); once, before anything else."""
        self.accelerator, recipe = accelerator, self.recipe
        if accelerator.device.type == "cuda":
            torch.backends.cudnn.benchmark = True  # all crops have one size: let it find the fastest kernels
        place(self.model, accelerator.device)
        self.perceptual = place(metrics.LPIPS(), accelerator.device) if recipe.lpips else None
        self.average = AveragedModel(self.model, multi_avg_fn=_towards(recipe.average)) if recipe.average else None
        optimizer = OPTIMIZERS[recipe.optimizer](self.groups(), lr=recipe.learning_rate)
        self.shared_model, self.optimizer = accelerator.prepare(self.model, optimizer)

    def groups(self) -> list[dict]:
        """Parameter groups, each with its ``speed``: its learning rate, relative to the recipe's."""
        return [{"params": list(self.model.parameters()), "speed": 1.0}]

    def dataset(self, crops: RandomCrops) -> Dataset:
        """What a batch is made of, from the training crops: the crops as they are."""
        return crops

    @abstractmethod
    def step(self, number: int, batch: Tensor) -> dict[str, Tensor | float]:
        """One step of all optimisers; returns its figures. Raises Diverged before a broken one changes weights."""

    @abstractmethod
    def check(self) -> tuple[list[dict], Tensor]:
        """Rows for the log and a sheet (3, H, W) of pictures; asked of the main process only."""

    def checked(self, number: int, rows: list[dict]) -> None:
        """What follows from a check, in every process: nothing, unless a task says otherwise."""
        return None

    # ---------------------------------------------------------------- parts of a step

    def picture_terms(self, number: int, x: Tensor, x_hat: Tensor, weights: Terms) -> Terms:
        """The terms that compare two pictures (B, 3, H, W); a term of weight zero is not computed."""
        return Terms(
            rate=0.0,
            l1=losses.l1(x, x_hat),
            lpips=self._lpips(number, x, x_hat) if weights.lpips else 0.0,
            gan=0.0,
            mse=losses.mse(x, x_hat) if weights.mse else 0.0,
        )

    def _lpips(self, number: int, x: Tensor, x_hat: Tensor) -> Tensor:
        """LPIPS of a window that moves from step to step; networks in the recipe's precision, distances in float32."""
        if shift := self.recipe.lpips_shift:
            generator = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + number + WINDOWS)
            top, left = torch.randint(shift + 1, (2,), generator=generator).tolist()
            size = self.recipe.crop - shift
            x, x_hat = (picture[:, :, top : top + size, left : left + size] for picture in (x, x_hat))
        perceptual = self.perceptual
        assert perceptual is not None, "the recipe has no LPIPS"
        with self.accelerator.autocast():
            with torch.no_grad():
                reference = perceptual.features(x)
            features = perceptual.features(x_hat)
        return perceptual.between(reference, features).mean()

    def descend(self, number: int, loss: Tensor, figures: dict) -> dict:
        """Gradients, clipping, the optimiser's step and the average; returns ``figures`` and what it saw."""
        rate = self.learning_rate(number)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["speed"]
        self.optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        norm = self.accelerator.clip_grad_norm_([p for g in self.optimizer.param_groups for p in g["params"]], self.recipe.clip)
        self.must_be_finite(number, {"loss": loss, "gradient": norm} | figures)
        self.optimizer.step()
        if self.average:
            self.average.update_parameters(self.model)
        return {"learning_rate": rate, "loss": loss, **figures, "gradient": norm}

    def learning_rate(self, number: int) -> float:
        """The recipe's at a step, lower just after a restart."""
        gently = 1.0 if self.rewarm_from is None else min(1.0, (number - self.rewarm_from + 1) / REWARM)
        return self.recipe.learning_rate * self.recipe.rate_factor(number) * gently

    def must_be_finite(self, number: int, figures: dict) -> None:
        """Stop before a broken step changes any weights, so that what was saved last is good."""
        values = torch.stack([torch.as_tensor(v, device=self.accelerator.device).detach().float() for v in figures.values()])
        if not torch.isfinite(values).all():
            found = ", ".join(f"{name} {value:.3g}" for name, value in zip(figures, values.tolist()))
            raise Diverged(
                f"not a finite number at step {number} ({found}); the last saved state is from before it. A smaller learning rate may help"
            )

    def averaged(self) -> nn.Module:
        """The network that checks and frozen models take: with averaged weights where the recipe averages."""
        return self.average.module if self.average else self.model

    # ---------------------------------------------------------------- stop and go on

    def state_dict(self) -> dict:
        """Everything that changes from step to step."""
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "rewarm_from": self.rewarm_from}
        if self.average:
            state |= {"average": self.average.module.state_dict(), "averaged": int(self.average.n_averaged)}
        return state

    def load_state_dict(self, state: dict) -> None:
        """The inverse of ``state_dict``. Averages that a state lacks (its recipe had none) begin with its weights, and the
        optimiser of a restart file, ``states.restart``, begins anew."""
        self.model.load_state_dict(state["model"])
        if "optimizer" in state:
            self.optimizer.load_state_dict(state["optimizer"])
            self.rewarm_from = state.get("rewarm_from")
        else:
            self.rewarm_from = state["step"]
        for group, own in zip(self.optimizer.param_groups, self.groups()):
            group["speed"] = own["speed"]  # a branch may have another one
        if self.average:
            self.average.module.load_state_dict(average_of(state))
            self.average.n_averaged.fill_(state.get("averaged", 0))


Network = TypeVar("Network", bound=nn.Module)


def place(network: Network, device: torch.device) -> Network:
    """Move to a device, weights in the order that convolutions are quickest in."""
    return network.to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def _towards(factor: float):
    """Exponential averaging that forgets the random start: over the last tenth of the steps until that is ``1 / (1 - factor)``."""

    @torch.no_grad()
    def update(averaged: Sequence[Tensor], current: Sequence[Tensor], steps: Tensor | int) -> None:
        done = int(steps)  # once: on a GPU, each look at a number waits for all that is under way
        for mean, value in zip(averaged, current):
            mean.lerp_(value, 1 - min(factor, (1 + done) / (10 + done)))

    return update


def average_of(state: dict) -> dict:
    """The weights that a state stands for: the averaged ones where its recipe averages."""
    return state.get("average") or state["model"]
