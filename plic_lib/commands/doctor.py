"""What this machine has, what is missing, and what to do about it."""

import importlib.metadata
import os
import platform
import socket
import sys

import torch

from plic_lib import checkpoint, metrics
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


def report() -> None:
    """Print one line a finding; lines that begin with '!' need something done."""
    line = lambda ok, text: print(f"{' ' if ok else '!'} {text}")  # noqa: E731
    version = sys.version_info
    line(
        (3, 10) <= version[:2] <= (3, 12),
        f"Python {platform.python_version()} on {platform.system()} {platform.machine()} (3.10 to 3.12 are supported)",
    )
    libc, number = platform.libc_ver()
    if libc == "glibc":
        line(tuple(map(int, number.split(".")[:2])) >= (2, 34), f"glibc {number} (CompressAI's wheel needs 2.34)")
    for package in PACKAGES:
        try:
            line(True, f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            line(False, f"{package} is missing: run `pip install -r requirements.txt`")
    line(True, f"{os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads")
    line(True, "CUDA: " + (torch.cuda.get_device_name() if torch.cuda.is_available() else "no device; everything runs on the CPU"))
    models = checkpoint.available()
    for name in models:
        try:
            model = checkpoint.load(name)
            line(True, f"model {name}: {model.hash[:8]}, N = {model.networks.widths.N}, {model.about.get('step', '?')} steps")
        except checkpoint.CheckpointError as error:
            line(False, str(error))
    if not models:
        line(False, f"no models in {checkpoint.FOLDER}: is plic installed in editable mode from its repository?")
    for net, metric in metrics.NEEDED_FOR.items():
        path = metrics.weights_path(net)
        hint = "" if path.is_file() else f" is missing: {metric} is left out; `plic doctor --fetch {net}` downloads it"
        line(path.is_file() or net != "alex", f"{path}{hint}")
    for codec in rivals.CODECS.values():
        line(True, f"rival {codec.name}: {codec.missing() or 'here'}")


def fetch(net: str, timeout: float = 20) -> None:
    """Download the weights of a perceptual metric to where torch keeps them."""
    path = metrics.weights_path(net)
    if path.is_file():
        print(f"{path} is already there")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    url = f"{SOURCES.get(net, 'https://download.pytorch.org/models')}/{path.name}"
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(timeout)
    try:
        torch.hub.download_url_to_file(url, str(path), hash_prefix=path.stem.rsplit("-", 1)[1])
    except Exception as error:  # no network, no such file, wrong hash: the same advice
        raise RuntimeError(
            f"{url} could not be downloaded ({error}); copy {path.name} to {path.parent} by hand, or set TORCH_HOME"
        ) from error
    finally:
        socket.setdefaulttimeout(before)
