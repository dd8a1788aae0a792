"""Files written whole or not at all, read whatever they are, and known by their contents.

A file is first written beside its place and then moved there, so that nobody ever sees
half of it, and a full disk leaves what was there. Links are followed to what they point
at; a device, a FIFO or ``-`` (standard output) cannot be replaced and is written to.
"""

import contextlib
import functools
import hashlib
import json
import math
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from plic_lib.errors import FileError

STANDARD = "-"  #: standard input or output in place of a path
STANDARD_OUTPUT = {STANDARD, "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"}
MAX_BYTES = 2**31  #: more is not read into memory: no picture within our limits has so much, but a device never ends


def read(path: str | Path) -> bytes:
    """All bytes of a file, a FIFO, a device, or of standard input for ``-``. Raises FileError."""
    try:
        if str(path) == STANDARD:
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with open(path, "rb") as file:
                data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise unreadable(path, error) from error
    if len(data) > MAX_BYTES:
        raise FileError(f"{path}: more than {MAX_BYTES / 1e9:.1f} GB, which is no file that plic can use")
    return data


def unreadable(path: str | Path, error: OSError) -> FileError:
    """The sentence for a file that the system did not let us read."""
    if isinstance(error, FileNotFoundError):
        return FileError(f"{path}: there is no such file")
    if isinstance(error, IsADirectoryError):
        return FileError(f"{path}: is a folder; name a file")
    return FileError(f"{path}: cannot be read ({error.strerror or error})")


# ---------------------------------------------------------------- writing


@contextlib.contextmanager
def whole(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write to that appears at ``path`` when the block ends, and not at all if it fails.

    Missing folders are made. Raises FileError where the system refuses or the disk is full;
    other exceptions of the block pass through. In each case the unfinished file is deleted.

        with files.whole("state.pt") as file:
            torch.save(state, file)
    """
    if str(path) in STANDARD_OUTPUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        if _is_special(path):
            with open(path, "wb") as file:
                yield file
            return
        target = Path(os.path.realpath(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name[:40]}.{secrets.token_hex(4)}.part")
        try:
            with open(part, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if target.exists():
                shutil.copymode(target, part)
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)
    except Exception as error:
        if cause := _of_the_system(error):
            raise FileError(f"{path}: cannot be written ({cause.strerror or cause})") from error
        raise


def _is_special(path: str | Path) -> bool:
    """Whether a path is something that only can be written to: a device, a FIFO, an open file by its number."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) or os.path.abspath(path).startswith(("/dev/fd/", "/dev/std", "/proc/"))


def _of_the_system(error: BaseException | None) -> OSError | None:
    """The refusal of the system behind an error, if any: torch.save hides a full disk behind an error of its own."""
    while error is not None and not isinstance(error, OSError):
        error = error.__context__
    # whoever reads our output may stop reading: the caller's business
    return None if isinstance(error, FileError | BrokenPipeError) else error


def write(path: str | Path, data: bytes) -> None:
    """``data`` as a whole file. Raises FileError."""
    with whole(path) as file:
        file.write(data)


def write_json(path: str | Path, content: object, indent: int | None = 1) -> None:
    """``content`` as a whole JSON file, see ``to_json``. Raises FileError."""
    write(path, (to_json(content, indent) + "\n").encode())


def to_json(content: object, indent: int | None = None) -> str:
    """JSON text that every reader takes: NaN and infinities, which JSON does not have, become null."""
    return json.dumps(_finite(content), indent=indent, allow_nan=False)


def _finite(content: object) -> object:
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def check_output(path: str | Path, *inputs: str | Path) -> None:
    """Raise FileError unless ``path`` can be written without harm: before the work, not after it.

    Its folder has to exist, it has to be no folder itself, and none of the ``inputs``, by whatever name.
    """
    if str(path) in STANDARD_OUTPUT:
        return
    if Path(path).is_dir() or str(path).endswith("/"):
        raise FileError(f"{path}: is a folder; name a file")
    target = os.path.realpath(path)
    if not os.path.isdir(os.path.dirname(target)):
        raise FileError(f"{path}: the folder {os.path.dirname(target) if os.path.islink(path) else Path(path).parent} does not exist")
    if os.path.exists(path) and not os.access(path, os.W_OK):
        raise FileError(f"{path}: is write-protected")
    if not _is_special(path) and not os.access(os.path.dirname(target), os.W_OK | os.X_OK):
        raise FileError(f"{path}: the folder {os.path.dirname(target)} is write-protected")
    for given in inputs:
        same = os.path.samefile(path, given) if os.path.exists(path) and os.path.exists(given) else os.path.realpath(given) == target
        if same and not _is_special(path):
            raise FileError(f"{path}: is also what is read ({given}) and would be lost; write to another file")


def check_folder(path: str | Path) -> None:
    """Make a folder where there is none yet. Raises FileError where none can be, or nothing can be written to it: before the work."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "is a file" if Path(path).is_file() else error.strerror or error
        raise FileError(f"{path}: cannot be a folder to write to ({reason})") from error
    if not os.access(path, os.W_OK):
        raise FileError(f"{path}: is write-protected")


# ---------------------------------------------------------------- JSON, line by line


def append_json(path: str | Path, row: dict) -> None:
    """Add a line to a log; what an interrupted process left of its last line stays a line of its own. Raises FileError."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a+b") as file:
            file.seek(max(0, file.tell() - 1))
            torn = file.read(1) not in (b"", b"\n")
            file.write(b"\n" * torn + to_json(row).encode() + b"\n")
    except OSError as error:
        raise FileError(f"{path}: cannot be written ({error.strerror or error})") from error


def read_json_lines(path: str | Path) -> list[dict]:
    """The rows of a log, without lines that are torn. Raises FileError."""
    rows = []
    for line in read(path).splitlines():
        try:
            row = json.loads(line)
        except ValueError:  # a process that was killed, or a full disk, left a part of a line
            continue
        rows += [row] if isinstance(row, dict) else []
    return rows


# ---------------------------------------------------------------- by their contents


def sha256(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes; computed again only when the file has changed. Raises FileError."""
    try:
        found = os.stat(path)
        return _sha256(os.path.realpath(path), found.st_ino, found.st_size, found.st_mtime_ns)
    except OSError as error:
        raise unreadable(path, error) from error


@functools.lru_cache(maxsize=65536)
def _sha256(path: str, *_state: int) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def sha256_of_all(paths: list[Path]) -> str:
    """One hash for a list of files: of their contents and order, whatever they are called."""
    return hashlib.sha256("".join(sha256(path) for path in paths).encode()).hexdigest()
