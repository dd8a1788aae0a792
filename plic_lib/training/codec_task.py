"""Training the codec: one step of all its optimisers, with the paper's objective."""

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from plic_lib.errors import TrainingError
from plic_lib.model import Plic
from plic_lib.training import losses, probe
from plic_lib.training.discriminator import Discriminator, discriminator_loss, generator_loss
from plic_lib.training.recipe import Recipe
from plic_lib.training.task import Task, place

#: How much of a level's error in log-rate a check corrects in log-alpha: slow beside the averaged weights that it looks at.
STEERING = 0.3


class CodecTask(Task):
    """The networks of ``Plic``, the discriminator where the recipe has one, and their optimisers.

    Args:
        recipe: what to compute.
        start: what ``states.start_from`` gave: a second stage begins with those weights.
        compiled: compile encoder, generator and discriminator (pays on a GPU, after a minute or two).
    """

    model: Plic
    networks: type[Plic] = Plic  #: what is trained; a task of your own may name a class derived from it (docs/extending.md)

    def __init__(self, recipe: Recipe, start: dict | None = None, compiled: bool = False):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            super().__init__(recipe, self.networks(recipe.widths).train())
            self.discriminator = Discriminator(recipe.discriminator) if recipe.gan else None
        self.compiled = compiled
        self.alphas = list(recipe.alphas)
        if start is not None:
            try:
                self.model.load_state_dict(start["model"])
            except RuntimeError as error:
                raise TrainingError(f"the networks to start from are of other widths than {recipe.widths}") from error
            self.steps_before = start["steps_before"]

    def prepare(self, accelerator: Accelerator) -> None:
        """As ``Task.prepare``; also ``shared_discriminator``."""
        # the quantiles get the same gradient in every process, from the auxiliary loss alone
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(self.model, ["prior.quantiles"])
        super().prepare(accelerator)
        self.aux_optimizer = torch.optim.Adam([self.model.prior.quantiles], lr=1e-3)
        if self.discriminator:
            place(self.discriminator, accelerator.device)
            optimizer = torch.optim.Adam(self.discriminator.parameters(), lr=self.recipe.discriminator_rate)
            self.shared_discriminator, self.discriminator_optimizer = accelerator.prepare(self.discriminator, optimizer)
        if self.compiled:
            for network in (self.model.encoder, self.model.generator, self.discriminator):
                if network is not None:
                    network.compile()

    def groups(self) -> list[dict]:
        """Networks and gains; the quantiles of z have an optimiser of their own."""
        gains = list(self.model.gain_units.parameters())
        others = {id(p) for p in [*gains, self.model.prior.quantiles]}
        networks = [p for p in self.model.parameters() if id(p) not in others]
        return [{"params": networks, "speed": 1.0}, {"params": gains, "speed": self.recipe.gain_speed}]

    # ---------------------------------------------------------------- a step

    def step(self, number: int, batch: Tensor) -> dict:
        """As ``Task.step``; ``batch`` is (B, 3, crop, crop) in [0, 1]."""
        recipe, x = self.recipe, batch.to(memory_format=torch.channels_last)
        level = recipe.level(number)
        weights = recipe.weights(number, level, self.alphas[level])
        first = number * recipe.batch + self.accelerator.process_index * len(x)
        seeds = [(recipe.seed << 40) + first + i for i in range(len(x))]
        output = self.shared_model(x, torch.full((1, 1), float(level), device=x.device), seeds)
        bpp = losses.rate(output)
        gan = self._adversarial(x, output.x_hat) if weights.gan else 0.0
        terms = self.picture_terms(number, x, output.x_hat, weights)._replace(rate=bpp, gan=gan)
        others = {name: value for name, value in terms._asdict().items() if name != "rate"}
        figures = {"level": level, "alpha": weights.rate, "bpp": bpp, "z_bpp": output.z_bits.detach().sum() / x[:, 0].numel(), **others}
        figures = self.descend(number, losses.objective(weights, terms), figures)
        self.aux_optimizer.zero_grad(set_to_none=True)
        figures["aux"] = self.model.prior.loss()
        figures["aux"].backward()
        self.aux_optimizer.step()
        if weights.gan:
            figures |= self._train_discriminator(number, x, output.x_hat)
        return figures

    def _adversarial(self, x: Tensor, x_hat: Tensor) -> Tensor:
        """The generator's loss; the discriminator only passes gradients on and gets none."""
        judge = self.discriminator
        assert judge is not None, "the recipe has no discriminator"
        judge.requires_grad_(False)
        with self.accelerator.autocast():
            real, fake = judge(torch.cat([x, x_hat])).float().chunk(2)
        judge.requires_grad_(True)
        return generator_loss(real, fake)

    def _train_discriminator(self, number: int, x: Tensor, x_hat: Tensor) -> dict:
        """One step of the discriminator on the pictures of the same step; nothing reaches the generator."""
        self.discriminator_optimizer.param_groups[0]["lr"] = self.recipe.discriminator_rate * self.recipe.rate_factor(number)
        real, fake = self.shared_discriminator(torch.cat([x, x_hat.detach()])).float().chunk(2)
        loss = discriminator_loss(real, fake)
        self.discriminator_optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        norm = self.accelerator.clip_grad_norm_(self.shared_discriminator.parameters(), self.recipe.clip)
        self.must_be_finite(number, {"discriminator": loss, "discriminator_gradient": norm})
        self.discriminator_optimizer.step()
        # how far apart it holds them: 0 when it cannot tell, growing without end when it has won
        return {"discriminator": loss, "discriminator_gap": (real.mean() - fake.mean()).detach(), "discriminator_gradient": norm}

    # ---------------------------------------------------------------- looking at it

    def check(self) -> tuple[list[dict], Tensor]:
        """As ``Task.check``: files of ``probe``'s photographs."""
        networks = self.networks(self.recipe.widths).eval()
        networks.load_state_dict(self.averaged().state_dict())
        return probe.look(networks, perceptual=bool(self.perceptual))

    def checked(self, number: int, rows: list[dict]) -> None:
        """As ``Task.checked``: move each level's alpha a little towards its target rate."""
        if self.recipe.steers(number):
            for row, target in zip(rows, self.recipe.targets):
                error = min(max(row["bpp"] / target, 0.5), 2.0)
                self.alphas[row["level"]] *= error**STEERING

    # ---------------------------------------------------------------- stop and go on

    def state_dict(self) -> dict:
        """As ``Task.state_dict``."""
        state = super().state_dict() | {"alphas": list(self.alphas), "aux_optimizer": self.aux_optimizer.state_dict()}
        if self.discriminator:
            state["discriminator"] = self.discriminator.state_dict()
            state["discriminator_optimizer"] = self.discriminator_optimizer.state_dict()
        return state

    def load_state_dict(self, state: dict) -> None:
        """As ``Task.load_state_dict``."""
        super().load_state_dict(state)
        self.alphas = list(state["alphas"])
        if "aux_optimizer" in state:
            self.aux_optimizer.load_state_dict(state["aux_optimizer"])
        if self.discriminator:
            self.discriminator.load_state_dict(state["discriminator"])
            if "discriminator_optimizer" in state:
                self.discriminator_optimizer.load_state_dict(state["discriminator_optimizer"])
