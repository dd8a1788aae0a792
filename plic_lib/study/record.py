"""What recorded figures depend on, written beside them."""

import importlib.metadata
import os
import platform
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from plic_lib.checkpoint import TrainedModel

PACKAGES = ("torch", "compressai", "pillow", "torchmetrics", "lpips", "pytorch-msssim")


def versions() -> dict:
    """Of the packages that decide figures; codecs state their own, see ``Codec.settings``."""
    return {package: importlib.metadata.version(package) for package in PACKAGES}


def provenance(model: TrainedModel) -> dict:
    """The model, the software and the machine."""
    return {
        "model": model.name,
        "hash": model.hash,
        "about": model.about,
        "versions": versions(),
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "cpu": cpu(),
        "cores": os.cpu_count(),
    }


def collected(rows: Iterable[dict], keep: Callable[[list[dict]], None]) -> list[dict]:
    """All rows of a measurement; whatever stops it, ``keep`` is given those that are done."""
    done = []
    try:
        for row in rows:
            done.append(row)
    finally:
        if done:
            keep(done)
    return done


def cpu() -> str:
    """The processor's name, as far as the system tells it."""
    if (path := Path("/proc/cpuinfo")).exists():
        for line in path.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
