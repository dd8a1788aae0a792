"""Runs that differ in one thing each: a queue that can be stopped and goes on.

Every run is the preset ``mini`` shortened to ``RUN_STEPS`` steps, with the changes that
``RUNS`` names, from random weights, on the same crops. Its result is one JSON file; a
run whose file exists is skipped, one that was interrupted resumes where it was.
"""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from plic_lib import codec, files, images
from plic_lib.checkpoint import TrainedModel
from plic_lib.datasets import find, sample
from plic_lib.errors import TrainingError
from plic_lib.model import MINI
from plic_lib.study import evaluation, record
from plic_lib.study.pictures import Pictures, look_at
from plic_lib.training.codec_task import CodecTask
from plic_lib.training.presets import PRESETS
from plic_lib.training.recipe import Recipe
from plic_lib.training.states import freeze_state
from plic_lib.training.trainer import Trainer

RUN_STEPS = 3000
SEEDS = (0, 1)
#: ``mini`` in a short form: the same losses at the same moments of a run that ends with its cooldown; alphas stay where they are.
BASE = replace(PRESETS["mini"], steps=RUN_STEPS, warmup=60, hold=750, ramp=1350, decay=((1350, 0.5),), cooldown=750, targets=())

#: name -> what differs from the variable-rate, asymmetric model without pooling and with an L1 weight of 0.01
RUNS = {
    "variable": {},
    "symmetric": {"widths": replace(MINI, symmetric=True)},
    **{f"fixed-{level}": {"widths": replace(MINI, levels=1), "alphas": (alpha,)} for level, alpha in enumerate(BASE.alphas)},
    "l1-0.04": {"l1": 0.04},
    "pooled": {"widths": replace(MINI, pooled=True)},
}

#: photograph -> top and left of the square piece of it that ``crops`` keeps: a flat sky beside a tower; an eye and fur
PIECES = {"rocket": (24, 40), "chelsea": (60, 130)}
PIECE = 96  #: pixels


def recipe(name: str, seed: int, steps: int = RUN_STEPS) -> Recipe:
    """The recipe of one run."""
    return replace(BASE.scaled(steps), seed=seed, **RUNS[name])


def run(name: str, seed: int, data: list[str], pictures: Pictures, work: Path, results: Path, steps: int = RUN_STEPS) -> Path:
    """Train and evaluate one run, unless its result is there.

    Args:
        data: folders of training pictures.
        pictures: what the files are measured of, at each trained level.
        work: folder for the training state of each run.
        results: folder for one JSON file a run, and for ``crops``.

    Returns:
        The result's path.

    Raises:
        TrainingError: the result that is there was made with another recipe or other pictures.
    """
    path, folder = Path(results) / f"{name}-{seed}.json", state_folder(work, name, seed, data)
    made_of = {"trained_on": contents(data), "sha256": pictures.content}
    if path.exists():
        found = json.loads(path.read_text())
        if not made_with(found, recipe(name, seed, steps)) or any(found.get(key) != value for key, value in made_of.items()):
            raise TrainingError(f"{path} is the result of another recipe or of other pictures; use another folder for the results")
        return path
    Trainer(CodecTask(recipe(name, seed, steps)), data, folder).run()
    model = freeze_state(folder / "state.pt", f"{name}-{seed}")
    crops(model, path.parent / "crops" / f"{name}-{seed}.png")
    levels = [float(level) for level in range(model.levels)]
    rows = list(evaluation.evaluate(model, pictures, levels))
    log = files.read_json_lines(folder / "log.jsonl")
    about = {"run": name, "seed": seed, **record.provenance(model), "evaluated_on": pictures.folder.name, **made_of}
    about["changes"] = {k: asdict(v) if k == "widths" else v for k, v in RUNS[name].items()}
    about["last_training_line"] = next((line for line in reversed(log) if "loss" in line), None)
    totals = [evaluation.summary([row for row in rows if row["level"] == level]) for level in levels]
    files.write_json(path, about | {"totals": totals, "pictures": rows})
    return path


def contents(data: list[str]) -> str:
    """A hash of all training pictures, whatever they are called."""
    return files.sha256_of_all([path for folder in data for path in find(folder)])


def state_folder(work: str | Path, name: str, seed: int, data: list[str]) -> Path:
    """Where the training state of a run lies: other training pictures have another folder."""
    return Path(work) / f"{name}-{seed}-{contents(data)[:8]}"


def made_with(result: dict, recipe: Recipe) -> bool:
    """Whether a result is of this recipe. Settings that came later than the result had no effect then."""
    settings = json.loads(json.dumps(asdict(recipe)))
    return all(settings.get(key) == value for key, value in result["about"]["recipe"].items())


def crops(model: TrainedModel, path: str | Path) -> None:
    """Decode ``PIECES`` at the lowest level and write them side by side: artefacts that outlive the model.

    As PNG, since JPEG would add artefacts of its own.
    """
    pieces = []
    for name, (top, left) in PIECES.items():
        x_hat = codec.decode(model, codec.encode(model, sample(name), 0.0))
        pieces.append(x_hat[:, top : top + PIECE, left : left + PIECE])
    with files.whole(path) as file:
        images.to_image(torch.cat(pieces, 2)).save(file, "PNG", optimize=True)


def run_all(
    names: list[str], seeds: list[int], data: list[str], eval_folder: str, work: Path, results: Path, steps: int = RUN_STEPS
) -> None:
    """``run`` for every name and seed, the first seed of all before the second."""
    pictures = look_at(eval_folder)
    for seed in dict.fromkeys(seeds):
        for name in tqdm(list(dict.fromkeys(names)), desc=f"runs with seed {seed}"):
            run(name, seed, data, pictures, work, results, steps)


def difference(one: dict, other: dict, metric: str) -> float | None:
    """``one`` minus ``other`` at equal rate: the mean over the logarithms of all rates that both reach, straight lines between levels.

    None without common rates, or where the metric was not measured.
    """
    totals = [sorted(result["totals"], key=lambda total: total["bpp"]) for result in (one, other)]
    if any(total[metric] is None for found in totals for total in found):
        return None
    rates = [np.log([total["bpp"] for total in found]) for found in totals]
    low, high = max(r[0] for r in rates), min(r[-1] for r in rates)
    if low >= high:
        return None
    at = np.linspace(low, high, 50)
    first, second = (np.interp(at, r, [total[metric] for total in found]) for r, found in zip(rates, totals))
    return float(np.mean(first - second))


def load(results: str | Path) -> dict[str, list[dict]]:
    """The results in a folder by run, seeds in order."""
    found: dict[str, list[dict]] = {}
    for path in sorted(Path(results).glob("*.json")):
        result = json.loads(path.read_text())
        found.setdefault(result["run"], []).append(result)
    return found
