"""Training states on disk: read one, begin from one, freeze one into a model."""

import json
import zipfile
from pathlib import Path

import torch

from plic_lib import checkpoint, files
from plic_lib.checkpoint import TrainedModel, round_weights_
from plic_lib.datasets import SAMPLES, sample
from plic_lib.errors import TrainingError
from plic_lib.gain import GainUnits
from plic_lib.integer import freeze
from plic_lib.model import Plic
from plic_lib.training.recipe import Recipe
from plic_lib.training.task import average_of

#: Of what ``Trainer.save`` writes. A state of another format is refused; new keys do not need a new format.
FORMAT = 2


def read(path: str | Path, device: str | torch.device = "cpu") -> dict:
    """A training state, without executing code from it. Raises TrainingError where it is none."""
    try:
        with open(path, "rb") as file:  # of a path, torch.load looks at the suffix
            state = torch.load(file, map_location=device, weights_only=True)
        found = state["format"]
        if missing := {"recipe", "step", "steps_before", "model"} - state.keys():
            raise KeyError(missing)
    except FileNotFoundError as error:
        raise TrainingError(f"{path}: there is no such file") from error
    except Exception as error:  # torch and pickle raise many kinds for a file that is not theirs
        raise TrainingError(
            f"{path}: not a training state of plic, or one from before format {FORMAT} ({error.__class__.__name__})"
        ) from error
    if found != FORMAT:
        raise TrainingError(f"{path}: a training state of format {found}; this version of plic reads format {FORMAT}")
    return state


def is_state(path: str | Path) -> bool:
    """Whether a file is a training state and no checkpoint, whatever it is called: ``torch.save`` writes zip archives."""
    return zipfile.is_zipfile(path)


def restart(path: str | Path, out: str | Path) -> int:
    """Write the small part of a state from which its run can go on: all networks and numbers, averages in half
    precision, but no memory of the optimisers. A third of its size; the first steps after it are smaller ones.

    Returns:
        The state's step.
    """
    state = read(path)
    small = {name: value for name, value in state.items() if not name.endswith("optimizer")}
    if "average" in small:
        small["average"] = {name: value.bfloat16() if value.is_floating_point() else value for name, value in small["average"].items()}
    with files.whole(out) as file:
        torch.save(small, file)
    return state["step"]


def start_from(name_or_path: str | Path) -> dict:
    """What a new stage begins with: a run's ``state.pt``, a restart file, or a checkpoint by name or path.

    Returns:
        ``model``, a state dict, and ``steps_before``, how long it was trained.

    Raises TrainingError or CheckpointError where it is none of them.
    """
    if is_state(name_or_path):
        state = read(name_or_path)
        return {"model": average_of(state), "steps_before": state["step"] + state["steps_before"]}
    model = checkpoint.load(name_or_path)
    before = model.about.get("step", 0)  # who wrote the checkpoint need not have said so
    return {"model": model.networks.state_dict(), "steps_before": before if isinstance(before, int) else 0}


def freeze_state(path: str | Path, name: str, networks: type[Plic] = Plic, top: float | None = None) -> TrainedModel:
    """The trained model of a state: weights rounded as a checkpoint stores them, integers and tables made.

    Args:
        name: the model's.
        networks: what was trained, where that is a class derived from ``Plic``.
        top: the level that becomes the highest, where the trained one spends more bits than it should; see ``lower_top_``.
    """
    state = read(path)
    recipe = Recipe.from_json(state["recipe"])
    trained = networks(recipe.widths).eval()
    try:
        trained.load_state_dict(average_of(state))
    except RuntimeError as error:
        raise TrainingError(f"{path}: a training's state, but not of a codec with the widths {recipe.widths}") from error
    if top is not None:
        lower_top_(trained.gain_units, top)
    frozen = freeze(round_weights_(trained), [sample(name) for name in SAMPLES])
    steps = state["steps_before"] + state["step"]
    return TrainedModel(name, trained, frozen, {"step": steps, "recipe": json.loads(state["recipe"]), "top": top})


@torch.no_grad()
def lower_top_(units: GainUnits, top: float) -> None:
    """Make this level the highest, in place: those above are dropped, and those below keep their gains under other numbers.

    Between the last two pairs of vectors the logarithms lie on straight lines, and any point of a line can be its end. Of n
    levels, what was n - 2 + a is then n - 2 + a / t, with t = top - (n - 2).

    Raises:
        TrainingError: a level that is not between n - 2 and n - 1.
    """
    last = units.levels - 1
    if not last - 1 < top < last:
        raise TrainingError(f"the level to be the highest lies between {last - 1} and {last}, and {top:g} does not")
    level = torch.full((1, 1), top)
    for theta, gain in ((units.theta, units.gain(level)), (units.theta_inverse, units.inverse_gain(level))):
        theta[last] = gain.flatten().log()
