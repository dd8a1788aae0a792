"""What a notebook builds by hand is the library's code, and is compared with the library's object there.

A cell tagged ``build:plic_lib.gain.GainUnits`` defines ``GainUnits`` with the same syntax
tree as the library, apart from docstrings and type annotations.
"""

import ast
import importlib
import inspect
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"


class Plain(ast.NodeTransformer):
    """Without docstrings and annotations."""

    def visit(self, node):
        node = super().generic_visit(node)
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            if ast.get_docstring(node) is not None:
                node.body = node.body[1:] or [ast.Pass()]
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        if isinstance(node, ast.arg):
            node.annotation = None
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            return ast.Assign(targets=[node.target], value=node.value)
        return node


def plain(source: str, name: str) -> str:
    """The syntax tree of the definition of ``name`` in a piece of source, as text."""
    found = [n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name == name]
    assert found, f"the cell does not define {name}"
    return ast.dump(Plain().visit(found[0]), indent=1)


def cells(path):
    code = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    for cell, following in zip(code, code[1:]):
        for tag in cell.metadata.get("tags", []):
            if tag.startswith("build:"):
                yield tag.removeprefix("build:"), cell.source, following.source


CASES = [pytest.param(*case, id=f"{path.stem[:2]}-{case[0]}") for path in sorted(NOTEBOOKS.glob("*.ipynb")) for case in cells(path)]


@pytest.mark.parametrize("target,source,following", CASES)
def test_built_by_hand_is_the_librarys(target, source, following):
    module, _, name = target.rpartition(".")
    library = inspect.getsource(importlib.import_module(module))
    assert plain(source, name) == plain(library, name)
    assert "assert " in following and (module.rpartition(".")[2] in following), "the next cell compares it with the library's"
    imported = [n.module for n in ast.walk(ast.parse(source)) if isinstance(n, ast.ImportFrom)]
    assert not any(m.startswith("plic_lib") for m in imported)


def test_the_comparison_sees_a_difference():
    library = "class A:\n    'Doc.'\n    def f(self, x: int) -> int:\n        'Doc.'\n        return x + 1\n"
    assert plain(library, "A") == plain("class A:\n    def f(self, x):\n        return x + 1", "A")
    assert plain(library, "A") != plain("class A:\n    def f(self, x):\n        return x + 2", "A")
