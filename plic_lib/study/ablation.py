"""What each change is worth: runs that differ in one thing, given equal CPU-seconds (docs/ablation.md).

The run ``base`` is the preset ``mini`` in a short form, and the CPU-seconds of its ``STEPS``
steps are everybody's; only ``thrice`` differs in them. A run whose steps cost more or less gets fewer or more of them; what
they cost is measured once, step by step in turn with the base's, and kept in
``prices.json``. From there on all is a function of the seed, so the queue can be stopped
at any moment: a result that is there is kept, a run that was interrupted resumes where it was.
"""

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from plic_lib import codec, files, images
from plic_lib.checkpoint import TrainedModel
from plic_lib.datasets import find, sample
from plic_lib.errors import Diverged, TrainingError
from plic_lib.model import MINI
from plic_lib.study import compare, cost, evaluation, record
from plic_lib.study.pictures import Pictures, look_at
from plic_lib.training.presets import PRESETS
from plic_lib.training.recipe import Recipe
from plic_lib.training.states import freeze_state
from plic_lib.training.trainer import Trainer

STEPS = 1400  #: of the base: about twelve CPU-minutes
SEEDS = (0, 1)
#: ``mini`` in a short form that ends with its cooldown: the same losses, alphas that stay where they are.
BASE = replace(PRESETS["mini"], steps=STEPS, warmup=50, hold=350, ramp=630, decay=((630, 0.5),), cooldown=350, targets=())


def _networks_learn(optimizer: str, rate: float) -> dict:
    """Another optimiser or learning rate of the networks; the gains, which every optimiser trains alike, keep theirs."""
    return {"optimizer": optimizer, "learning_rate": rate, "gain_speed": BASE.learning_rate * BASE.gain_speed / rate}


#: name -> what differs from the base, which has SOAP at 0.002, averaged weights, LPIPS on windows that move, distortion first, a cooldown,
#: an L1 weight of 0.02, no pooling, asymmetric densities, and one model for all three rates
RUNS: dict[str, dict] = {
    "base": {},
    **{f"adam-{rate:g}": _networks_learn("adam", rate) for rate in (4e-4, 8e-4, 1.6e-3, 3.2e-3)},
    **{f"soap-{rate:g}": _networks_learn("soap", rate) for rate in (1e-3, 4e-3, 8e-3)},
    "symmetric": {"widths": replace(MINI, symmetric=True)},
    **{f"fixed-{level}": {"widths": replace(MINI, levels=1), "alphas": (alpha,)} for level, alpha in enumerate(BASE.alphas)},
    "thrice": {},
    "no-average": {"average": 0.0},
    "no-shift": {"lpips_shift": 0},
    "lpips-at-once": {"lpips_start": BASE.lpips, "l1_start": BASE.l1},
    "pooled": {"widths": replace(MINI, pooled=True)},
    "no-cooldown": {"cooldown": 0},
    "l1-0.04": {"l1": 0.04},
}
#: a run that is given the base's CPU-seconds so many times: one model for all rates, with the time of the three fixed ones together
TIMES = {"thrice": 3}

#: photograph -> top and left of the square piece of it that ``crops`` keeps: a flat sky beside a tower; an eye and fur
PIECES = {"rocket": (24, 40), "chelsea": (60, 130)}
PIECE = 96  #: pixels


def recipe(name: str, seed: int, steps: int = STEPS) -> Recipe:
    """The recipe of one run in so many steps of its own."""
    return replace(BASE.scaled(steps), seed=seed, **RUNS[name])


# ---------------------------------------------------------------- equal CPU-seconds


def steps_for(name: str, data: list[str], results: str | Path, steps: int = STEPS) -> int:
    """How many steps of a run take its CPU-seconds: those of ``steps`` of the base, or ``TIMES`` as many.

    Measured where ``results/prices.json`` has no price yet.
    """
    steps *= TIMES.get(name, 1)
    if (like := _priced_like(name)) == "base":
        return steps
    path = Path(results) / "prices.json"
    prices = json.loads(path.read_text()) if path.exists() else {}
    if like not in prices:
        prices[like] = cost.of_a_step({"run": recipe(like, 0), "base": recipe("base", 0)}, data)
        files.write_json(path, prices)
    return max(1, round(steps * prices[like]["base"] / prices[like]["run"]))


def _priced_like(name: str) -> str:
    """The first run whose steps cost the same: it computes as much, with other numbers."""

    def computed(name: str) -> Recipe:
        found = recipe(name, 0)
        numbers = {"learning_rate": 1.0, "gain_speed": 1.0, "l1": 1.0, "cooldown": 0, "alphas": (1.0,)}
        return replace(found, widths=replace(found.widths, levels=1), **numbers)

    return next(other for other in RUNS if computed(other) == computed(name))


# ---------------------------------------------------------------- the queue


def run(name: str, seed: int, data: list[str], pictures: Pictures, work: str | Path, results: str | Path, steps: int = STEPS) -> Path:
    """Train and evaluate one run, unless its result is there.

    Args:
        data: folders of training pictures.
        pictures: what the files are measured of, at each trained level.
        work: folder for the training state of each run.
        results: folder for one JSON file a run, for ``prices.json`` and for ``crops``.
        steps: of the base.

    Returns:
        The result's path. A run that diverged has a result without figures that says so.

    Raises:
        TrainingError: the result that is there was made with another recipe or other pictures.
    """
    path, folder = Path(results) / f"{name}-{seed}.json", state_folder(work, name, seed, data)
    planned = recipe(name, seed, steps_for(name, data, results, steps))
    made_of = {"trained_on": contents(data), "sha256": pictures.content}
    if path.exists():
        found = json.loads(path.read_text())
        if not made_with(found, planned) or any(found.get(key) != value for key, value in made_of.items()):
            raise TrainingError(f"{path} is the result of another recipe or of other pictures; use another folder for the results")
        return path
    about = {"run": name, "seed": seed, "evaluated_on": pictures.folder.name, **made_of}
    about["changes"] = {k: asdict(v) if k == "widths" else v for k, v in RUNS[name].items()}
    task = cost.Timed(planned)
    trainer = Trainer(task, data, folder)
    device = trainer.accelerator.device
    about["device"] = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    try:
        trainer.run(save_every=200, check_every=planned.steps)
    except Diverged as error:
        diverged = {"about": {"step": trainer.step, "recipe": asdict(planned)}, "cpu_seconds": task.cpu_seconds, "diverged": str(error)}
        files.write_json(path, about | diverged | {"totals": []})
        return path
    start = time.process_time()
    model = freeze_state(folder / "state.pt", f"{name}-{seed}").to(device)
    crops(model, path.parent / "crops" / f"{name}-{seed}.png")
    levels = [float(level) for level in range(model.levels)]
    rows = list(evaluation.evaluate(model, pictures, levels))
    about |= record.provenance(model)
    if device.type == "cpu":  # elsewhere the process only waits
        about |= {"cpu_seconds": task.cpu_seconds, "evaluation_cpu_seconds": time.process_time() - start}
    about["last_training_line"] = next((row for row in reversed(files.read_json_lines(folder / "log.jsonl")) if "loss" in row), None)
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
    names: Iterable[str],
    seeds: Iterable[int],
    data: list[str],
    eval_folder: str,
    work: str | Path,
    results: str | Path,
    steps: int = STEPS,
) -> None:
    """``run`` for every name and seed, the first seed of all before the second."""
    pictures = look_at(eval_folder)
    for seed in dict.fromkeys(seeds):
        for name in tqdm(list(dict.fromkeys(names)), desc=f"runs with seed {seed}"):
            run(name, seed, data, pictures, work, results, steps)


def progress(names: Iterable[str], seeds: Iterable[int], data: list[str], work: str | Path, results: str | Path) -> dict[str, float]:
    """How much of each run's training is done, by "name-seed": 1 only when its result is there."""
    done = {}
    for seed in dict.fromkeys(seeds):
        for name in dict.fromkeys(names):
            log = state_folder(work, name, seed, data) / "log.jsonl"
            rows = files.read_json_lines(log) if log.exists() else []
            steps = [row["recipe"]["steps"] for row in rows if "recipe" in row]
            share = max((row["step"] for row in rows if "step" in row), default=0) / steps[-1] if steps else 0.0
            done[f"{name}-{seed}"] = 1.0 if (Path(results) / f"{name}-{seed}.json").exists() else min(share, 0.99)
    return done


# ---------------------------------------------------------------- reading the results


def load(results: str | Path) -> dict[str, list[dict]]:
    """The results in a folder by run, seeds in order."""
    found: dict[str, list[dict]] = {}
    for path in sorted(Path(results).glob("*-[0-9]*.json")):
        result = json.loads(path.read_text())
        found.setdefault(result["run"], []).append(result)
    return found


def curve(results: list[dict], metric: str) -> compare.Curve | None:
    """Rates, ascending, and a metric, of all levels of a result, or of several: models of one rate each. None where it was not measured."""
    points = sorted(((total["bpp"], total[metric]) for result in results for total in result["totals"]), key=lambda point: point[0])
    if not points or any(value is None for _, value in points):
        return None
    bpp, values = np.array(points, float).T
    return bpp, values


def difference(one: dict, other: dict, metric: str) -> float | None:
    """``one`` minus ``other`` at equal rate: the mean over the logarithms of all rates that both reach, straight lines between levels.

    None without common rates, or where the metric was not measured.
    """
    first, second = curve([one], metric), curve([other], metric)
    if first is None or second is None:
        return None
    low, high = max(first[0][0], second[0][0]), min(first[0][-1], second[0][-1])
    if low >= high:
        return None
    at = np.linspace(np.log(low), np.log(high), 50)
    return float(np.mean(np.interp(at, np.log(first[0]), first[1]) - np.interp(at, np.log(second[0]), second[1])))


def worth(found: dict[str, list[dict]], metric: str) -> dict[str, dict[int, tuple[float | None, float]]]:
    """Bytes that each run needs more than the base of the same seed for equal quality, as ``compare.bd_rate`` has it.

    The three fixed models of a seed count as one, "fixed". The base's own line is against its first seed: as far as
    that, two runs of one recipe are apart, and what is nearer than that is no difference.

    Returns:
        run -> seed -> (percent, overlap of the qualities); None where there is nothing to compare.
    """
    runs: dict[str, dict[int, list[dict]]] = {"base": {}}
    for result in (result for results in found.values() for result in results):
        name = "fixed" if result["run"].startswith("fixed-") else result["run"]
        runs.setdefault(name, {}).setdefault(result["seed"], []).append(result)
    base = runs["base"]
    rows: dict[str, dict[int, tuple[float | None, float]]] = {}
    for name, seeds in runs.items():
        for seed, results in sorted(seeds.items()):
            anchor = base.get(min(base)) if name == "base" else base.get(seed)
            complete = name != "fixed" or len(results) == len(BASE.alphas)
            if anchor is not None and anchor is not results and complete:
                first, second = curve(anchor, metric), curve(results, metric)
                rows.setdefault(name, {})[seed] = compare.bd_rate(first, second, metric) if first and second else (None, 0.0)
    return rows
