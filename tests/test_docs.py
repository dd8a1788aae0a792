"""What the pages and the docstrings show runs as it stands, their links lead somewhere, and their figures are the recorded ones."""

import contextlib
import doctest
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from plic_lib import commands, datasets, images
from plic_lib.commands.main import COMMANDS, main
from plic_lib.errors import FileError
from plic_lib.study import compare, pages, syllabus

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md"))]
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in ROOT.glob("plic_lib/**/*.py")}


def blocks(path: Path, language: str = "python") -> list[str]:
    """A page's code of one language, each piece with blank lines before it, so that an error names the line of the page."""
    text, code = path.read_text(), re.compile(rf"^```{language}\n(.*?)^```$", re.M | re.S)
    return ["\n" * text.count("\n", 0, found.start(1)) + found[1] for found in code.finditer(text)]


def calls(lines: list[str]) -> list[str]:
    """What follows ``plic``, or what stands for it, in lines of shell."""
    parts = [part for line in lines for part in re.split(r"\||&&|;", line.partition("#")[0])]
    found = [re.split(r"(?:^|\s)(?:plic|-m plic_lib) ", part, maxsplit=1)[1:] for part in parts]
    return [call[0].strip() for call in found if call and call[0].strip()]


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


@pytest.mark.parametrize("path", [path for path in PAGES if blocks(path, "sh")], ids=lambda path: path.name)
def test_a_pages_commands_run_from_top_to_bottom(path, tmp_path, monkeypatch, capfd):
    """Those in blocks of ``sh``: the ones that end and need no network."""
    monkeypatch.chdir(tmp_path)
    photo = datasets.sample("coffee")[:, 60:284, 100:420]
    images.to_image(photo).save("photo.jpg")
    images.to_image((photo.mean(0, keepdim=True) > 0.7).float().expand(3, -1, -1)).save("mask.png")
    Path("photographs").mkdir()
    images.to_image(photo[:, :128, :192]).save("photographs/cup.png")
    for line in (line for block in blocks(path, "sh") for line in block.splitlines() if line.strip()):
        if "|" in line:
            program = f'plic() {{ "{sys.executable}" -m plic_lib "$@"; }}; {line}'
            done = subprocess.run(["bash", "-ec", program], env=os.environ | {"PYTHONPATH": str(ROOT)}).returncode
        else:
            done = main(shlex.split(line, comments=True)[1:])
        assert done == 0, f"{line}\n{capfd.readouterr().err}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_commands_that_a_page_names_exist(path, monkeypatch, capsys):
    """Those in its blocks with the arguments that they get there, those in its lines with their options."""
    whole = calls([line for block in blocks(path, "(?:sh)?") for line in block.splitlines()])
    mentioned = calls(re.findall(r"`((?:plic|accelerate launch) [a-z][^`]+)`", path.read_text()))
    for call in whole + mentioned:
        name = call.split()[0]
        assert name in COMMANDS, f"plic {call}"
        if call in whole and "…" not in call:
            module = importlib.import_module(f"{commands.__name__}.{name.replace('-', '_')}")
            monkeypatch.setattr(module, "run", lambda options: None)
            assert main(shlex.split(call)) == 0, f"plic {call}: {capsys.readouterr().err}"
        elif options := set(re.findall(r"--[a-z-]+", call)):
            with contextlib.suppress(SystemExit):
                main([name, "--help"])
            assert options <= set(re.findall(r"--[a-z-]+", capsys.readouterr().out)), f"plic {call}"


def test_the_targets_of_make_that_pages_name_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for path in PAGES:
        code = "\n".join([*blocks(path, "(?:sh)?"), *re.findall(r"`([^`\n]+)`", path.read_text())])
        assert set(re.findall(r"^(?:\w+=\S+ )*make ([a-z][a-z-]*)", code, re.M)) <= targets, path


# ---------------------------------------------------------------- figures, by `make pages`


def test_pages_quote_the_recorded_figures():
    assert not [path.name for path in PAGES if pages.renewed(path.read_text()) != path.read_text()]


def test_the_cover_is_of_the_shipped_model(mini):
    assert compare.load("cover")["hash"] == mini.hash
    assert (compare.FOLDER / "cover.jpg").stat().st_size <= 400_000


def test_a_page_is_renewed_between_its_marks(monkeypatch):
    monkeypatch.setitem(pages.PIECES, "some", lambda: "| new |")
    page = "before\n<!-- some: written by `make pages` -->\nold\n<!-- end of some -->\nafter\n"
    once = pages.renewed(page)
    assert once == page.replace("old", "| new |") and pages.renewed(once) == once
    for wrong in (page.replace("some", "other"), page.replace("end of some", "end")):
        with pytest.raises(FileError, match="no such piece"):
            pages.renewed(wrong)


def test_who_is_ahead_follows_from_the_figures():
    others = {"best": 0.1, "equal": 0.2, "worst": 0.3, "unknown": None}
    assert pages._sides(0.2, others, True, 1) == ["worst 0.3", "best 0.1, level: equal 0.2"]
    assert pages._sides(0.2, others, False, 1) == ["best 0.1", "worst 0.3, level: equal 0.2"]
    assert pages._sides(None, others, True, 1) == ["–", "–"]


def test_the_readme_is_read_in_a_few_minutes():
    """900 words; marks, tables' lines and addresses are none."""
    text = re.sub(r"<!--.*?-->|\]\([^)]*\)", " ", (ROOT / "README.md").read_text(), flags=re.S)
    assert len([word for word in text.split() if re.search(r"\w", word)]) <= 900


def test_what_a_lesson_names_exists():
    """Sections (05 §4) and exercises (05 E2) of the teaching notes, and an answer to every question."""
    teaching, answers = ((ROOT / "docs" / f"{name}.md").read_text() for name in ("teaching", "exam_answers"))
    for number, path in {path.name[:2]: path for path in ROOT.glob("notebooks/*.ipynb")}.items():
        cells = ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"]]
        there = {
            "§": set(re.findall(r"^## (\d+) ·", "\n".join(cells), re.M)),
            "E": set(re.findall(r"^\*\*(\d+)\. ", "\n".join(cells), re.M)),
        }
        # "01 §1 to §6", "02 §2, §4" and "01 E1 and E4" name the notebook once
        for named in re.findall(rf"\b{number} ((?:(?:, | to | and )?[§E]\d+)+)", teaching + answers):
            for kind, n in re.findall(r"([§E])(\d+)", named):
                assert n in there[kind], f"{number} {kind}{n}"
    questions, answered = (re.findall(r"^(\d+)\. ", text.partition("## Fifteen")[2] or text, re.M) for text in (teaching, answers))
    assert questions == answered == [str(n) for n in range(1, 16)]


def test_every_notebook_has_its_misconceptions():
    rows = (ROOT / "docs/teaching.md").read_text().partition("## Misconceptions")[2].partition("\n## ")[0]
    assert sorted(set(re.findall(r"^\| (\d\d) \| \".+\" \| .+ \|$", rows, re.M))) == [name[:2] for name in syllabus.COURSE]


def test_who_installs_for_the_notebooks_keeps_the_clone():
    """They read records from data/results, which no wheel carries."""
    lines = [line for path in PAGES for block in blocks(path, "(?:sh)?") for line in block.splitlines() if "[course]" in line]
    assert lines and all("-e " in line for line in lines)


def test_a_class_has_memory_for_the_notebooks():
    named = float(re.findall(r"kernels of notebooks were seen to take up to ([\d.]+) GB", (ROOT / "docs/running.md").read_text())[0])
    seen = [found["megabytes"] for found in compare.load("notebook_seconds").values()]
    assert 900 * named < max(seen) < 1100 * named


def test_the_drawing_shows_what_the_notebooks_need():
    assert (ROOT / "docs/figures/needs.svg").read_text() == syllabus.drawing()
    assert [path.stem for path in sorted(ROOT.glob("notebooks/*.ipynb"))] == list(syllabus.COURSE)
    assert syllabus._numbers(" notebooks 01 (Δ²/12) and 02, 04 to 06; 09 where it is needed. ") == ["01", "02", "04", "05", "06"]


def test_the_dev_container_does_what_a_person_would_type():
    """Its steps are those of the Makefile and of plic, on a Python that plic supports."""
    text = (ROOT / ".devcontainer" / "devcontainer.json").read_text()
    found = json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.M))
    steps = found["postCreateCommand"].split(" && ")
    assert steps == ["make setup", ".venv/bin/plic doctor"] and found["containerEnv"] == {"TORCH": "cpu"}
    assert re.search(r"python:3\.1[0-2]-", found["image"])
    assert all((ROOT / name).is_file() for name in found["customizations"]["codespaces"]["openFiles"])
