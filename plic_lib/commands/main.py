"""Which command was typed, and what becomes of its errors.

Nothing heavy is imported here: the module of a command is, when it is its turn.
"""

import argparse
import contextlib
import importlib
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from typing import NoReturn

from plic_lib import memory
from plic_lib.errors import PlicError, UsageError

COMMANDS = {
    "encode": "compress a picture to a .plic file",
    "decode": "decompress a .plic file to a picture",
    "info": "show what a .plic file says of itself",
    "eval": "figures over a folder of pictures, from real files",
    "results": "every codec over a folder of pictures: curves and tables; goes on where it stopped",
    "eval-roi": "what another level in the middle of each picture costs and gains (paper, Figure 4)",
    "bench": "seconds beside CompressAI's serial context model, or beside other codecs, one thread",
    "train": "train a model; started again, it goes on where it was",
    "restart": "write the small part of a training state that is enough to go on from",
    "ablate": "what each change of the recipe or the networks is worth, in equal CPU-seconds; goes on where it stopped",
    "enhance": "train a network that repairs a classic codec's pictures, and measure both ways at equal bytes",
    "freeze": "turn a training state into a checkpoint that can write files",
    "grade": "mark submitted notebooks: tasks and exercises, each submission shut in by itself",
    "selftest": "golden files through both decoders: does this machine decode as all others do?",
    "doctor": "versions, what is missing and what to do about it",
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code.

    0, or 1 after an error that the user can act on, which becomes one sentence; 130 after an
    interrupt; 70 after any other error, which is a fault of plic's and is said to be one. With
    PLIC_DEBUG in the environment, errors keep their tracebacks.
    """
    _open_standard_streams()
    code, complaint = 0, None
    try:
        _run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()  # here, where a full disk still can be reported
    except KeyboardInterrupt:
        code, complaint = 130, "interrupted"
    except BrokenPipeError:  # whoever read our output has seen enough
        code = 1
    except Exception as error:
        if os.environ.get("PLIC_DEBUG"):
            raise
        code, complaint = _explained(error)
    if complaint:
        print(f"plic: {complaint}", file=sys.stderr)
    _give_up_output()
    return code


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see `{self.prog} --help`")


def _run(arguments: list[str]) -> None:
    parser = _Parser(prog="plic", description="Perceptual learned image compression with continuous rate adaptation.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, help in COMMANDS.items():
        command = commands.add_parser(name, help=help, description=help)
        if arguments[:1] == [name]:
            with _interrupt_at_once():
                module = importlib.import_module(f"plic_lib.commands.{name.replace('-', '_')}")
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    options = parser.parse_args(arguments)
    # for records; sys.argv is another program's where plic is called from Python
    options.command = shlex.join(["plic", *map(_without_folders, arguments)])
    memory.keep_freed_memory()
    options.run(options)


def _without_folders(argument: str) -> str:
    """A path from the root by its last part: records are published, and where folders lie on a machine is its owner's."""
    option, equals, value = argument.rpartition("=")
    return f"{option}{equals}{os.path.basename(os.path.normpath(value))}" if value.startswith("/") else argument


@contextlib.contextmanager
def _interrupt_at_once() -> Iterator[None]:
    """Within the block, an interrupt ends the process: torch and numpy take a KeyboardInterrupt while they load for anything but that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda *_: (os.write(2, b"plic: interrupted\n"), os._exit(130)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _explained(error: Exception) -> tuple[int, str]:
    """Exit code and sentence for an error."""
    if isinstance(error, PlicError):
        return 1, str(error)
    first_line = str(error).strip().partition("\n")[0]
    if isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__ or "allocate memory" in first_line:
        return 1, f"not enough memory ({first_line or 'MemoryError'})"
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("plic_lib"):
        return 1, f"this needs the package {error.name}, which is not installed: pip install 'plic[study]'"
    if isinstance(error, OSError):
        return 1, f"{error.filename}: {error.strerror}" if error.filename else error.strerror or first_line
    return 70, (
        f"{type(error).__name__}: {first_line}. This is a fault of plic's, not of what you typed: "
        "please report it, with what the same command prints after PLIC_DEBUG=1 is set"
    )


def _open_standard_streams() -> None:
    """A process may be started without some of them, and the next file that it opened would be taken for standard output."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))


def _give_up_output() -> None:
    """What cannot be written now cannot be written at exit either, where Python would complain of it."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
