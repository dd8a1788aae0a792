"""Arguments that several commands have, and what they stand for."""

import argparse
import functools
import math
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from plic_lib import checkpoint, files, inference, shipped
from plic_lib.errors import UsageError


def add_model(parser: argparse.ArgumentParser, default: str | None = "mini") -> None:
    """``--model`` and ``--device``."""
    known = f"a shipped model or a .safetensors file (default: {default or 'the one that made the file'})"
    parser.add_argument("--model", default=default, metavar="NAME_OR_PATH", help=known)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps (default: %(default)s)")


def add_fast(parser: argparse.ArgumentParser) -> None:
    """``--fast``."""
    parser.add_argument(
        "--fast",
        action="store_true",
        help="encoder and generator in bfloat16 where the device multiplies it: a quarter less time in all, about 0.02 dB",
    )


def add_json(parser: argparse.ArgumentParser, what: str) -> None:
    """``--json``."""
    parser.add_argument("--json", metavar="OUT", help=f"write {what} here")


def load(options: argparse.Namespace, model: str | Path | None = None) -> checkpoint.TrainedModel:
    """The model that ``add_model``'s arguments name, or another one, where and how they say. Raises UsageError, CheckpointError."""
    loaded = checkpoint.load(model or options.model, device(options.device))
    return loaded.to(loaded.device, inference.fast_type(loaded.device)) if getattr(options, "fast", False) else loaded


def device(name: str) -> torch.device:
    """A device by its name. Raises UsageError where it cannot be used."""
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"device {name!r} cannot be used here ({str(error).splitlines()[0]})") from error
    return torch.device(name)


def number(text: str) -> float:
    """The type of an argument above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"a number above 0 is expected, not {text!r}")
    return value


def at_least(lowest: int) -> Callable[[str], int]:
    """The type of an argument that is a whole number."""

    def whole(text: str) -> int:
        if not text.isdecimal() or int(text) < lowest:
            raise argparse.ArgumentTypeError(f"a whole number of {lowest} or more is expected, not {text!r}")
        return int(text)

    return whole


def levels(text: str) -> list[float]:
    """The type of levels separated by commas; each counts once."""
    try:
        return list(dict.fromkeys(float(level) for level in text.split(",")))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"levels like 0,1,2 are expected, not {text!r}") from error


def known(names: list[str] | None, choice: Iterable[str], what: str) -> None:
    """Raise UsageError for a name that is not among those that there are."""
    if unknown := [name for name in names or [] if name not in choice]:
        raise UsageError(f"no {what} {unknown[0]!r}; there are {', '.join(choice)}")


def check_outputs(options: argparse.Namespace, outputs: list[str | Path | None], *inputs: str | Path | None) -> None:
    """Refuse to write over what is read, before any work: ``files.check_output`` for each, models being read too."""
    named = [getattr(options, "model", None), *(getattr(options, "models", None) or ())]
    models = [shipped.available().get(model) or model for model in named if model]
    for path in outputs:
        if path is not None:
            files.check_output(path, *filter(None, inputs), *models)


def teller(*outputs: str | Path | None) -> Callable[..., None]:
    """``print`` for the user: on standard error where standard output carries a file."""
    return functools.partial(print, file=sys.stderr) if files.STANDARD_OUTPUT & set(map(str, outputs)) else print
