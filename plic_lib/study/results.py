"""Rate and quality of every codec over a folder of pictures, from real files.

A *point* is one codec at one quality over all pictures. Each point is a JSON file of its
own until all are there: a run that is stopped goes on, and the processes that
``accelerate launch`` starts share the points. A point is found again by what it was made
of: the contents of the pictures, the codec's settings or model, and the metrics.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from accelerate import Accelerator, InitProcessGroupKwargs
from tqdm.auto import tqdm

from plic_lib import files, images, metrics
from plic_lib.checkpoint import TrainedModel
from plic_lib.errors import CodecFailed
from plic_lib.study import evaluation, rivals
from plic_lib.study.codecs import Codec, ours
from plic_lib.study.measure import METRICS, mean, measure
from plic_lib.study.pictures import Pictures, named
from plic_lib.study.sets import NETS, SetQuality

TARGETS = (0.075, 0.15, 0.3)  #: bits per pixel over the whole set, as in the challenge (paper, Table 1)


class Task(NamedTuple):
    """One point to measure."""

    codec: Codec
    quality: float | None  #: None: the level at which ``model`` meets ``target``
    model: TrainedModel | None = None
    target: float | None = None

    def path(self, work: Path, pictures: Pictures) -> Path:
        """Where its point lies: named so that a person can tell, and by all that it depends on."""
        depends = {"pictures": pictures.content, "codec": self.codec.settings(), "at": [self.quality, self.target], "metrics": _here()}
        key = hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:16]
        name = "".join(c if c.isalnum() else "_" for c in self.codec.name)
        return work / f"{name}-{f'{self.target:g}bpp' if self.quality is None else f'{self.quality:g}'}-{key}.json"


def run(
    pictures: Pictures,
    models: list[TrainedModel],
    work: str | Path,
    names: Iterable[str] | None = None,
    levels: Iterable[float] | None = None,
) -> dict | None:
    """Measure everything that is not measured yet, and gather it.

    Args:
        pictures: what ``pictures.look_at`` found.
        models: ours.
        work: folder for the points.
        names: some of ``rivals.CODECS``; all without it.
        levels: at which ours are measured; without it at every quarter of one, and where they meet ``TARGETS`` over the whole set.

    Returns:
        ``pictures``, ``codecs`` (what they ran with, and their points, fewest bits first), ``targets`` (our models at the three
        rates), ``missing`` (codecs and metrics that cannot run here, or failed, with the reason); None in processes
        other than the first.
    """
    processes = Accelerator(kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(days=1))])
    work = Path(work)
    wanted = [rivals.CODECS[name] for name in dict.fromkeys(rivals.CODECS if names is None else names)]
    missing = {codec.name: reason for codec in wanted if (reason := codec.missing())}
    tasks = [Task(codec, quality) for codec in wanted if codec.name not in missing for quality in codec.qualities]
    for codec, model in _labelled(models):
        tasks += [Task(codec, quality, model) for quality in (codec.qualities if levels is None else levels)]
        tasks += [Task(codec, None, model, target) for target in TARGETS if levels is None]
    mine = tasks[processes.process_index :: processes.num_processes]
    for task in tqdm(mine, desc="points", disable=not processes.is_main_process):
        path = task.path(work, pictures)
        if "point" not in read(path):
            files.write_json(path, _attempt(task, pictures))
    processes.wait_for_everyone()
    return _gather(tasks, work, pictures, missing) if processes.is_main_process else None


def _labelled(models: list[TrainedModel]) -> list[tuple[Codec, TrainedModel]]:
    """Each model once, under a name that no other codec has: two files of one name are told apart by their hashes."""
    models = list({model.hash: model for model in models}.values())
    taken = [model.name for model in models] + list(rivals.CODECS)
    label = lambda model: model.name if taken.count(model.name) == 1 else f"{model.name} {model.hash[:8]}"
    return [(replace(ours(model), name=label(model)), model) for model in models]


def _here() -> list[str]:
    """The networks whose weights are here: what decides which metrics a point has."""
    return [net for net in metrics.WEIGHT_FILES if not metrics.weights_fault(net)]


def read(path: Path) -> dict:
    """A file of a point or of all results; empty where there is none, or half of one."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _attempt(task: Task, pictures: Pictures) -> dict:
    """The point, or the reason why a codec has none: then the others are measured all the same."""
    try:
        quality = task.quality
        if quality is None:
            assert task.model is not None and task.target is not None, "without a quality there is a rate for a model to meet"
            quality = evaluation.level_for_bpp(task.model, pictures, task.target)
        return {"point": point(task.codec, quality, pictures)}
    except CodecFailed as error:
        return {"reason": str(error)}


def point(codec: Codec, quality: float, pictures: Pictures) -> dict:
    """Lists over the pictures of bytes, seconds and every metric, and KID and FID of the set. Raises CodecFailed with the file's name."""
    rows, whole = [], SetQuality()
    for path in tqdm(pictures.paths, desc=f"{codec.name} {quality:g}", leave=False):
        with named(path):
            measured = measure(codec, images.read(path), quality)
            whole.add(measured.picture, measured.decoded)
            row = measured.row()
            rows.append(
                {name: float(f"{value:.6g}") if isinstance(value, float) else value for name, value in row.items() if name != "bpp"}
            )
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    whole_set = whole.figures() | {"kid_squeeze_pairs": whole.squeeze_pairs()}
    return {"quality": quality, **whole_set, **{name: None if set(column) == {None} else column for name, column in columns.items()}}


def _gather(tasks: list[Task], work: Path, pictures: Pictures, missing: dict[str, str]) -> dict:
    """All points in one table."""
    result = {"pictures": pictures.rows(), "sha256": pictures.content, "codecs": {}, "targets": {}, "missing": missing}
    found = [(task, read(task.path(work, pictures))) for task in tasks]
    missing |= {task.codec.name: content.get("reason", "not measured") for task, content in found if "point" not in content}
    missing |= {metric: "weights not here, see plic doctor" for net, metric in metrics.NEEDED_FOR.items() if net not in _here()}
    for task, content in found:
        name = task.codec.name
        if name in missing:
            continue
        if task.target is None:
            about = {"hash": task.model and task.model.hash, "settings": task.codec.settings(), "points": []}
            result["codecs"].setdefault(name, about)["points"].append(content["point"])
        else:
            result["targets"].setdefault(name, []).append({"target": task.target, **_table_row(content["point"], pictures)})
    return result


def _table_row(point: dict, pictures: Pictures) -> dict:
    """One line of Table 1: over all pixels as the challenge's script counts, and as means over the pictures."""
    return {
        "level": point["quality"],
        "bpp": 8 * sum(point["bytes"]) / sum(pictures.pixels),
        **evaluation.pooled({name: point[name] or [None] * len(pictures.paths) for name in ("psnr", "ms_ssim")}, pictures.pixels),
        **{name: mean(point[name] or []) for name in METRICS},
        **{name: point.get(name) for name in ("patches", *NETS)},
    }
