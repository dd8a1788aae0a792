"""What the package promises around the codec: how it is imported, what it declares, what it installs."""

import ast
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from plic_lib import images

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted(ROOT.glob("notebooks/**/*.ipynb"))


def python(code: str, cwd: Path | None = None, **environment: str | None) -> str:
    """Run code in a fresh interpreter without the waiting policy that this one has; None takes a variable away."""
    environment = {"OMP_WAIT_POLICY": None, "KMP_BLOCKTIME": None, "PYTHONPATH": str(ROOT)} | environment
    environment = {key: value for key, value in (os.environ | environment).items() if value is not None}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=cwd)
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
    ours = ("OMP_WAIT_POLICY", "KMP_BLOCKTIME", "GOMP_SPINCOUNT", "MAKEFLAGS", "MAKELEVEL")  # the tests may run under make
    free = {key: value for key, value in os.environ.items() if key not in ours}
    run = lambda **more: subprocess.run(show, input=rule, capture_output=True, text=True, env=free | more).stdout.split()
    assert run() == ["passive", "0"] and run(OMP_WAIT_POLICY="active") == ["active"]


def imports(source: str) -> list[str]:
    """The modules that a piece of source imports, in its order, functions' inner imports included."""
    found = []
    for node in sorted(ast.walk(ast.parse(source)), key=lambda node: getattr(node, "lineno", 0)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.append(node.module)
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: str(path.relative_to(ROOT / "notebooks")))
def test_a_notebook_imports_plic_lib_before_torch(path):
    """Before any package, since many of them load torch."""
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    first = [name.partition(".")[0] for name in imports("".join(cells[0]["source"]))]
    assert [name for name in first if name not in sys.stdlib_module_names][0] == "plic_lib"


# ------------------------------------------------------------ what is imported is declared

ORIGINS = importlib.metadata.packages_distributions()  #: module -> the installed packages that have it
#: What each package may import when it is loaded: plic's own dependencies, and those of this extra.
EXTRA = {"training": "train", "study": "study", "course": "course", "commands": "course"}


@pytest.fixture(scope="module")
def project() -> dict:
    return pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli").loads((ROOT / "pyproject.toml").read_text())[
        "project"
    ]


def names(lines: list[str]) -> set[str]:
    """The packages that requirement lines name."""
    return {re.match(r"[\w-]+", line)[0] for line in lines if line[:1].isalnum()}


def declared(project: dict, extra: str | None) -> set[str]:
    """What an installation with an extra brings, and what that one builds on."""
    lines = project["optional-dependencies"][extra] if extra else project["dependencies"]
    inner = re.findall(r"plic\[(\w+)\]", " ".join(lines))
    return names(lines) - {"plic"} | declared(project, inner[0] if inner else None) if extra else names(lines)


@pytest.fixture
def required(project) -> set[str]:
    """What requirements.txt brings."""
    return declared(project, "course") | declared(project, "slides") | names((ROOT / "requirements.txt").read_text().splitlines())


def packages(modules: set[str]) -> dict[str, set[str]]:
    """Module -> the installed packages that it may come from; without the standard library and what is in this repository."""
    roots = {module.partition(".")[0] for module in modules} - sys.stdlib_module_names - {"plic_lib", "plic_mindspore"}
    return {root: {re.sub(r"[_.]+", "-", name).lower() for name in ORIGINS.get(root, ())} for root in roots}


def at_load(path: Path) -> set[str]:
    """Modules that a file imports when it is itself imported."""
    body = ast.parse(path.read_text()).body
    return set(imports(ast.unparse(ast.Module([n for n in body if isinstance(n, ast.Import | ast.ImportFrom)], []))))


def test_what_a_module_imports_is_declared(project):
    missing = []
    for path in sorted((ROOT / "plic_lib").rglob("*.py")):
        part = path.relative_to(ROOT / "plic_lib").parts[0]
        found = [
            ("at load", at_load(path), declared(project, EXTRA.get(part))),
            ("later", imports(path.read_text()), declared(project, "course")),
        ]
        for when, modules, known in found:
            missing += [f"{path.name} imports {root} {when}" for root, origin in packages(set(modules)).items() if not origin & known]
    assert not missing


def test_what_is_declared_is_imported(project):
    modules = {module for path in (ROOT / "plic_lib").rglob("*.py") for module in imports(path.read_text())}
    assert declared(project, "course") <= set().union(*packages(modules).values())


def test_an_extra_that_a_sentence_names_is_declared(project):
    """Also of what is imported by its name alone, as plug-ins are."""
    named = {extra for path in (ROOT / "plic_lib").rglob("*.py") for extra in re.findall(r"plic\[(\w+)\]", path.read_text())}
    assert {"jxl", "study", "train"} <= named <= project["optional-dependencies"].keys()


def test_what_tests_and_notebooks_import_is_required(required, project):
    sources = [path.read_text() for path in [*ROOT.glob("tests/*.py"), *ROOT.glob("tests/exercises/*.py"), *ROOT.glob("notebooks/*.py")]]
    optional = set()  #: what a notebook that can be left out is about
    for path in NOTEBOOKS:
        notebook = json.loads(path.read_text())
        optional |= {notebook["metadata"]["package"]} if "package" in notebook["metadata"] else set()
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        sources += ["".join(line for line in cell["source"] if line[0] not in "%!") for cell in cells]
    found = packages({module for source in sources for module in imports(source)})
    assert optional <= project["optional-dependencies"].keys()
    assert not [root for root, origin in found.items() if root not in optional and not origin & required]


def test_constraints_name_everything_that_is_required(required):
    pinned = dict(re.findall(r"^([\w-]+)==([\w.]+)", (ROOT / "constraints.txt").read_text(), re.M))
    assert required <= pinned.keys()


PIP = """#!/bin/sh
case "$*" in
    *"-m pip"*" -c "*) echo "$*" >> log ;;
    *"-m pip"*) echo "$*" >> log; exit 1 ;;
    *) exec "{python}" "$@" ;;
esac
"""


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="setup.sh takes Python 3.10 to 3.12")
def test_set_up_falls_back_to_the_versions_that_the_tests_passed_with(tmp_path):
    """With a pip that installs only what is constrained."""
    for name in ("setup.sh", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(PIP.format(python=sys.executable))
    python.chmod(0o755)
    done = subprocess.run([tmp_path / "setup.sh"], capture_output=True, text=True)
    assert done.returncode == 0 and "constraints.txt" in done.stdout and (tmp_path / ".venv" / ".ready").exists()
    first, second = (tmp_path / "log").read_text().splitlines()
    assert first.endswith("-r requirements.txt") and second.endswith("-r requirements.txt -c constraints.txt")


# ------------------------------------------------------------ the wheel


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder with what a wheel holds, made without a network."""
    pytest.importorskip("setuptools", "77")
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for name in ("plic_lib", "plic_mindspore", "data/checkpoints"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "LICENSE-TEXT.md"):
        shutil.copy(ROOT / name, source)
    build = f"from setuptools import build_meta; print(build_meta.build_wheel({str(source)!r}))"
    done = subprocess.run([sys.executable, "-c", build], capture_output=True, text=True, cwd=source)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(source.glob("*.whl"))) as wheel:
        wheel.extractall(target)
    return target


def test_a_wheel_carries_the_package_and_the_models(installed):
    wanted = {path.relative_to(ROOT) for path in (ROOT / "plic_lib").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    wanted |= {Path("plic_lib/models", path.name) for path in (ROOT / "data" / "checkpoints").glob("*.safetensors")}
    assert wanted <= {path.relative_to(installed) for path in installed.rglob("*")}


USE = """
import sys, plic_lib.codec
from plic_lib.commands.main import main
print(plic_lib.__file__)
print(*{name.partition(".")[0] for name in sys.modules})
for arguments in (["encode", "in.png", "out.plic"], ["info", "out.plic"], ["decode", "out.plic", "out.png"]):
    if main(arguments):
        sys.exit("failed")
print(*{name.partition(".")[0] for name in sys.modules})
"""


def test_an_installed_package_works_from_any_folder_and_the_codec_loads_only_what_it_needs(installed, project, tmp_path, photo):
    """A picture goes through the shipped model without any package that an extra brings (CompressAI loads torchvision itself)."""
    images.to_image(photo).save(tmp_path / "in.png")
    where, codec, *_, commands = python(USE, cwd=tmp_path, PYTHONPATH=str(installed)).splitlines()
    assert Path(where) == installed / "plic_lib" / "__init__.py"
    assert not {"matplotlib", "torchmetrics", "accelerate", "lpips", "skimage", "IPython"} & set(codec.split())
    more = declared(project, "course") - declared(project, None) - {"torchvision"}
    assert not [root for root, origin in packages({*commands.split()} & ORIGINS.keys()).items() if origin & more]
    assert images.read(tmp_path / "out.png").shape == photo.shape
