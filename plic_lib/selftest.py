"""Does this machine decode as all others? The golden files, through both decoders.

``golden/`` holds files of format 1, the small model that wrote them, and hashes of their
latents (``tests/make_golden.py`` made them, once). The codec decodes them as it decodes
every file, on any device; ``reference_decoder`` does so with numpy alone. Both have to
find the latents that the encoder had, to the last bit.
"""

import hashlib
import json
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from plic_lib import checkpoint, codec, reference_decoder
from plic_lib.errors import BitstreamError
from plic_lib.quantise import GRID

FOLDER = Path(__file__).resolve().parent / "golden"


@dataclass(frozen=True)
class Outcome:
    """What became of one golden file."""

    name: str
    shows: str  #: what is special about it
    latents: int  #: how many it holds
    differences: int  #: latents in which the two decoders differ
    fault: str = ""  #: a decoder that gave up, or latents other than the encoder's

    @property
    def passed(self) -> bool:
        return not self.differences and not self.fault


def machine(device: str | torch.device = "cpu") -> dict[str, str]:
    """What a result may depend on: device, threads, instruction set, versions."""
    on_gpu = torch.device(device).type == "cuda"
    return {
        "device": f"{device} ({torch.cuda.get_device_name(device)})" if on_gpu else str(device),
        "threads": str(torch.get_num_threads()),
        "instruction set": torch.backends.cpu.get_cpu_capability(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": ", ".join(f"{name} {version(name)}" for name in ("plic", "torch", "numpy", "compressai")),
        "Python": platform.python_version(),
    }


def run(device: str | torch.device = "cpu", folder: Path = FOLDER) -> Iterator[Outcome]:
    """Decode the golden files on a device, one by one."""
    expected = json.loads((folder / "golden.json").read_text())["files"]
    model = checkpoint.load(folder / "golden.safetensors", device)
    reference = reference_decoder.read_model(folder / "golden.safetensors")
    decoders = {
        "the codec": lambda data: (GRID * codec.decode_latents(model, data)[1][0]).round().int().cpu().numpy(),
        "the reference decoder": lambda data: reference_decoder.decode(reference, data).y,
    }
    for name, row in expected.items():
        found, faults = [], []
        for decoder, latents in decoders.items():
            try:
                found.append(latents((folder / f"{name}.plic").read_bytes()))
            except (BitstreamError, reference_decoder.DecodeError) as error:
                faults.append(f"{decoder}: {error}")
                continue
            if sha256(found[-1]) != row["latents_sha256"]:
                faults.append(f"{decoder}: not the latents that were recorded")
        differences = int(np.not_equal(*found).sum()) if len(found) == 2 else row["latents"]
        yield Outcome(name, row["shows"], row["latents"], differences, "; ".join(faults))


def sha256(values: np.ndarray) -> str:
    """Of whole numbers, as 16 bits each, which is how the check in a file reads latents."""
    return hashlib.sha256(np.ascontiguousarray(values).astype("<i2").tobytes()).hexdigest()
