"""Marking: honest work gets what it earns, and what is hostile costs its own row."""

import csv
import io
import json
import shutil
from pathlib import Path

import pytest
import torch

from plic_lib.commands.main import main
from plic_lib.course import check, editions, tasks
from plic_lib.course.grading import course, judge, sandbox

NAME = "02_gdn_autoencoder.ipynb"
TASK = "def straight_through(x, value):\n    return x + (value - x).detach()"
#: A notebook as those of the course are, but small: a task, its check, and two exercises.
CELLS = {
    "imports": ([], "import torch\n\nfrom plic_lib import quantise as library\nfrom plic_lib.course import check"),
    "task": (["build:plic_lib.quantise.straight_through"], TASK),
    "compare": (
        [],
        "x, value = torch.randn(50, requires_grad=True), torch.randn(50)\n"
        "for function in (straight_through, library.straight_through):\n"
        "    (slope,) = torch.autograd.grad((function(x, value) ** 2).sum(), x)\n"
        "    assert torch.equal(function(x, value), x + (value - x).detach())\n"
        "    assert torch.allclose(slope, 2 * value, atol=1e-5), 'the gradient is that of x'",
    ),
    "one": (["exercise"], "def coarse(y, step):\n    raise NotImplementedError\n\n\ncheck.gdn_2(coarse)"),
    "two": (["exercise"], "def receptive_field(kernels, strides):\n    raise NotImplementedError\n\n\ncheck.gdn_3(receptive_field)"),
}
FIELD = editions.source(check.gdn_3)
RIGHT = {"task": TASK, "one": editions.source(check.gdn_2), "two": FIELD}
LIMITS = judge.Limits(seconds=15, memory=1 << 30)
SHUT_IN = pytest.mark.skipif(bool(sandbox.missing()), reason=sandbox.missing())


def notebook(**sources: str) -> str:
    """The small notebook, some of its cells with another source."""
    cells = [
        {
            "cell_type": "code",
            "id": name,
            "metadata": {"tags": tags},
            "source": sources.get(name, text),
            "outputs": [],
            "execution_count": None,
        }
        for name, (tags, text) in CELLS.items()
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


@pytest.fixture
def folder(tmp_path):
    """A course of one notebook, and a folder for submissions."""
    (tmp_path / "course").mkdir()
    (tmp_path / "course" / NAME).write_text(notebook())
    (tmp_path / "submitted").mkdir()
    return tmp_path


def hand_in(folder: Path, student: str, **sources: str) -> Path:
    path = folder / "submitted" / student / NAME
    path.parent.mkdir()
    path.write_text(notebook(**(RIGHT | sources)))
    return path


def graded(folder: Path, limits: judge.Limits = LIMITS) -> dict:
    """student -> item -> mark, or the sentence with which it was refused."""
    found = course.grade(folder / "submitted", folder / "course", limits, 1, lambda _: None)["submissions"]
    return {row["student"]: row["refused"] or {mark["item"]: mark for mark in row["marks"]} for row in found}


# ---------------------------------------------------------------- honest


@SHUT_IN
def test_honest_work_gets_what_it_earns(folder, capsys):
    stub = editions.task(TASK, ["plic_lib.quantise.straight_through"])
    hand_in(folder, "all")
    hand_in(folder, "none", task=stub, one=CELLS["one"][1], two=CELLS["two"][1])
    slip = "def coarse(y, step):\n    return torch.floor(y - y.detach()) + step * torch.round(y / step)\n\nprint(coarse(nothing))\n%time"
    hand_in(folder, "some", task="def straight_through(x, value):\n    return value", one=slip, two="def receptive_field(")
    out = folder / "out.json", folder / "out.csv"
    options = ["--notebooks", str(folder / "course"), "--json", str(out[0]), "--csv", str(out[1]), "--seed", "3"]
    assert main(["grade", str(folder / "submitted"), *options]) == 0
    assert ["all", "1", "1", "of", "1", "2", "of", "2", "0"] in [line.split() for line in capsys.readouterr().out.splitlines()]
    rows = list(csv.DictReader(io.StringIO(out[1].read_text())))
    assert [row["status"] for row in rows if row["student"] == "all"] == [check.PASSED] * 3
    assert [row["status"] for row in rows if row["student"] == "none"] == [check.NOT_ATTEMPTED] * 3
    some = {row["item"]: row for row in rows if row["student"] == "some"}
    assert some["straight_through"]["status"] == some["gdn_2"]["status"] == some["gdn_3"]["status"] == check.FAILED
    assert "does not require grad" in some["straight_through"]["hint"] or "differentiated" in some["straight_through"]["hint"]
    assert some["gdn_2"]["slip"] == "plain" and some["gdn_3"]["hint"].startswith("the cell is not Python")
    kept = json.loads(out[0].read_text())
    assert kept["seed"] == 3 and [row["student"] for row in kept["submissions"]] == ["all", "none", "some"]


def test_what_is_no_submission_is_refused_by_name(folder):
    path = hand_in(folder, "ada")
    submitted = folder / "submitted"
    shutil.copy(path, path.with_name("02_gdn_autoencoder (1).ipynb"))
    (submitted / "notes.txt").write_text("hello")
    hand_in(folder, "eve").write_text("[1, 2")
    (submitted / ".hidden").mkdir()
    found = course.submissions(submitted, {NAME})
    assert {(row["student"], row["notebook"]): row["refused"] for row in found} == {
        ("ada", "02_gdn_autoencoder (1).ipynb"): "no notebook of the course is called so",
        ("ada", NAME): "",
        ("eve", NAME): "",
        ("notes.txt", ""): "not a folder of submissions",
    }
    with pytest.raises(ValueError, match="this is no notebook"):
        judge._read(submitted / "eve" / NAME)


def test_an_answer_in_a_cell_of_its_own_counts_and_what_the_notebook_shows_does_not(folder):
    paper = judge.Paper(folder / "course" / NAME)
    given = json.loads(notebook())["cells"]
    item = next(item for item in paper.items if item.name == "gdn_3")
    added = {"cell_type": "code", "id": "new", "source": [line + "\n" for line in FIELD.splitlines()]}
    assert judge.Answer(paper, item, [*given, added]).written == {"receptive_field"}
    assert judge.Answer(paper, item, given).written == judge.Answer(paper, item, []).written == set()
    copied = given[0] | {"source": FIELD}  # under the id of another cell of the notebook's
    assert judge.Answer(paper, item, [copied]).written == set()


def test_a_formula_in_a_name_stays_text():
    result = {"submissions": [{"student": "=1+1", "notebook": "", "refused": "not a folder of submissions", "marks": []}]}
    assert course.to_csv(result).decode().splitlines()[1].startswith("'=1+1,")


def test_without_walls_nothing_runs_unless_it_is_wanted(folder, monkeypatch, capsys):
    hand_in(folder, "ada")
    monkeypatch.setattr(sandbox, "missing", lambda: "submissions are shut in by bubblewrap, which is not installed")
    arguments = ["grade", str(folder / "submitted"), "--notebooks", str(folder / "course")]
    assert main(arguments) == 1 and "--unsafe" in capsys.readouterr().err
    assert main([*arguments, "--unsafe"]) == 0 and "3 of 3 passed" in capsys.readouterr().out


# ---------------------------------------------------------------- hostile


def inside(code: str) -> str:
    """A right answer to an exercise that does something else first."""
    return FIELD.replace("):\n", "):\n" + "".join(f"    {line}\n" for line in code.splitlines()), 1)


WRONG = "def coarse(y, step):\n    return torch.floor(y)\n"
FORGED = "    with contextlib.suppress(OSError): os.write(line, bytes(24) + b'passed')"
#: What is handed in beside right answers, for which item, and what has to be said of that item.
HOSTILE = {
    "overwritten check": ("one", "check.gdn_2 = lambda *_: 'passed'\nclass check:\n    gdn_2 = print\n" + WRONG, "gradient"),
    "patched comparison": (
        "task",
        "import torch\ntorch.equal = torch.allclose = torch.Tensor.all = torch.Tensor.__eq__ = lambda *_, **__: True\n"
        "def straight_through(x, value):\n    return x",
        "does not hold",
    ),
    "exit": ("two", inside("import os\nos._exit(0)"), "process ended"),
    "endless loop": ("two", inside("while True: pass"), "longer than 15 s"),
    "fork bomb": ("two", inside("import os\nwhile True: os.fork()"), "PermissionError"),
    "reading the solutions": ("two", inside("from plic_lib.course.check.gdn import receptive_field"), "No module"),
    "writing the table": ("two", inside("open(PATH, 'w').write('passed')"), "FileNotFoundError"),
    "the reference itself": ("task", "from plic_lib.quantise import straight_through", "is what this task asks for"),
    "memory": ("two", inside("import mmap\nmmap.mmap(-1, 64 << 30)"), "OSError"),
    "network": ("two", inside("import socket\nsocket.create_connection(('127.0.0.1', 22), 2)"), "Error"),
    "forged answers": ("two", inside("import contextlib, os\nfor line in range(3, 9):\n" + FORGED), "no answer"),
}


@SHUT_IN
def test_hostile_submissions_cost_their_own_row_and_nothing_else(folder):
    table = folder / "table.csv"
    table.write_text("before")
    for name, (cell, code, _) in HOSTILE.items():
        hand_in(folder, name, **{cell: code.replace("PATH", repr(str(table)))})
    honest = hand_in(folder, "zoe, handed in last")
    (folder / "submitted" / "linked").symlink_to(honest.parent)
    (folder / "submitted" / "linked notebook").mkdir()
    (folder / "submitted" / "linked notebook" / NAME).symlink_to(honest)
    hand_in(folder, "Twin")
    hand_in(folder, "twin")
    before = honest.read_text(), sorted(path for path in folder.rglob("*"))

    found = graded(folder)
    items = {"task": "straight_through", "one": "gdn_2", "two": "gdn_3"}
    for name, (cell, _, words) in HOSTILE.items():
        mark = found[name].pop(items[cell])
        assert mark["status"] == check.FAILED and words in mark["hint"], (name, mark)
        assert {mark["status"] for mark in found[name].values()} == {check.PASSED}, (name, found[name])
    assert {mark["status"] for mark in found["zoe, handed in last"].values()} == {check.PASSED}
    assert found["linked"] == "not a folder of submissions" and found["linked notebook"].startswith("this is a link")
    assert found["Twin"] == found["twin"] == "there are two of this name"
    assert table.read_text() == "before" and before == (honest.read_text(), sorted(path for path in folder.rglob("*")))


def test_in_the_sandbox_there_are_no_solutions_and_not_the_parts_that_were_written(tmp_path):
    sandbox.library(tmp_path, ["plic_lib.quantise.straight_through", "plic_lib.gain.GainUnits"])
    text = "\n".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert "slips=" not in text and "(value - x).detach()" not in text and "torch.exp(self._interpolate" not in text
    assert "def quantise(" in text  # the rest is there


# ---------------------------------------------------------------- across


@pytest.fixture(scope="module")
def box():
    """A process without walls: what goes across does not depend on them."""
    with sandbox.Sandbox([], 1 << 30, open=True) as box:
        yield box


def test_values_gradients_and_changes_go_across(box):
    source = """
def f(x, y, many=(), say=None):
    y.add_(1)
    say(x.detach().sum())
    return {"sum": (x * y).sum(), "rest": [many, None, b"ab", 2.5, float("nan"), x.numpy(force=True) > 0, range(3), (i for i in "ab")]}
"""
    (f,) = box.begin([source], ["f"], 60)
    x, y, heard = torch.tensor([1.0, -2.0], requires_grad=True), torch.tensor([3.0, 4.0]), []

    def say(value):
        heard.append(float(value))

    found = f(x, y, many={"a": (1, "b")}, say=say)
    found["sum"].backward()
    assert torch.equal(y, torch.tensor([4.0, 5.0])) and torch.equal(x.grad, y) and heard == [-1.0]
    rest = found["rest"]
    assert rest[:4] == [{"a": (1, "b")}, None, b"ab", 2.5] and rest[4] != rest[4] and rest[5].tolist() == [True, False]
    assert rest[6:] == [[0, 1, 2], ["a", "b"]]


def test_errors_go_across_by_their_kind(box):
    f, g = box.begin(["def f(): return [][5]", "class Own(Exception): pass", "def g(): raise Own('words')"], ["f", "g"], 60)
    with pytest.raises(IndexError, match="list index out of range"):
        f()
    with pytest.raises(Exception, match="words") as caught:
        g()
    assert type(caught.value).__name__ == "Own"
    with pytest.raises(NameError, match="nowhere"):
        box.begin(["f = nowhere"], ["f"], 60)


def test_networks_and_objects_go_across(box):
    source = """
import torch
class Scaled(torch.nn.Module):
    def __init__(self, start):
        super().__init__()
        self.inner, self.scale, self.start = torch.nn.Linear(2, 1), torch.nn.Parameter(torch.tensor(start)), start
        self.register_buffer("seen", torch.zeros(1), persistent=False)
    def forward(self, x): return self.scale * self.inner(x)
    def twice(self, x): return 2 * self(x)
class Count:
    def __init__(self): self.n = 0
    def up(self, by=1): self.n += by
"""
    scaled, count = box.begin([source], ["Scaled", "Count"], 60)
    network, x = scaled(3.0), torch.randn(4, 2)
    assert list(network.state_dict()) == ["scale", "inner.weight", "inner.bias"] and network.start == 3.0
    with torch.no_grad():
        network.inner.weight.copy_(torch.tensor([[1.0, 2.0]]))
        network.inner.bias.zero_()
    assert torch.allclose(network.twice(x), 6 * x @ torch.tensor([[1.0], [2.0]]), atol=1e-5)
    network(x).sum().backward()
    assert torch.allclose(network.scale.grad, (x @ torch.tensor([1.0, 2.0])).sum(), atol=1e-5)
    assert torch.allclose(network.inner.weight.grad, 3 * x.sum(0, keepdim=True), atol=1e-5)
    counter = count()
    counter.up()
    counter.up(by=4)
    assert counter.n == 5


@pytest.mark.parametrize("name", [n for n, e in check.exercises().items() if e.observe])
def test_exercises_that_look_closer_work_across(name, box):
    """Of an exercise that watches gradients, calls or changes, the solution passes and slips are named."""
    exercise = check.exercises()[name]
    node = editions.source(exercise)
    (answer,) = box.begin(["import math", "import torch", "import torch.nn.functional as F", node], [exercise.solution.__name__], 120)
    assert exercise(answer, seed=1) == exercise(exercise.solution, seed=1) == check.Result(check.PASSED)


def test_unwritten_is_what_does_nothing_but_raise():
    assert not tasks.unwritten(check.Exercise) and tasks.unwritten(lambda: (_ for _ in ()).throw(NotImplementedError)) is False
