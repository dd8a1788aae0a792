"""``plic grade``: mark submitted notebooks."""

import argparse
from pathlib import Path

from plic_lib import files
from plic_lib.commands import options as common
from plic_lib.commands.table import table
from plic_lib.course import check, editions
from plic_lib.course.grading import course
from plic_lib.course.grading.judge import Limits


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The submissions, where the table goes, what each may use."""
    parser.add_argument("folder", metavar="DIR", help="with DIR/STUDENT/NOTEBOOK.ipynb")
    parser.add_argument("--json", metavar="OUT", help="all that was found")
    parser.add_argument("--csv", metavar="OUT", help="a line for each task and exercise of each submission")
    parser.add_argument("--notebooks", metavar="DIR", default=editions.NOTEBOOKS, type=Path, help="the course's (default: plic's own)")
    parser.add_argument("--seconds", type=common.number, default=60.0, metavar="S", help="for each task or exercise (default: 60)")
    parser.add_argument("--memory", type=common.at_least(256), default=2048, metavar="MIB", help="beside torch's own (default: 2048)")
    parser.add_argument("--seed", type=common.at_least(0), help="of the checks' random inputs (default: another each time)")
    parser.add_argument("--unsafe", action="store_true", help="run submissions where they cannot be shut in")


def run(options: argparse.Namespace) -> None:
    """Mark all, write the tables, print a line a student."""
    common.check_outputs(options, [options.json, options.csv])
    tell = common.teller(options.json, options.csv)
    limits = Limits(options.seconds, options.memory << 20, options.unsafe)
    result = course.grade(Path(options.folder), options.notebooks, limits, options.seed, tell)
    if options.json:
        files.write_json(options.json, result)
    if options.csv:
        files.write(options.csv, course.to_csv(result))
    columns = {"student": "", "notebooks": "d", "tasks": "", "exercises": "", "refused": "d"}
    students = dict.fromkeys(row["student"] for row in result["submissions"])
    tell(table(columns, [_line(student, [r for r in result["submissions"] if r["student"] == student]) for student in students]))


def _line(student: str, rows: list[dict]) -> tuple:
    marks = [mark for row in rows for mark in row["marks"]]
    counts = []
    for kind in ("task", "exercise"):
        of_kind = [mark["status"] == check.PASSED for mark in marks if mark["kind"] == kind]
        counts.append(f"{sum(of_kind)} of {len(of_kind)}")
    refused = sum(bool(row["refused"]) for row in rows)
    return student, len(rows) - refused, *counts, refused
