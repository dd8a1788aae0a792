"""Notebooks about a package that not everybody has: without it they say so in a sentence, and stay as they are."""

import json
import runpy
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from plic_lib.course import optional

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
ABOUT = {path: package for path in NOTEBOOKS.glob("*.ipynb") if (package := json.loads(path.read_text())["metadata"].get("package"))}


@pytest.mark.parametrize("path", ABOUT, ids=lambda path: path.stem)
def test_the_first_cell_asks_for_the_package(path):
    first = next(cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code")
    assert f'optional.require("{ABOUT[path]}", ' in "".join(first["source"])


def test_a_missing_package_is_a_sentence_that_stops_the_notebook(capsys):
    shell = InteractiveShell.instance()
    found = shell.run_cell('from plic_lib.course import optional\noptional.require("no_such_package", "do this")\nprint("went on")')
    shell.clear_instance()
    assert isinstance(found.error_in_exec, optional.Missing)
    said = capsys.readouterr()
    assert (
        said.out.strip()
        == "no_such_package is not installed here, so the outputs below are recorded ones, to be read and not run: do this."
    )
    optional.require("numpy", "do this")


def test_such_a_notebook_is_left_as_it_is(tmp_path, capsys):
    notebook = json.loads(next(iter(ABOUT)).read_text())
    notebook["metadata"]["package"] = "no_such_package"
    path = tmp_path / "one.ipynb"
    path.write_text(before := json.dumps(notebook))
    runpy.run_path(str(NOTEBOOKS / "run.py"))["run"](path)
    assert path.read_text() == before and "no_such_package is not installed here" in capsys.readouterr().out
