"""What the pages and the docstrings show runs as it stands, and their links lead somewhere."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md"))]
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in ROOT.glob("plic_lib/**/*.py")}


def blocks(path: Path) -> list[str]:
    """The Python of a page, each piece with blank lines before it, so that an error names the line of the page."""
    text = path.read_text()
    return ["\n" * text.count("\n", 0, found.start(1)) + found[1] for found in re.finditer(r"^```python\n(.*?)^```", text, re.M | re.S)]


@pytest.mark.parametrize("path", [path for path in PAGES if blocks(path)], ids=lambda path: path.name)
def test_a_pages_code_runs_from_top_to_bottom(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": path.stem}
    for block in blocks(path):
        exec(compile(block, path, "exec"), names)


@pytest.mark.parametrize("name", sorted(name for name, path in MODULES.items() if ">>> " in path.read_text()))
def test_a_docstrings_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert done.attempted and not done.failed


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text())
    assert not [link for link in links if "://" not in link and not (path.parent / link).exists()]
