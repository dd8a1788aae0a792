"""A recipe: everything that decides what a training computes, and nothing else."""

import json
import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import torch

from plic_lib.errors import UsageError
from plic_lib.model import PAPER, Widths
from plic_lib.training.losses import Terms


@dataclass(frozen=True)
class Recipe:
    """The settings of one run. Times are steps, counted from 0.

    >>> recipe = Recipe(steps=1000, alphas=(2.0, 1.0, 0.5), hold=200, ramp=600, alpha_start=0.25)
    >>> [recipe.weights(step, level=0).rate for step in (0, 200, 400, 600)]
    [0.5, 0.5, 1.0, 2.0]
    """

    widths: Widths = PAPER
    steps: int = 800_000
    batch: int = 8  #: of all processes together
    crop: int = 256  #: pixels, a multiple of 64
    downscale: tuple[float, float] = (0.5, 1.0)
    smooth: float = 0.0  #: share of the crops that are smooth surfaces; never shown any, a context model may lose its way on an even grey
    seed: int = 0
    optimizer: str = "adam"  #: of the networks: "adam" (the paper's) or "soap"
    learning_rate: float = 1e-4
    warmup: int = 0  #: the learning rate rises to its value over so many steps
    #: (step, factor): from this step on, the learning rate is this multiple of the first one
    decay: tuple[tuple[int, float], ...] = ((160_000, 0.5), (500_000, 0.25))
    cooldown: int = 0  #: over so many last steps the learning rate falls to zero, by 1 - sqrt
    gain_speed: float = 10.0  #: learning rate of the gains, relative; each sees 1/n of the steps
    clip: float = 1.0  #: largest norm of the gradient
    average: float = 0.0  #: checks and frozen models take weights averaged with this factor a step; 0: the last ones
    #: weights of the objective: rate (one a level, level 0 first), L1 on 0-255, squared error on 0-255, LPIPS, adversarial
    alphas: tuple[float, ...] = (4.7, 2.6, 1.6)
    #: bits per pixel of the check's files that each level's alpha is steered to between ``ramp`` and the cooldown; empty: fixed
    targets: tuple[float, ...] = ()
    l1: float = 0.01
    mse: float = 0.0
    lpips: float = 1.0
    lpips_shift: int = 0  #: LPIPS sees a window moved by up to so many pixels, so that no grid of its strides is favoured
    gan: float = 0.0
    gan_from: int = 0  #: the discriminator joins at this step
    discriminator: int = 64  #: channels of its first layers
    discriminator_rate: float = 1e-4  #: its learning rate, with the same decay
    #: a first phase, up to ``hold``, starts with other weights: alphas times ``alpha_start``, L1 ``l1_start``,
    #: LPIPS times ``lpips_start``; until ``ramp`` they move to their final values. From random weights
    #: with the full alphas the rate collapses to almost nothing and does not come back.
    alpha_start: float = 0.05
    l1_start: float = 0.01
    lpips_start: float = 1.0
    hold: int = 0
    ramp: int = 400_000
    precision: str = "no"  #: "bf16" runs encoder, generator, LPIPS and discriminator in bfloat16

    def __post_init__(self):
        pairs = all(type(pair) is tuple and len(pair) == 2 and _numbers(pair) for pair in self.decay)
        factors = len(self.downscale) == 2 and _numbers(self.downscale) and 0 < self.downscale[0] <= self.downscale[1]
        each = f"one number for each of the {self.widths.levels} levels"
        for name, right, wanted in (
            ("steps", self.steps >= 1, "at least 1"),
            ("batch", self.batch >= 1, "at least 1"),
            ("crop", self.crop >= 64 and self.crop % 64 == 0, "a multiple of 64 pixels"),
            ("downscale", factors, "two factors above 0, the smaller one first"),
            ("seed", 0 <= self.seed < 2**23, "between 0 and 8388607"),  # it is the upper half of the seeds of all crops
            ("optimizer", self.optimizer in ("adam", "soap"), "adam or soap"),
            ("precision", self.precision in ("no", "bf16"), "no or bf16"),
            ("learning_rate", self.learning_rate > 0, "above 0"),
            ("decay", pairs, "a list of pairs, as in [[1000,0.5],[2000,0.1]]"),
            ("warmup", self.warmup >= 0, "at least 0"),
            ("clip", self.clip > 0, "above 0"),
            ("alphas", len(self.alphas) == self.widths.levels and _numbers(self.alphas), each),
            (
                "targets",
                len(self.targets) in (0, self.widths.levels) and _numbers(self.targets) and min(self.targets, default=1) > 0,
                f"empty, or {each}, above 0",
            ),
            ("average", 0 <= self.average < 1, "in [0, 1)"),
            ("smooth", 0 <= self.smooth < 1, "in [0, 1)"),
            ("hold", 0 <= self.hold <= self.ramp, "between 0 and ramp"),
            ("cooldown", 0 <= self.cooldown <= self.steps, "between 0 and steps"),
            ("lpips_shift", 0 <= self.lpips_shift <= self.crop - 48, "between 0 and crop - 48"),
            ("discriminator", self.discriminator >= 1, "at least 1"),
            ("discriminator_rate", self.discriminator_rate > 0, "above 0"),
        ):
            if not right:
                raise UsageError(f"{name} = {getattr(self, name)!r}: has to be {wanted}")

    # ---------------------------------------------------------------- what a step computes

    def weights(self, step: int, level: int = 0, alpha: float | None = None) -> Terms:
        """Weights of the five terms at a step that trains ``level``; ``alpha`` stands for the level's own where it is steered."""
        if step >= self.ramp:
            t = 1.0
        else:
            t = 0.0 if step <= self.hold else (step - self.hold) / (self.ramp - self.hold)
        return Terms(
            rate=(self.alphas[level] if alpha is None else alpha) * self.alpha_start ** (1 - t),
            l1=self.l1_start * (1 - t) + self.l1 * t,
            lpips=self.lpips * (self.lpips_start * (1 - t) + t),
            gan=self.gan if step >= self.gan_from else 0.0,
            mse=self.mse,
        )

    def rate_factor(self, step: int) -> float:
        """What the learning rates are multiplied with at a step."""
        factor = next((factor for first, factor in reversed(self.decay) if step >= first), 1.0)
        if step < self.warmup:
            factor *= (step + 1) / self.warmup
        if self.cooldown and step > (first := self.steps - self.cooldown):
            factor *= 1 - math.sqrt(min(1.0, (step - first) / self.cooldown))
        return factor

    def steers(self, step: int) -> bool:
        """Whether the alphas follow their rates at a step."""
        return bool(self.targets) and self.ramp <= step < self.steps - self.cooldown

    def level(self, step: int) -> int:
        """The level that this step trains, uniform over all."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        return int(torch.randint(len(self.alphas), (1,), generator=generator))

    # ---------------------------------------------------------------- changing it

    def scaled(self, steps: int) -> "Recipe":
        """The same course in another number of steps: all times keep their proportion."""
        f = steps / self.steps
        times = {name: round(getattr(self, name) * f) for name in ("warmup", "cooldown", "gan_from", "hold", "ramp")}
        return replace(self, steps=steps, decay=tuple((round(first * f), factor) for first, factor in self.decay), **times)

    def replaced(self, changes: list[str]) -> "Recipe":
        """With ``FIELD=JSON`` changes, as typed after ``--set``. ``steps`` scales all times, before the other changes.

        Raises:
            UsageError: an unknown field, a value that is no JSON or of another type.

        >>> Recipe().replaced(["steps=8000", "alphas=[2,1,0.5]"]).ramp
        4000
        """
        values: dict[str, Any] = dict(_parsed(change) for change in changes)
        recipe = self.scaled(values.pop("steps")) if values.get("steps", 0) >= 1 else self
        return replace(recipe, **values)

    def branched(self, step: int, cooldown: int | None, changes: list[str]) -> "Recipe":
        """What a branch from the state at ``step`` computes: this recipe with changes, to the end or to that of a cooldown.

        Times stay where they are; ``steps`` among the changes is where the branch ends.
        """
        values: dict[str, Any] = dict(_parsed(change) for change in changes)
        recipe = replace(self, **values)
        return recipe if cooldown is None else replace(recipe, steps=step + cooldown, cooldown=cooldown)

    def to_json(self) -> str:
        """As a training state and a log keep it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Recipe":
        """The inverse of ``to_json``. Fields that came later than the text have their defaults, which change nothing."""
        values: dict[str, Any] = {name: _tuples(value) for name, value in json.loads(text).items()}
        values["widths"] = Widths(**values["widths"])
        if unknown := values.keys() - {field.name for field in fields(cls)}:
            raise UsageError(f"a recipe of another version of plic: this one does not know {', '.join(sorted(unknown))}")
        return cls(**values)


_SETTABLE = {f.name: f for f in fields(Recipe) if f.name != "widths"}


def _parsed(change: str) -> tuple[str, object]:
    """One ``FIELD=JSON`` as the recipe keeps it."""
    name, _, text = change.partition("=")
    if name not in _SETTABLE:
        raise UsageError(f"--set {change}: the recipe has no field {name!r}; it has {', '.join(_SETTABLE)}")
    default = _SETTABLE[name].default
    if isinstance(default, str):
        return name, text.strip('"')
    wanted = {int: "a whole number", float: "a number", tuple: "a list of numbers, as in [2,0.7,0.2]"}[type(default)]
    try:
        value = _tuples(json.loads(text, parse_constant=lambda _: None))
    except json.JSONDecodeError as error:
        raise UsageError(f"--set {change}: {text!r} is not {wanted}") from error
    if type(default) is float and type(value) is int:
        value = float(value)
    if type(value) is not type(default):
        raise UsageError(f"--set {change}: {name} is {wanted}")
    return name, value


def _numbers(values: tuple) -> bool:
    return all(type(value) in (int, float) for value in values)


def _tuples(value: object) -> object:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value
