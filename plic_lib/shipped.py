"""The models that come with plic, found by name or by the hash that a file states, without loading them.

Only the text in a checkpoint's header is read here, and torch is not needed for that; see
``checkpoint`` for what a checkpoint is, and for loading one.
"""

from pathlib import Path

from safetensors import SafetensorError, safe_open

from plic_lib.errors import BitstreamError, CheckpointError

FOLDER = Path(__file__).resolve().parent / "models"
if not FOLDER.is_dir():  # not installed from a wheel but run from the repository
    FOLDER = FOLDER.parent.parent / "data" / "checkpoints"


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


def header(path: Path) -> dict[str, str]:
    """What a checkpoint says of itself: ``format``, ``hash``, ``widths``, ``about``. Raises CheckpointError."""
    try:
        with safe_open(path, "numpy") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error})") from error


def with_hash(prefix: bytes) -> Path | None:
    """The shipped checkpoint whose hash starts with ``prefix``, or None."""
    return next((path for path in available().values() if _stated_hash(path).startswith(prefix.hex())), None)


def needed(prefix: bytes) -> Path:
    """The same for a file that has to be decoded. Raises BitstreamError that says which model is needed, and whom to ask."""
    if path := with_hash(prefix):
        return path
    here = ", ".join(f"{name} ({_stated_hash(path)[:8] or 'damaged'})" for name, path in available().items())
    raise BitstreamError(
        f"the file needs the model {prefix.hex()}, and here are {here or 'none'}: ask whoever made the file for the .safetensors file of "
        f"that model (its hash begins with {prefix.hex()}), and name it with --model"
    )


def _stated_hash(path: Path) -> str:
    """Of a shipped checkpoint; nothing where it is damaged, which is no reason not to find another."""
    try:
        return header(path).get("hash", "")
    except CheckpointError:
        return ""
