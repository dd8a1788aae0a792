"""Trained models on disk: safetensors, so loading never executes code.

A checkpoint holds the weights, the frozen entropy coder and, as JSON text, the
settings. The hash of a model covers everything that decides what a file decodes to;
its first four bytes stand in every file.
"""

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as pack
from torch import Tensor

from plic_lib import files
from plic_lib.errors import CheckpointError
from plic_lib.integer import Frozen, IntegerNetworks
from plic_lib.model import Plic, Widths

FOLDER = Path(__file__).resolve().parent / "models"  #: of the shipped models
if not FOLDER.is_dir():  # not installed from a wheel but run from the repository
    FOLDER = FOLDER.parent.parent / "data" / "checkpoints"


class TrainedModel:
    """A model that can write and read files.

    Attributes:
        name: the checkpoint's.
        networks: the float networks (``Plic``), in evaluation mode.
        frozen: fraction bits and tables.
        integers: the entropy path in integer arithmetic, on the CPU or a CUDA device.
        hash: hexadecimal SHA-256, see ``model_hash``.
        about: the other settings stored with the weights (steps, data, ...).
    """

    def __init__(self, name: str, networks: Plic, frozen: Frozen, about: dict | None = None):
        self.name, self.frozen, self.about = name, frozen, about or {}
        self.networks = networks.eval().requires_grad_(False)
        self.integers = IntegerNetworks(networks, frozen.fraction_bits)
        self.hash = model_hash(self)

    @property
    def levels(self) -> int:
        """Number of trained gain vectors; levels run from 0 to this less one."""
        return self.networks.widths.levels

    @property
    def device(self) -> torch.device:
        """Where encoder and generator run."""
        return next(self.networks.parameters()).device

    def to(self, device: str | torch.device) -> "TrainedModel":
        """Move to a device. The integer path goes along to CUDA and stays on the CPU otherwise
        (Apple's MPS has no float64); the files are the same everywhere."""
        self.networks.to(device)
        self.integers.to(device)
        return self


def model_hash(model: TrainedModel) -> str:
    """SHA-256 of the integers, tables, inverse gains and generator, in hexadecimal."""
    parts = {f"integers.{k}": v for k, v in model.integers.tensors().items()}
    parts |= {f"frozen.{k}": v for k, v in model.frozen.tensors().items()}
    parts |= {f"generator.{k}": v for k, v in model.networks.generator.state_dict().items()}
    parts["theta_inverse"] = model.networks.gain_units.theta_inverse
    digest = hashlib.sha256()
    for key in sorted(parts):
        value = parts[key].detach().cpu().contiguous()
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


@torch.no_grad()
def round_weights_(networks: Plic) -> Plic:
    """Round all convolution kernels to half precision, as a checkpoint stores them. Returns ``networks``.

    Done before freezing, so that what is measured is what is shipped.
    """
    for parameter in networks.parameters():
        if parameter.ndim == 4:
            parameter.copy_(parameter.half())
    return networks


def save(model: TrainedModel, path: str | Path) -> None:
    """Write a checkpoint, see ``files.whole``. Raises FileError."""
    weights = {k: v.half() if v.ndim == 4 else v for k, v in _weights(model.networks).items()}
    tensors = {f"networks.{k}": v for k, v in weights.items()}
    tensors |= {f"frozen.{k}": v for k, v in model.frozen.tensors().items()}
    tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    metadata = {"format": "plic-1", "hash": model.hash, "widths": json.dumps(model.networks.settings()), "about": json.dumps(model.about)}
    files.write(path, pack(tensors, metadata))


def _weights(networks: Plic) -> dict[str, Tensor]:
    """The state without CompressAI's own coding tables, which live in ``Frozen``."""
    return {k: v for k, v in networks.state_dict().items() if k not in {f"prior.{n}" for n in ("_offset", "_quantized_cdf", "_cdf_length")}}


def available() -> dict[str, Path]:
    """The checkpoints that come with plic, by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.safetensors"))}


def find(name_or_path: str | Path) -> Path:
    """The file of a shipped model or of a path. Raises CheckpointError."""
    named = available()
    if str(name_or_path) in named:
        return named[str(name_or_path)]
    if Path(name_or_path).is_file():
        return Path(name_or_path)
    raise CheckpointError(f"no model {str(name_or_path)!r}: neither a file nor one of the shipped ones ({', '.join(named) or 'none here'})")


def load(name_or_path: str | Path = "mini", device: str | torch.device = "cpu") -> TrainedModel:
    """Load a shipped model by name, or any checkpoint by path.

    Raises:
        CheckpointError: not found, not a plic checkpoint, or damaged.
    """
    path = find(name_or_path)
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != "plic-1":
                raise CheckpointError(f"{path}: a safetensors file, but not a plic checkpoint of format 1")
            tensors = {key: file.get_tensor(key) for key in file.keys()}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error})") from error
    part = lambda prefix: {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}  # noqa: E731
    try:
        networks = Plic(Widths(**json.loads(metadata["widths"])))
        networks.load_state_dict(_weights(networks) | part("networks."), strict=False)
        model = TrainedModel(path.stem, networks, Frozen.from_tensors(part("frozen.")), json.loads(metadata["about"]))
    except (KeyError, TypeError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged or made by another version of plic ({error})") from error
    if model.hash != metadata["hash"]:
        raise CheckpointError(f"{path}: its contents do not have the hash that it states; it is damaged")
    return model.to(device)


def with_hash(prefix: bytes) -> Path | None:
    """The shipped checkpoint whose hash starts with ``prefix``, or None."""
    for path in available().values():
        with safe_open(path, "pt") as file:
            if (file.metadata() or {}).get("hash", "").startswith(prefix.hex()):
                return path
    return None
