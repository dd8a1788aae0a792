"""A function call in a fresh process, so that its largest memory is its own; how much that is."""

import contextlib
import multiprocessing
import os
import resource
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from plic_lib import memory

PRELOAD = ["plic_lib.study.bench.sizes", "skimage.io"]  #: what the server imports, so that no process has to


def peak_megabytes(who: int = resource.RUSAGE_SELF) -> float:
    """Largest memory so far of this process, or with ``resource.RUSAGE_CHILDREN`` of a program that it called, in 10^6 bytes."""
    peak = resource.getrusage(who).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6


class NotMeasured(RuntimeError):
    """A codec gives no figures at a size; the message says why."""


def in_fresh_process(function: Callable, *arguments) -> Any:
    """What the function, of a module's top level, returns in a process of its own.

    The process is forked from a server that has imported everything and done nothing. It keeps
    to one core where the system can do that (Linux), and to one thread of PyTorch everywhere.

    Raises:
        NotMeasured: whatever went wrong there, a lack of memory included, in one line.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(theirs, function, arguments), daemon=True)
    resource_tracker.ensure_running()  # which lifts the block below when it starts
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # an interrupt is ours to report, not the server's
        process.start()
        theirs.close()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        value, reason = ours.recv()
        process.join()
    except EOFError:  # it ended without a word
        process.join()
        killed = process.exitcode == -signal.SIGKILL
        value, reason = None, "killed by the system, most likely for want of memory" if killed else f"ended with {process.exitcode}"
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        if process.pid:
            process.kill()
            process.join()
    if reason:
        raise NotMeasured(reason)
    return value


def _child(connection, function: Callable, arguments: tuple) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # an interrupt ends this process, and a program that it called, without a word
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # no progress bars within ours
    tqdm.set_lock(threading.RLock())  # its own would be left behind by a process that is killed
    if hasattr(os, "sched_setaffinity"):  # Linux; some libraries would take all cores
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with contextlib.suppress(OSError):  # Linux: if memory runs out, this process goes and no other
        Path("/proc/self/oom_score_adj").write_text("1000")
    torch.set_num_threads(1)
    memory.keep_freed_memory()
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # CompressAI warns of running on one device
            connection.send((function(*arguments), None))
    except Exception as error:  # whatever it is, it is why this codec has no figures
        text = str(error).strip().partition("\n")[0] or type(error).__name__
        out_of_memory = isinstance(error, MemoryError) or "allocate memory" in text
        connection.send((None, f"out of memory: {text}" if out_of_memory else text))
