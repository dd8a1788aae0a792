"""The process in which a submission runs: ``python -m plic_lib.course.grading.runner MEMORY``, started by the sandbox."""

import os
import resource
import sys
import tempfile

import torch

from plic_lib.course.grading import wire
from plic_lib.course.grading.remote import Peer


def limit(memory: int) -> None:
    """At most so many bytes more than torch itself has, and nothing written to any file."""
    tempfile.gettempdir()  # which it finds by writing, and then keeps; parts of torch ask for it when they are loaded
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + memory, now + memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main(memory: int) -> None:
    """Answer the judge, over what was standard input and output; the submission's own are nowhere."""
    source, sink, nowhere = os.dup(0), os.dup(1), os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(nowhere, standard)
    torch.set_num_threads(1)
    peer = Peer(wire.Line(source, sink, outgoing=wire.Plain, incoming=wire.Pickled), everything=True)

    def begin(statements: list[str], names: list[str]) -> list:
        """Run statements, those that fail too, and hand out some of the names that they set."""
        del peer.objects[1:]
        peer.calls.clear()
        namespace: dict = {"__name__": "submission"}
        for statement in statements:
            try:
                exec(compile(statement, "submission", "exec"), namespace)
            except Exception as error:
                namespace["__error__"] = error
        if missing := [name for name in names if name not in namespace]:
            raise namespace.get("__error__") or NameError(f"there is no {missing[0]}")
        return [namespace[name] for name in names]

    peer.refer(begin)
    if os.path.exists("/proc/self/statm"):
        limit(memory)
    try:
        peer.serve()
    except wire.Ended:
        pass


if __name__ == "__main__":
    main(int(sys.argv[1]))
