"""Editions of the notebooks that are made, not written, so that they cannot drift: ``make solutions``.

The lecturer's edition, ``notebooks/solutions``, puts together what stands elsewhere once: an exercise's statement from the
teaching notebook, its solution, the remark on it and the slips from :mod:`plic_lib.course.check`. After a change of either,
``python -m plic_lib.course.editions`` writes the sources again; ``make solutions`` also runs them.
"""

import ast
import inspect
import json
import re
import sys
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
    return "from plic_lib.course import check\n\n" + "\n".join(lines)


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


if __name__ == "__main__":
    for place in write(*map(Path, sys.argv[1:])):
        print(place)
