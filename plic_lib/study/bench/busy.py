"""A training cell of the course beside busy neighbours, as on the server of a classroom: what passive waiting is worth.

Threads that spin while they wait take the cores from those that work, in one's own process
and in others'. See ``plic_lib.PASSIVE``.
"""

import ast
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch

import plic_lib
from plic_lib import files
from plic_lib.errors import UsageError
from plic_lib.study import record

NOTEBOOK = Path(__file__).resolve().parents[3] / "notebooks" / "04_hyperprior.ipynb"
#: What a neighbour does until it is stopped; it says when it begins.
NEIGHBOUR = """
import plic_lib, torch
x, layer = torch.randn(8, 64, 64, 64), torch.nn.Conv2d(64, 64, 5, padding=2)
layer(x).sum().backward()
print("busy", flush=True)
while True:
    layer(x).sum().backward()
"""
#: Waits for no thread and touches little memory: what it pays beside the neighbours, no way of waiting can save.
LOOP = "for number in range(60_000_000):\n    pass"


def run(neighbours: int = 4, notebook: Path = NOTEBOOK) -> dict:
    """Seconds of the notebook's training cell and of a plain loop: alone, beside the neighbours, and over the fair share.

    With n cores and p neighbours that would take all of them, the fair share is n / (p + 1) cores, on a
    machine that does nothing else (``load_at_start``); a cell that needs less gets what it needs.
    """
    before, cell = training_cell(notebook)
    names, load = {"__name__": "__main__"}, os.getloadavg()[0]
    with _without_windows():
        for source in before:
            exec(compile(source, notebook.name, "exec"), names)
        alone = {part: _timed(source, names) for part, source in {"cell": cell, "loop": LOOP}.items()}
        with _busy(neighbours):
            beside = {part: _timed(source, names)["seconds"] for part, source in {"cell": cell, "loop": LOOP}.items()}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {
        "notebook": notebook.name,
        "neighbours": neighbours,
        "cores": cores,
        "threads": torch.get_num_threads(),
        "cpu": record.cpu(),
        "load_at_start": load,
        "waiting": {name: os.environ.get(name) for name in plic_lib.PASSIVE},
        **{part: _over_fair_share(alone[part], beside[part], (neighbours + 1) / cores) for part in alone},
    }


def _over_fair_share(alone: dict, beside: float, slower: float) -> dict:
    fair = max(alone["seconds"], alone["cpu_seconds"] * slower)
    return {"alone": alone, "beside": {"seconds": beside, "fair_seconds": fair, "ratio": beside / fair}}


def training_cell(notebook: Path = NOTEBOOK) -> tuple[list[str], str]:
    """The code cells before the one that defines ``train``, and that one. Raises UsageError where there is none."""
    if not notebook.is_file():
        raise UsageError(f"{notebook} is not there: this benchmark runs a cell of the course, from a copy of its repository")
    cells = json.loads(files.read(notebook))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    for number, source in enumerate(sources):
        if any(isinstance(node, ast.FunctionDef) and node.name == "train" for node in ast.parse(source).body):
            return sources[:number], source
    raise UsageError(f"{notebook}: no cell defines train()")


def _timed(source: str, names: dict) -> dict:
    """Seconds on the clock, and of all cores together."""
    code, start, cpu = compile(source, "the training cell", "exec"), time.perf_counter(), time.process_time()
    exec(code, names)
    return {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}


@contextlib.contextmanager
def _busy(neighbours: int) -> Iterator[None]:
    """Processes that would keep all cores busy with PyTorch."""
    running = [subprocess.Popen([sys.executable, "-c", NEIGHBOUR], stdout=subprocess.PIPE, text=True) for _ in range(neighbours)]
    try:
        for process in running:
            if process.stdout is None or process.stdout.readline() != "busy\n":
                raise RuntimeError("the busy neighbours did not start")
        yield
    finally:
        for process in running:
            process.kill()
            process.communicate()


@contextlib.contextmanager
def _without_windows() -> Iterator[None]:
    """The notebook's figures are drawn and not shown; what it prints is not printed."""
    import matplotlib

    matplotlib.use("Agg")
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield
