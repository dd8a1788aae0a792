"""What each part of coding takes on one core: here, here in bfloat16, and in other checkouts of plic.

Each has a process of its own (``worker``), which loads the model once and codes the picture
when it is told to: all take turns in every run, so a machine whose speed drifts does so for
all of them. What counts is the processor's time, not the clock's.
"""

import contextlib
import json
import math
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from plic_lib import checkpoint, images
from plic_lib.checkpoint import TrainedModel
from plic_lib.errors import UsageError
from plic_lib.inference import fast_type
from plic_lib.study import record
from plic_lib.study.bench import worker
from plic_lib.study.bench.inputs import picture, shape

HERE = Path(__file__).resolve().parents[3]
PARTS = ("encoder", "entropy encoding", "entropy decoding", "generator")


def run(model: TrainedModel, against: Iterable[str | Path] = (), megapixels: float = 1.0, runs: int = 5) -> dict:
    """Seconds a megapixel of each part, and what bfloat16 costs where the processor has it.

    Args:
        against: folders of other checkouts, as ``git worktree add`` makes them.

    Returns:
        ``rows``, one for each of the processes: ``where``, ``type``, medians of ``PARTS``, of ``encode`` and
        ``decode`` (two parts each) in seconds a megapixel, ``bytes`` and ``psnr`` at the middle
        level; and with each but the first, medians of the ratios to it, run by run (``_ratio``, above 1: slower).

    Raises:
        UsageError: a folder that holds no plic, or one that cannot use the model.
    """
    height, width = shape(megapixels)
    wanted = [(HERE, "float32")] + [(HERE, "bfloat16")] * (fast_type() == torch.bfloat16) + [(Path(path), "float32") for path in against]
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        path, image = Path(folder) / "model.safetensors", Path(folder) / "picture.png"
        checkpoint.save(model, path)
        images.to_image(picture(height, width)).save(image)
        processes = [stack.enter_context(_Worker(root, path, image, dtype)) for root, dtype in wanted]
        turns = [[process.turn() for process in processes] for _ in tqdm(range(1 + runs), desc="interleaved runs")][1:]
    rows = [
        {"where": "here" if root == HERE else root.resolve().name, "type": dtype, **_medians(answers, turns, height * width)}
        for (root, dtype), answers in zip(wanted, zip(*turns))
    ]
    return {**record.provenance(model), "threads": 1, "pixels": [width, height], "runs": runs, "rows": rows}


class _Worker(contextlib.AbstractContextManager):
    """A process that is ready, and ends with the block."""

    def __init__(self, root: Path, model: Path, image: Path, dtype: str):
        command = [sys.executable, "-W", "ignore", worker.__file__, str(root.resolve()), str(model), str(image), dtype]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.root = root

    def __enter__(self) -> "_Worker":
        try:
            if self.root.resolve() not in Path(self._answer()).resolve().parents:
                raise UsageError(f"{self.root}: there is no plic in this folder")
        except UsageError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.kill()
        self.process.communicate()

    def turn(self) -> dict:
        """Code the picture once."""
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout and self.process.stderr
        line = self.process.stdout.readline()
        if not line:
            *_, reason = "", *self.process.stderr.read().strip().splitlines()
            raise UsageError(f"{self.root}: this plic ended without an answer ({reason})")
        return json.loads(line)


def _medians(answers: tuple[dict, ...], turns: list[list[dict]], pixels: int) -> dict:
    """One row's figures, and how they compare with the first row's."""
    mine, first = ([_seconds(a) for a in column] for column in (answers, [turn[0] for turn in turns]))
    row = {name: statistics.median(run[name] for run in mine) / pixels * 1e6 for name in mine[0]}
    if answers[0] is not turns[0][0]:
        row |= {f"{name}_ratio": statistics.median(a[name] / b[name] for a, b in zip(mine, first)) for name in row}
    error = answers[0]["squared_error"]
    return {**row, "bytes": answers[0]["bytes"], "psnr": -10 * math.log10(error) if error else None}


def _seconds(answer: dict) -> dict[str, float]:
    parts = dict(zip(PARTS, answer["seconds"]))
    a, b, c, d = answer["seconds"]
    return {**parts, "encode": a + b, "decode": c + d}
