"""What the package promises around the codec: how it is imported, what it declares, what it installs."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted(ROOT.glob("notebooks/**/*.ipynb"))


def python(code: str, **environment: str | None) -> str:
    """Run code in a fresh interpreter without the waiting policy that this one has; None takes a variable away."""
    environment = {"OMP_WAIT_POLICY": None, "KMP_BLOCKTIME": None, "PYTHONPATH": str(ROOT)} | environment
    environment = {key: value for key, value in (os.environ | environment).items() if value is not None}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# ------------------------------------------------------------ waiting threads sleep

WAITING = "import os; print(os.environ.get('OMP_WAIT_POLICY'), os.environ.get('KMP_BLOCKTIME'))"


def test_importing_the_package_lets_threads_sleep_and_loads_no_torch():
    assert python(f"import sys, plic_lib; assert 'torch' not in sys.modules; {WAITING}") == "passive 0"


@pytest.mark.parametrize("name,value", [("OMP_WAIT_POLICY", "active"), ("GOMP_SPINCOUNT", "1000"), ("KMP_BLOCKTIME", "200")])
def test_who_chose_a_waiting_policy_keeps_it(name, value):
    known = {"OMP_WAIT_POLICY": None, "KMP_BLOCKTIME": None} | {name: value}
    assert python(f"import plic_lib; {WAITING}", **{name: value}) == f"{known['OMP_WAIT_POLICY']} {known['KMP_BLOCKTIME']}"


def test_after_torch_it_is_too_late_and_nothing_is_claimed():
    assert python(f"import sys; sys.modules['torch'] = sys; import plic_lib; {WAITING}") == "None None"


def test_make_sets_it_for_what_it_starts_unless_it_is_set():
    show = ["make", "-f", "-", "show"]
    rule = (ROOT / "Makefile").read_text() + "\nshow:\n\t@echo $$OMP_WAIT_POLICY $$KMP_BLOCKTIME\n"
    free = {key: value for key, value in os.environ.items() if key not in ("OMP_WAIT_POLICY", "KMP_BLOCKTIME", "GOMP_SPINCOUNT")}
    run = lambda **more: subprocess.run(show, input=rule, capture_output=True, text=True, env=free | more).stdout.split()  # noqa: E731
    assert run() == ["passive", "0"] and run(OMP_WAIT_POLICY="active") == ["active"]


def imports(source: str) -> list[str]:
    """The modules that a piece of source imports, in its order, functions' inner imports included."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]
    nodes.sort(key=lambda node: node.lineno)
    return [name for n in nodes for name in ([alias.name for alias in n.names] if isinstance(n, ast.Import) else [n.module or ""])]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: str(path.relative_to(ROOT / "notebooks")))
def test_a_notebook_imports_plic_lib_before_torch(path):
    """Before any package, since many of them load torch."""
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    first = [name.partition(".")[0] for name in imports("".join(cells[0]["source"]))]
    assert [name for name in first if name not in sys.stdlib_module_names][0] == "plic_lib"
