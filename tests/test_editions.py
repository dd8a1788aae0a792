"""Student and lecturer edition: the one asks for everything and gives nothing away, the other is the same, solved."""

import ast
import json
from importlib import import_module
from pathlib import Path

import nbformat
import pytest

from plic_lib.course import check, editions, tasks
from plic_lib.course.grading import judge, slices

NOTEBOOKS = sorted(editions.NOTEBOOKS.glob("*.ipynb"))
STUDENT = {path.stem: editions.edition(path, solved=False) for path in NOTEBOOKS}
LECTURER = {path.stem: editions.edition(path, solved=True) for path in NOTEBOOKS}


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def paper(request):
    """A notebook, with what the checks of its tasks need: only these cells are run here, all of them by nbval."""
    paper = judge.Paper(request.param)
    paper.prepare()
    return paper


def texts(notebook: dict) -> list[str]:
    return ["".join(cell["source"]) for cell in notebook["cells"]]


def bodies(source: str) -> set[str]:
    """The statements within the functions of a piece of code that are long enough to be nobody else's by chance."""
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    lines = {line.strip() for f in functions for node in f.body for line in ast.unparse(node).splitlines()}
    return {line for line in lines if len(line) >= 30}


def defined(cells: list[ast.stmt], source: str, namespace: dict) -> dict:
    """What the definitions of a cell give, after what they need of the cells before."""
    code = slices.definitions(source)
    return judge._run([*slices.needed(cells, code), *code], namespace)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_student_edition_gives_nothing_away(path):
    solutions = [editions.source(exercise) for exercise in check.exercises(path.stem).values()]
    solutions += ["".join(c["source"]) for c in json.loads(path.read_text())["cells"] if editions.parts(c)]
    for notebook in (STUDENT[path.stem], LECTURER[path.stem]):
        nbformat.validate(nbformat.from_dict(notebook))
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook["cells"])
    shown = {line.strip() for text in texts(STUDENT[path.stem]) for line in text.splitlines()}
    asked = [cell for cell in STUDENT[path.stem]["cells"] if editions.parts(cell) or editions.exercise_in(cell)]
    taught = bodies(
        "\n".join(t for t, c in zip(texts(STUDENT[path.stem]), STUDENT[path.stem]["cells"]) if "toy" in c["metadata"].get("tags", []))
    )
    for solution in solutions:
        assert not (bodies(solution) - taught) & shown
    assert all("raise NotImplementedError" in "".join(cell["source"]) for cell in asked) and len(asked) == len(judge.Paper(path).items)
    assert not any("solutions/" in text for text in texts(STUDENT[path.stem]))


def test_both_have_the_same_cells():
    for name, student in STUDENT.items():
        different = [a for a, b in zip(student["cells"], LECTURER[name]["cells"], strict=True) if a["source"] != b["source"]]
        assert all(editions.parts(cell) or editions.exercise_in(cell) for cell in different)
        assert len(different) == len(judge.Paper(editions.NOTEBOOKS / f"{name}.ipynb").items)


def test_tasks_have_the_librarys_signature_and_the_beginning_of_its_docstring():
    source = "class GainUnits(nn.Module):\n    def gain(self, level):\n        return 1\n\n    def _helper(self):\n        return 2"
    stub = editions.task(source, ["plic_lib.gain.GainUnits"])
    assert stub.splitlines()[0] == "class GainUnits(nn.Module):" and "def gain(self, level):" in stub
    assert "_helper" not in stub and "return" not in stub and "Gains m for a level map." in stub


def test_unwritten_tasks_run_with_the_librarys_part_and_say_so_and_solved_ones_with_their_own(paper, capsys):
    """Each task as a student finds it and as a lecturer does, both followed by the comparison with the library."""
    for solved in (False, True):
        notebook = (LECTURER if solved else STUDENT)[paper.path.stem]
        sources = ["".join(cell["source"]) for cell in judge._code_cells(notebook)]
        for item in (item for item in paper.items if item.parts):
            before = [node for source in sources[: item.place] for node in slices.statements(source)]
            found = defined(before, sources[item.place], {"__name__": "notebook"})
            parts = {name: tasks.or_library(found[name], path) for name, path in item.parts.items()}
            said = capsys.readouterr().out
            for name, path in item.parts.items():
                assert (f"{name} is not written yet: from here on it is the library's, {path}\n" in said) != solved
                module = import_module(path.rpartition(".")[0])
                assert (parts[name] is getattr(module, name)) != solved
            assert f'or_library({next(iter(item.parts))}, "' in sources[item.place + 1]
            assert judge._compare(item, parts, seed=0) == check.Result(check.PASSED)


def test_exercises_are_not_attempted_in_the_one_and_pass_in_the_other():
    for path in NOTEBOOKS:
        for notebook, status in ((STUDENT[path.stem], check.NOT_ATTEMPTED), (LECTURER[path.stem], check.PASSED)):
            before: list[ast.stmt] = []
            for cell in judge._code_cells(notebook):
                source = "".join(cell["source"])
                if name := editions.exercise_in(cell):
                    exercise = check.exercises(path.stem)[name]
                    function = defined(before, source, {"__name__": "notebook"})[exercise.solution.__name__]
                    assert exercise(function, seed=0).status == status, name
                before += slices.statements(source)


def test_a_folder_each(tmp_path):
    notebooks = tmp_path / "notebooks"
    notebooks.mkdir()
    (notebooks / NOTEBOOKS[1].name).write_text(NOTEBOOKS[1].read_text())
    editions.write_editions(tmp_path / "student", tmp_path / "lecturer", notebooks)
    assert [p.relative_to(tmp_path) for p in sorted(tmp_path.rglob("*.ipynb")) if p.parent != notebooks] == [
        Path("lecturer") / NOTEBOOKS[1].name,
        Path("student") / NOTEBOOKS[1].name,
    ]


# ---------------------------------------------------------------- what a cell needs


NOTEBOOK = """
import math, json
from os import path, sep
scale = 2
def helper(x):
    return scale * x
scale = 3
rows = []
rows.append(4)
total = 0
for row in rows:
    total += row
print(total)
other = json.dumps(rows)
"""


@pytest.mark.parametrize(
    "code,wanted",
    [
        ("def f(x):\n    return math.sqrt(x)", ["import math"]),
        ("y = helper(1)", ["def helper(x):", "scale = 3"]),
        ("y = total", ["rows = []", "rows.append(4)", "total = 0", "for row in rows:"]),
        ("for row in (1, 2):\n    y = row + 1\n    y = y + 1", []),
        ("total = 1\ny = total", []),
        ("y = [sep for sep in 'ab']", []),
        ("y = path.join('a', sep)", ["from os import path", "from os import sep"]),
    ],
)
def test_what_a_cell_needs(code, wanted):
    found = slices.needed(slices.statements(NOTEBOOK), slices.statements(code))
    assert [ast.unparse(node).splitlines()[0] for node in found] == wanted


def test_of_a_learners_cell_its_definitions_count():
    cell = "%matplotlib inline\nimport math\nlimit = 3\n\ndef f(x):\n    return x\n\nprint(f(1))\ncheck.gain_1(f)"
    assert [ast.unparse(n).splitlines()[0] for n in slices.definitions(cell)] == ["import math", "limit = 3", "def f(x):"]
