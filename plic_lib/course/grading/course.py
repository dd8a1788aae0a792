"""From a folder of submissions to a table: each is judged in a process of its own, so that none can cost another its row."""

import csv
import io
import multiprocessing
import os
import random
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch

from plic_lib import files
from plic_lib.course import check
from plic_lib.course.grading import judge, sandbox
from plic_lib.errors import FileError, UsageError

COLUMNS: list[str] = ["student", "notebook", "item", "kind", "status", "slip", "hint"]
REFUSED = "refused"


def submissions(folder: Path, course: set[str]) -> list[dict]:
    """What lies in a folder as STUDENT/NOTEBOOK.ipynb: student, notebook, path, and why it is refused, if it is.

    Links are not followed. Two names that differ in case or in how an accent is written count as one, and neither is taken.
    """
    try:
        students = sorted(entry.name for entry in os.scandir(folder) if not entry.name.startswith("."))
    except OSError as error:
        raise files.unreadable(folder, error) from error
    found = []
    for student, why in _once(students):
        row = {"student": _shown(student), "notebook": "", "path": folder / student, "refused": why}
        if not why and not row["path"].is_symlink() and row["path"].is_dir():
            names = sorted(name for name in os.listdir(row["path"]) if name.casefold().endswith(".ipynb"))
            for name, twin in _once(names):
                unknown = "" if name in course else "no notebook of the course is called so"
                found.append(row | {"notebook": _shown(name), "path": row["path"] / name, "refused": twin or unknown})
        else:
            found.append(row | {"refused": why or "not a folder of submissions"})
    return found


def grade(folder: Path, notebooks: Path, limits: judge.Limits, seed: int | None, tell: Callable[[str], None]) -> dict:
    """Judge all submissions of a folder. Raises UsageError where they cannot be shut in, unless ``limits.open``."""
    if not limits.open and (why := sandbox.missing()):
        raise UsageError(f"{why}; with --unsafe they run as you and may do what you may")
    torch.set_num_threads(1)  # threads do not survive the fork below
    course = {path.name: path for path in sorted(notebooks.glob("*.ipynb"))}
    if not course:
        raise FileError(f"{notebooks}: no notebooks are there; name the folder of the course's with --notebooks")
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    papers: dict[str, judge.Paper] = {}
    rows = submissions(folder, set(course))
    for row in rows:
        path, row["marks"] = row.pop("path"), []
        if not row["refused"]:
            name = row["notebook"]
            if name not in papers:
                papers[name] = judge.Paper(course[name])
                papers[name].prepare()
            row["marks"], row["refused"] = _apart(papers[name], path, limits, seed)
        passed = sum(mark["status"] == check.PASSED for mark in row["marks"])
        tell(f"{row['student']}/{row['notebook']}: " + (row["refused"] or f"{passed} of {len(row['marks'])} passed"))
    return {"seed": seed, "limits": vars(limits), "submissions": rows}


def to_csv(result: dict) -> bytes:
    """One line for each item of each submission. What a spreadsheet would take for a formula gets an apostrophe."""
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS)
    table.writeheader()
    for row in result["submissions"]:
        about = {"student": row["student"], "notebook": row["notebook"]}
        for mark in row["marks"] or [{"status": REFUSED, "hint": row["refused"]}]:
            table.writerow({key: f"'{value}" if value[:1] in ("=", "+", "-", "@") else value for key, value in (about | mark).items()})
    return text.getvalue().encode()


def _apart(paper: judge.Paper, path: Path, limits: judge.Limits, seed: int) -> tuple[list[dict], str]:
    """``judge.mark`` in a process of its own: its marks, or why there are none."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_mark, args=(sender, paper, path, limits, seed), daemon=True)
    process.start()
    sender.close()
    try:
        if receiver.poll((limits.seconds + sandbox.START) * (len(paper.items) + 1)):
            return receiver.recv()
        return [], "it could not be judged in time"
    except EOFError:
        return [], "it could not be judged: the process that tried to ended"
    finally:
        process.kill()
        process.join()


def _mark(sender, *arguments) -> None:
    try:
        sender.send((judge.mark(*arguments), ""))
    except ValueError as error:
        sender.send(([], str(error)))
    except Exception as error:
        sender.send(([], f"it could not be judged ({type(error).__name__}: {error})"))


def _once(names: list[str]) -> list[tuple[str, str]]:
    """Each name, and why it is refused: another one is the same but for case and accents' forms."""
    count = Counter(map(_plain, names))
    return [(name, "there are two of this name" if count[_plain(name)] > 1 else "") for name in names]


def _plain(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


def _shown(name: str) -> str:
    """A name that can be printed and written, whatever bytes it is made of."""
    return "".join(c if c.isprintable() else "?" for c in name)
