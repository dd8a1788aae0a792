"""Editions of the notebooks that are made, not written, so that they cannot drift.

``notebooks/solutions`` puts together what stands elsewhere once: an exercise's statement from the teaching notebook, its
solution, the remark on it and the slips from :mod:`plic_lib.course.check`. After a change of either,
``python -m plic_lib.course.editions`` writes the sources again; ``make solutions`` also runs them.

``make student`` writes two further editions, without outputs, which would answer what is to be predicted. In ``student`` each
cell tagged ``build:`` is a task, whose stub has the library's signature and what its docstring begins with; the check after it
takes the library's part where the task is unwritten, so that everything runs. ``lecturer`` is the same, solved.
"""

import ast
import inspect
import json
import re
import sys
from importlib import import_module
from pathlib import Path

from plic_lib import files
from plic_lib.course import check
from plic_lib.course.check import Exercise

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def statements(notebook: dict) -> dict[str, str]:
    """The statement of each exercise, from ``**1. Title**`` on in the cell before the stub, by the name of its check."""
    found, above = {}, ""
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if "exercise" in cell["metadata"].get("tags", []):
            found[re.findall(r"check\.(\w+)\(", source)[0]] = re.split(r"^(?=\*\*\d+\. )", above, flags=re.M)[-1].strip()
        above = source
    return found


def source(exercise: Exercise) -> str:
    """The solution's source, without the docstring, which is the remark."""
    lines = inspect.getsource(exercise.solution).splitlines()
    function = ast.parse("\n".join(lines)).body[0]
    assert isinstance(function, ast.FunctionDef)
    docstring = function.body[0]
    return "\n".join(lines[: docstring.lineno - 1] + lines[docstring.end_lineno :])


def solutions(path: Path) -> dict:
    """The lecturer's edition of a teaching notebook, without outputs."""
    notebook = json.loads(path.read_text())
    title = "".join(notebook["cells"][0]["source"]).splitlines()[0].removeprefix("# ")
    exercises, asked = check.exercises(path.stem), statements(notebook)
    module = sys.modules[next(iter(exercises.values())).solution.__module__]
    cells = [
        ("markdown", f"# Solutions to {title}\n\nMade from the notebook and from `{module.__name__}` by `make solutions`: change those."),
        ("code", _imports(module, exercises)),
    ]
    for name, exercise in exercises.items():
        slips = "\n".join(f"- {slip}: {sentence}" for slip, (sentence, _) in exercise.slips.items())
        slips = f"<details><summary>Slips that the check names</summary>\n\n{slips}\n</details>"
        call = f"result = check.{name}({exercise.solution.__name__})\nassert result.status == check.PASSED, result\nresult"
        cells.append(("markdown", f"{asked[name]}\n\n**Solution.** {_flowing(exercise.solution.__doc__ or '')}\n\n{slips}"))
        cells.append(("code", f"{source(exercise)}\n\n\n{call}"))
    if afterword := getattr(module, "AFTERWORD", ""):
        cells.append(("markdown", _flowing(afterword)))
    chapter = module.__name__.rpartition(".")[2]
    return {
        "cells": [_cell(f"{chapter}-solution-{i:02d}", kind, text) for i, (kind, text) in enumerate(cells)],
        "metadata": METADATA,
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _imports(module, exercises: dict[str, Exercise]) -> str:
    """The first cell: the checks, and those imports of the module that the solutions use."""
    used = {node.id for e in exercises.values() for node in ast.walk(ast.parse(source(e))) if isinstance(node, ast.Name)}
    imports = [node for node in ast.parse(inspect.getsource(module)).body if isinstance(node, ast.Import)]
    lines = [ast.unparse(node) for node in imports if (node.names[0].asname or node.names[0].name) in used]
    return ("from plic_lib.course import check\n\n" + "\n".join(lines)).strip()


def _flowing(text: str) -> str:
    """A docstring with each paragraph on one line."""
    return re.sub(r"(?<!\n)\n(?!\n)", " ", inspect.cleandoc(text))


def _cell(name: str, kind: str, text: str) -> dict:
    outputs = {"execution_count": None, "outputs": []} if kind == "code" else {}
    return {"cell_type": kind, **outputs, "id": name, "metadata": {}, "source": text.splitlines(keepends=True)}


def write(notebooks: Path = NOTEBOOKS) -> list[Path]:
    """The solutions of a folder of notebooks, those whose sources changed. The outputs of unchanged cells stay."""
    written = []
    for path in (path for path in sorted(notebooks.glob("*.ipynb")) if check.exercises(path.stem)):
        made, place = solutions(path), notebooks / "solutions" / path.name
        before = json.loads(place.read_text()) if place.exists() else {"cells": []}
        if sources(before) != sources(made):
            run = {"".join(cell["source"]): cell for cell in before["cells"] if cell["cell_type"] == "code"}
            for cell in made["cells"]:
                if known := run.get("".join(cell["source"])):
                    cell.update(execution_count=known["execution_count"], outputs=known["outputs"])
            files.write(place, (json.dumps(made, indent=1, ensure_ascii=False) + "\n").encode())
            written.append(place)
    return written


def sources(notebook: dict) -> list[tuple[str, str]]:
    """Kind and source of each cell."""
    return [(cell["cell_type"], "".join(cell["source"])) for cell in notebook["cells"]]


# ---------------------------------------------------------------- student and lecturer


def parts(cell: dict) -> list[str]:
    """The parts of the library that a cell builds, as in ``["plic_lib.gain.GainUnits"]``."""
    return [tag.removeprefix("build:") for tag in cell["metadata"].get("tags", []) if tag.startswith("build:")]


def exercise_in(cell: dict) -> str:
    """The name of the exercise whose stub a cell is, as in ``"gain_1"``, or empty."""
    found = re.findall(r"check\.(\w+)\(", "".join(cell["source"]))
    return found[0] if "exercise" in cell["metadata"].get("tags", []) else ""


def empty(node: ast.FunctionDef | ast.ClassDef, message: str = "", about: object = None) -> None:
    """Take the code out of a definition and leave its signature; of a class that of its public methods.

    What is left raises NotImplementedError, with the message if there is one. ``about`` lends the first paragraphs of its docstrings.
    """
    text = (inspect.getdoc(about) or "").partition("\n\n")[0] if about and getattr(about, "__doc__", None) else ""
    docstring = [ast.Expr(ast.Constant(text))] if text else []
    if isinstance(node, ast.ClassDef):
        public = [n for n in node.body if isinstance(n, ast.FunctionDef) and (n.name == "__init__" or not n.name.startswith("_"))]
        for method in public:
            empty(method, message, vars(about).get(method.name) if about else None)
        node.body = [*docstring, *public]
    else:
        node.body = [*docstring, *ast.parse(f"raise NotImplementedError({message!r})" if message else "raise NotImplementedError").body]


def task(source: str, paths: list[str]) -> str:
    """The stub of a task from the code that solves it."""
    tree = ast.parse(source)
    for path in paths:
        module, _, name = path.rpartition(".")
        node = next(n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name == name)
        empty(node, about=getattr(import_module(module), name))
    return "\n\n\n".join(map(ast.unparse, tree.body))


def edition(path: Path, solved: bool) -> dict:
    """The student edition of a teaching notebook, or the lecturer's, which is the same with its tasks and exercises solved."""
    notebook = json.loads(path.read_text())
    exercises = check.exercises(path.stem)
    everything = "\n".join("".join(cell["source"]) for cell in notebook["cells"])
    below: list[str] = []  # the parts that the cell above has built
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            text = re.sub(r" ?Solutions[^.`]*`solutions/[^`]*`\.?", "", text)
        else:
            cell.update(execution_count=None, outputs=[])
            above, below = below, parts(cell)
            if below and not solved:
                text = task(text, below)
            if above:
                lines = [f'{part.rpartition(".")[2]} = or_library({part.rpartition(".")[2]}, "{part}")' for part in above]
                text = "\n".join(["from plic_lib.course.tasks import or_library", "", *lines, "", text])
            if solved and (name := exercise_in(cell)):
                module = sys.modules[exercises[name].solution.__module__]
                imports = [line for line in _imports(module, {name: exercises[name]}).splitlines()[2:] if line not in everything]
                text = "\n".join([*imports, *([""] * 2 if imports else []), source(exercises[name])]) + f"\n\n\n{text.split()[-1]}"
        cell["source"] = text.splitlines(keepends=True)
    return notebook


def write_editions(student: Path, lecturer: Path, notebooks: Path = NOTEBOOKS) -> None:
    """Both, as folders of notebooks."""
    for folder, solved in ((student, False), (lecturer, True)):
        for path in sorted(notebooks.glob("*.ipynb")):
            files.write(folder / path.name, (json.dumps(edition(path, solved), indent=1, ensure_ascii=False) + "\n").encode())


if __name__ == "__main__":
    if sys.argv[1:]:
        write_editions(*map(Path, sys.argv[1:]))
    else:
        for place in write():
            print(place)
