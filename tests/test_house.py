"""The house rules: modules and functions of a size to read in one go, imports that run one way, maps that are true."""

import ast
import graphlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = [*ROOT.glob("plic_lib/**/*.py"), *ROOT.glob("plic_mindspore/*.py")]
FILES = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in SOURCES}
LAYERS = ("core", "training", "study", "course", "commands")  #: each imports only from itself and those before it
#: Those with a map. The checks have none: each is named after its notebook, and finds its own modules.
PACKAGES = [name for name, path in FILES.items() if path.name == "__init__.py" and name != "plic_lib.course.check"]


def imports(name: str) -> set[str]:
    """The modules of plic_lib that one of them imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(FILES[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has an import relative to itself"
            # `from package import name` is an import of a module, or of something in the package's own
            found |= {inner if (inner := f"{node.module}.{alias.name}") in FILES else node.module for alias in node.names}
    return found & FILES.keys() - {name}


def layer(name: str) -> int:
    """Where in LAYERS a module stands; ``python -m plic_lib`` is a command."""
    part = "commands" if name == "plic_lib.__main__" else (name.split(".") + ["", ""])[1]
    return LAYERS.index(part) if part in LAYERS else 0


def described(package: str) -> list[str]:
    """The modules that a package's docstring lists, one a line as ``    name  what it is``, in its order."""
    text = ast.get_docstring(ast.parse(FILES[package].read_text()), clean=False) or ""
    return re.findall(r"^    (\w+)  +\S", text, re.M)


def named(package: str) -> set[str]:
    """The modules that it names in its prose, as ``name``."""
    return set(re.findall(r"``(\w+)``", ast.get_docstring(ast.parse(FILES[package].read_text())) or ""))


def test_no_module_is_longer_than_300_lines():
    """The reference decoder is one file by its nature: everything from the bytes to the latents, with nothing of ours imported."""
    limits = {"plic_lib.reference_decoder": 400}
    assert not {name: n for name, path in FILES.items() if (n := len(path.read_text().splitlines())) > limits.get(name, 300)}


def test_no_function_is_longer_than_60_lines():
    long = {}
    for name, path in FILES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (lines := node.end_lineno - node.lineno + 1) > 60:
                long[f"{name}.{node.name}"] = lines
    assert not long


def test_imports_run_one_way():
    assert not [f"{name} imports {other}" for name in FILES for other in imports(name) if layer(other) > layer(name)]


def test_no_module_imports_itself_through_others():
    graphlib.TopologicalSorter({name: imports(name) for name in FILES}).prepare()  # CycleError names the circle


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_says_what_is_in_it(package):
    inside = {name.rpartition(".")[2] for name in FILES if name.rpartition(".")[0] == package} - {"__main__"}
    assert set(described(package)) <= inside <= set(described(package)) | named(package)


def test_the_map_is_in_reading_order():
    """In ``plic_lib`` and in each package, a module imports only from those that stand above it."""
    for package in PACKAGES:
        order = [f"{package}.{name}" for name in described(package)]
        for number, name in enumerate(order):
            assert not imports(name) & set(order[number:]), f"{name} stands above what it imports"
