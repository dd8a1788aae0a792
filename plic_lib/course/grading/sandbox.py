"""A process that may use its processor and some memory, and nothing else of this machine.

Bubblewrap, on Linux, gives it a view of the system in which there is Python with its packages, all of it read-only, no network, no other
process, and of plic what a learner needs: not the exercises, whose solutions are in them, and none of the parts of the library that the
submission has written itself. A filter of system calls keeps it from starting processes.
"""

import ast
import contextlib
import os
import platform
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path

import plic_lib
from plic_lib.course import editions
from plic_lib.course.grading import wire
from plic_lib.course.grading.remote import Peer

PACKAGE = Path(plic_lib.__file__).resolve().parent
#: What of plic is not there: the checks with their solutions, what makes notebooks and grades them, and the second implementation.
HIDDEN = ("commands", "course", "reference_decoder.py", "golden", "__pycache__")
SHOWN = ("__init__.py", "tasks.py", *(f"grading/{name}.py" for name in ("__init__", "proxies", "wire", "remote", "runner")))
START = 120  #: seconds in which Python and torch have to be loaded


def missing() -> str:
    """What keeps submissions from being shut in on this machine, as a sentence; empty where nothing does."""
    if sys.platform != "linux" or platform.machine() not in _CALLS:
        return "submissions are shut in by bubblewrap, which needs Linux on x86-64 or ARM64"
    if not shutil.which("bwrap"):
        return "submissions are shut in by bubblewrap, which is not installed (apt install bubblewrap)"
    tried = subprocess.run([*_bubble(Path("/usr"), ()), "true"], capture_output=True, text=True)
    return f"bubblewrap does not work here ({tried.stderr.strip().splitlines()[-1:] or tried.returncode})" if tried.returncode else ""


def library(folder: Path, written: Iterable[str]) -> None:
    """A copy of plic_lib without solutions, and without the parts in ``written``, such as ``"plic_lib.gain.GainUnits"``."""
    target = folder / "plic_lib"
    shutil.copytree(PACKAGE, target, ignore=lambda where, names: set(HIDDEN) & set(names) | {n for n in names if n.endswith(".md")})
    for name in SHOWN:
        (target / "course" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PACKAGE / "course" / name, target / "course" / name)
    for part in written:
        module, _, name = part.rpartition(".")
        path = folder / Path(*module.split(".")).with_suffix(".py")
        tree = ast.parse(path.read_text())
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
                editions.empty(node, f"the library's {name} is what this task asks for, so it is not there")
        path.write_text(ast.unparse(tree))


class Sandbox:
    """A submission's process, started anew when it has ended, until the block is left.

    ``written`` as for :func:`library`; ``memory`` in bytes; ``open`` shuts nothing in but memory.
    """

    def __init__(self, written: Iterable[str], memory: int, open: bool = False):
        self.written, self.memory, self.open = list(written), memory, open
        self.process: subprocess.Popen | None = None
        self.clock = threading.Timer(0, lambda: None)

    def __enter__(self) -> "Sandbox":
        self.folder = Path(tempfile.mkdtemp(prefix="plic-grade-"))
        library(self.folder, self.written)
        return self

    def __exit__(self, *_) -> None:
        self.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def begin(self, statements: list[str], names: list[str], seconds: float) -> list:
        """Run statements in it and return what has those names, for use within so many seconds. Raises what they raise, and Ended."""
        self.clock.cancel()
        if self.process is None or self.process.poll() is not None:
            self._start()
        self._watch(seconds)
        return self.peer.ask("call", 0, "", {}, (statements, names), {})

    def why(self, ended: wire.Ended) -> str:
        """The sentence for the end of a process."""
        self.end()
        return f"it ran longer than {self.seconds:g} s" if self.late else str(ended)

    def end(self) -> None:
        """End the process and all that it has started."""
        if self.process:
            self.clock.cancel()
            _kill(self.process)
            self.process.wait()
            for end in self.ends:
                os.close(end)
            self.process = None

    def _start(self) -> None:
        self.end()
        command = [sys.executable, "-s", "-m", "plic_lib.course.grading.runner", str(self.memory)]
        variables = {"PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "HOME": "/tmp"}
        filters = None if self.open else _filter()
        if filters is not None:
            command = [*_bubble(self.folder, [PACKAGE.parent]), "--seccomp", str(filters), *command]
        (source, sink), (ours, theirs) = os.pipe(), os.pipe()
        self.process = subprocess.Popen(
            command,
            stdin=source,
            stdout=theirs,
            stderr=subprocess.DEVNULL,
            pass_fds=() if filters is None else (filters,),
            env=variables | {"PATH": os.environ.get("PATH", "")},
            cwd=self.folder if self.open else "/",
            start_new_session=True,
        )
        for end in (source, theirs, *(() if filters is None else (filters,))):
            os.close(end)
        self.ends = ours, sink
        self.peer = Peer(wire.Line(ours, sink, outgoing=wire.Pickled, incoming=wire.Plain), everything=False)
        self._watch(START)
        self.peer.ask("call", 0, "", {}, ([], []), {})

    def _watch(self, seconds: float) -> None:
        """Set the clock that kills the process."""
        self.clock.cancel()
        self.late, self.seconds = False, seconds
        self.clock = threading.Timer(seconds, self._stop, [self.process])
        self.clock.daemon = True
        self.clock.start()

    def _stop(self, process: subprocess.Popen) -> None:
        self.late = True
        _kill(process)


def _kill(process: subprocess.Popen) -> None:
    """End a process and those of its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _bubble(folder: Path, hidden: Iterable[Path]) -> list[str]:
    """The beginning of a command that shows its program the system, Python and one folder, read-only, and an empty /tmp."""
    shown = [Path(p) for p in ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/alternatives")]
    packages = [Path(p) for p in sys.path if Path(p).name in ("site-packages", "dist-packages")]
    pythons = [Path(p) for p in (sys.base_prefix, sys.prefix)]
    pythons += [p.resolve() for p in (*pythons, *packages)] + packages
    pythons = [p for p in dict.fromkeys(pythons) if p.is_dir() and Path("/usr") not in (p, *p.parents)]
    command = ["bwrap", "--unshare-all", "--unshare-user", "--uid", "65534", "--gid", "65534", "--cap-drop", "ALL"]
    command += ["--die-with-parent", "--new-session", "--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev", "--tmpfs", "/tmp"]
    for path in (*(p for p in shown if p.exists()), *pythons):
        command += ["--ro-bind", str(path), str(path)]
    for path in hidden:  # where plic itself lies among the packages
        for inside in (path / name for name in ("plic_lib", "notebooks", "lecturer")):
            if inside.is_dir() and any(root in inside.parents for root in (Path("/usr"), *pythons)):
                command += ["--tmpfs", str(inside), "--remount-ro", str(inside)]
    return [*command, "--ro-bind", str(folder), str(folder), "--remount-ro", "/"]


#: Numbers in the filter below: the architecture, clone and clone3, and fork and vfork where there are such.
_CALLS = {"x86_64": (0xC000003E, 56, 435, (57, 58)), "aarch64": (0xC00000B7, 220, 435, ())}


def _filter() -> int:
    """A file descriptor with a seccomp filter: threads may be started, processes may not.

    The program is classic BPF over ``struct seccomp_data`` (man 2 seccomp): the number of the call at offset 0, the architecture
    at 4, the low half of the first argument, which holds clone's flags, at 16.
    """
    architecture, clone, clone3, forks = _CALLS[platform.machine()]
    load, equal, bits, give = 0x20, 0x15, 0x45, 0x06
    allow, refuse, unknown, kill = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000  # EPERM; ENOSYS, upon which libc takes clone
    program = [(load, 0, 0, 4), (equal, 1, 0, architecture), (give, 0, 0, kill), (load, 0, 0, 0)]
    program += [(0x35, 0, 1, 0x40000000), (give, 0, 0, kill)]  # the other numbering of x86-64, x32
    program += [(equal, 0, 1, clone3), (give, 0, 0, unknown)]
    for number in forks:
        program += [(equal, 0, 1, number), (give, 0, 0, refuse)]
    program += [(equal, 1, 0, clone), (give, 0, 0, allow), (load, 0, 0, 16), (bits, 1, 0, 0x10000), (give, 0, 0, refuse)]
    program += [(give, 0, 0, allow)]
    reader, writer = os.pipe()
    os.write(writer, b"".join(struct.pack("<HBBI", *line) for line in program))
    os.close(writer)
    return reader
