"""``plic doctor``: what this machine has, what is missing, and whether it is ready."""

import argparse
import importlib.metadata
import os
import platform
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from plic_lib import checkpoint, metrics, selftest, shipped
from plic_lib.errors import CheckpointError, WeightsMissing
from plic_lib.study import rivals

CODEC = ("torch", "compressai", "safetensors", "numpy", "pillow")  #: without which nothing works
COURSE = ("torchvision", "lpips", "accelerate", "scikit-image", "jupyterlab", "ipywidgets", "nbval")  #: which the notebooks need besides
NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"  #: only in a copy of the repository

#: Where weights come from that are not torchvision's.
SOURCES = {"inception": "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to fetch."""
    parser.add_argument("--fetch", choices=sorted(metrics.WEIGHT_FILES), help="download the weights of a perceptual metric")


def run(options: argparse.Namespace) -> None:
    """Fetch what is asked for, then report."""
    if options.fetch:
        fetch(options.fetch)
    report()


class Finding(NamedTuple):
    """One line of the report."""

    text: str
    todo: str = ""  #: what to do about it before anything works; empty where there is nothing to do, or where things work without it
    good: bool = True

    def __str__(self) -> str:
        return f"{' ' if self.good else '!'} {self.text}"


def report() -> None:
    """Print one line a finding, those that begin with '!' are not as they could be; and last whether this machine is ready."""
    findings = []
    for finding in (found for part in (_system, _packages, _models, _works, _weights, _rivals) for found in part()):
        print(finding)
        findings.append(finding)
    print(verdict(findings))


def verdict(findings: list[Finding]) -> str:
    """The last line: ready, or what to do."""
    if todo := list(dict.fromkeys(finding.todo for finding in findings if finding.todo)):
        return f"Not ready: {todo[0]}" + (f"; then run plic doctor again ({len(todo) - 1} more to do)" if len(todo) > 1 else "")
    ready = "Ready: make lab opens the course" if NOTEBOOKS.is_dir() else "Ready: plic encode and plic decode work"
    return ready + ("; what is marked with ! is left out until it is there" if not all(finding.good for finding in findings) else "")


def _system() -> Iterator[Finding]:
    supported = (3, 10) <= sys.version_info[:2] <= (3, 12)
    text = f"Python {platform.python_version()} on {platform.system()} {platform.machine()} (3.10 to 3.12 are supported)"
    yield Finding(text, "" if supported else "install Python 3.10, 3.11 or 3.12 and set plic up with it", supported)
    libc, number = platform.libc_ver()
    if libc == "glibc":
        new = tuple(map(int, number.split(".")[:2])) >= (2, 34)
        yield Finding(f"glibc {number} (CompressAI's wheel needs 2.34)", "" if new else "use a newer Linux, such as Ubuntu 22.04", new)
    yield Finding(f"{os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads")
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no device; everything runs on the CPU"
    yield Finding(f"CUDA: {device}")


def _packages() -> Iterator[Finding]:
    for package in CODEC + COURSE:
        try:
            yield Finding(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            todo = "pip install -r requirements.txt" if NOTEBOOKS.is_dir() else "pip install plic" if package in CODEC else ""
            yield Finding(f"{package} is missing", todo, False)


def _models() -> Iterator[Finding]:
    models = shipped.available()
    for name in models:
        try:
            model = checkpoint.load(name)
            yield Finding(f"model {name}: {model.hash[:8]}, N = {model.networks.widths.N}, {model.about.get('step', '?')} steps")
        except CheckpointError as error:
            yield Finding(str(error), "install plic again: a model that comes with it is damaged", False)
    if not models:
        yield Finding(f"no models in {shipped.FOLDER}", "install plic again: the models that come with it are not there", False)


def _works() -> Iterator[Finding]:
    """A file of an earlier version, through both decoders."""
    outcome = next(selftest.run())
    text = (
        f"a golden file decodes to its {outcome.latents} latents"
        if outcome.passed
        else f"a golden file: {outcome.fault or 'decoders differ'}"
    )
    yield Finding(text, "" if outcome.passed else "run plic selftest, and report what it prints", outcome.passed)


def _weights() -> Iterator[Finding]:
    for net, metric in metrics.NEEDED_FOR.items():
        fault = metrics.weights_fault(net)
        hint = f" {fault}: {metric} is left out; `plic doctor --fetch {net}` downloads it" if fault else ""
        wanted = net == "alex" or metrics.weights_path(net).exists()
        yield Finding(f"{metrics.weights_path(net)}{hint}", good=not (fault and wanted))


def _rivals() -> Iterator[Finding]:
    for codec in rivals.CODECS.values():
        yield Finding(f"rival {codec.name}: {codec.missing() or 'here'}")


def fetch(net: str, timeout: float = 20) -> None:
    """Download the weights of a perceptual metric to where torch keeps them, over a file there that is not these weights.

    Raises WeightsMissing where that fails.
    """
    path = metrics.weights_path(net)
    if not metrics.weights_fault(net):
        print(f"{path} is already there")
        return
    url = f"{SOURCES.get(net, 'https://download.pytorch.org/models')}/{path.name}"
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(timeout)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=path.stem.rsplit("-", 1)[1])
    except Exception as error:  # no network, no such file, wrong hash: the same advice
        raise WeightsMissing(
            f"{url} could not be downloaded ({error}); copy {path.name} to {path.parent} by hand, or set TORCH_HOME"
        ) from error
    finally:
        socket.setdefaulttimeout(before)
