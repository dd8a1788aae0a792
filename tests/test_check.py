"""The exercises' checks: the solution passes, the stub is not attempted, typical wrong answers are named."""

import ast
import importlib
import pkgutil
import random
from pathlib import Path

import nbformat
import pytest
import torch

from plic_lib.course import check

from . import exercises

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"


def functions(path: Path) -> dict[str, str]:
    """Sources of the functions defined in a notebook, by name."""
    sources = {}
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            for node in ast.parse(cell.source).body:
                if isinstance(node, ast.FunctionDef):
                    sources[node.name] = ast.get_source_segment(cell.source, node)
    return sources


def defined(source: str):
    """The function that a piece of source defines."""
    namespace = {"torch": torch}
    exec(source, namespace)
    return next(v for k, v in namespace.items() if callable(v) and k not in ("torch", "__builtins__"))


#: notebook -> check -> (function's name, wrong answers with words that the hint has to contain)
MODULES = [importlib.import_module(f"{exercises.__name__}.{m.name}") for m in pkgutil.iter_modules(exercises.__path__)]
EXERCISES = {module.NOTEBOOK: module.EXERCISES for module in MODULES}


@pytest.fixture(autouse=True)
def same_inputs():
    """The checks draw random inputs; here the same ones in every run."""
    random.seed(0)
    torch.manual_seed(0)


CASES = [(notebook, name) for notebook, checks in EXERCISES.items() for name in checks]


@pytest.mark.parametrize("notebook,name", CASES)
def test_the_solution_passes(notebook, name):
    function, _ = EXERCISES[notebook][name]
    solution = defined(functions(NOTEBOOKS / "solutions" / f"{notebook}.ipynb")[function])
    for _ in range(20):  # inputs are random
        assert getattr(check, name)(solution).status == check.PASSED


@pytest.mark.parametrize("notebook,name", CASES)
def test_the_stub_is_not_attempted(notebook, name):
    function, _ = EXERCISES[notebook][name]
    stub = defined(functions(NOTEBOOKS / f"{notebook}.ipynb")[function])
    assert getattr(check, name)(stub).status == check.NOT_ATTEMPTED


@pytest.mark.parametrize("notebook,name", CASES)
def test_wrong_answers_are_named(notebook, name):
    _, wrong = EXERCISES[notebook][name]
    assert len(wrong) >= 2
    for words, answer in wrong.items():
        for _ in range(5):
            result = getattr(check, name)(answer)
            assert result.status == check.FAILED and words in result.hint, result


@pytest.mark.parametrize("notebook,name", CASES)
def test_constants_and_exceptions_fail(notebook, name):
    for answer in (lambda *_: torch.tensor(0.5), lambda *_: 1 / 0):
        assert getattr(check, name)(answer).status == check.FAILED


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_definitions_in_notebooks_are_marked(path):
    """A function or class in a notebook is a toy or an exercise; anything else belongs to the library."""
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            names = [n.name for n in ast.parse(cell.source).body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
            tags = cell.metadata.get("tags", [])
            assert not names or any(tag in ("toy", "exercise") or tag.startswith("build:") for tag in tags), names


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_every_exercise_of_a_notebook_is_tested(path):
    """A check that a notebook calls stands in ``EXERCISES``, and its solution in the solutions."""
    for cell in nbformat.read(path, as_version=4).cells:
        if "exercise" in cell.metadata.get("tags", []):
            called = [
                n.func.attr for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)
            ]
            assert called and all(name in EXERCISES[path.stem] for name in called)
