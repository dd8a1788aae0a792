"""``plic doctor``: what this machine has, what is missing, and what to do about it."""

import argparse
import importlib.metadata
import os
import platform
import socket
import sys

import torch

from plic_lib import checkpoint, metrics, shipped
from plic_lib.errors import CheckpointError, WeightsMissing
from plic_lib.study import rivals

PACKAGES = (
    "torch",
    "torchvision",
    "compressai",
    "lpips",
    "accelerate",
    "safetensors",
    "numpy",
    "pillow",
    "scikit-image",
    "jupyterlab",
    "ipywidgets",
    "nbval",
)

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


def report() -> None:
    """Print one line a finding; lines that begin with '!' need something done."""
    _report_system()
    for package in PACKAGES:
        try:
            _line(True, f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            _line(False, f"{package} is missing: run `pip install -r requirements.txt`")
    _line(True, f"{os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads")
    _line(True, "CUDA: " + (torch.cuda.get_device_name() if torch.cuda.is_available() else "no device; everything runs on the CPU"))
    models = shipped.available()
    for name in models:
        try:
            model = checkpoint.load(name)
            _line(True, f"model {name}: {model.hash[:8]}, N = {model.networks.widths.N}, {model.about.get('step', '?')} steps")
        except CheckpointError as error:
            _line(False, str(error))
    if not models:
        _line(False, f"no models in {shipped.FOLDER}: install plic again")
    for net, metric in metrics.NEEDED_FOR.items():
        fault = metrics.weights_fault(net)
        hint = f" {fault}: {metric} is left out; `plic doctor --fetch {net}` downloads it" if fault else ""
        _line(not fault or net != "alex" and not metrics.weights_path(net).exists(), f"{metrics.weights_path(net)}{hint}")
    for codec in rivals.CODECS.values():
        _line(True, f"rival {codec.name}: {codec.missing() or 'here'}")


def _line(good: bool, text: str) -> None:
    print(f"{' ' if good else '!'} {text}")


def _report_system() -> None:
    version = sys.version_info
    _line(
        (3, 10) <= version[:2] <= (3, 12),
        f"Python {platform.python_version()} on {platform.system()} {platform.machine()} (3.10 to 3.12 are supported)",
    )
    libc, number = platform.libc_ver()
    if libc == "glibc":
        _line(tuple(map(int, number.split(".")[:2])) >= (2, 34), f"glibc {number} (CompressAI's wheel needs 2.34)")


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
