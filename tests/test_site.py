"""The site before Sphinx sees it: every link leads to something, pictures have a text, and nothing needs a kernel."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    spec = importlib.util.spec_from_file_location("assemble", ROOT / "site" / "assemble.py")
    assemble = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(assemble)
    out = tmp_path_factory.mktemp("site")
    assemble.assemble(out)
    return out


def cells(path: Path) -> list[dict]:
    return json.loads(path.read_text())["cells"]


def prose(path: Path) -> str:
    """A page without its code."""
    text = path.read_text() if path.suffix == ".md" else "\n\n".join(c["source"] for c in cells(path) if c["cell_type"] == "markdown")
    return re.sub(r"^(```+).*?^\1|`[^`\n]+`", "`", text, flags=re.M | re.S)


def anchors(path: Path) -> set[str]:
    """Of its headings, as GitHub and MyST make them."""
    text = path.read_text() if path.suffix == ".md" else "\n\n".join(c["source"] for c in cells(path) if c["cell_type"] == "markdown")
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^(```+).*?^\1", "", text, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def test_links_lead_to_pages_and_their_headings(site):
    broken = []
    for path in [*site.rglob("*.md"), *site.rglob("*.ipynb")]:
        for address, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", prose(path)):
            target = path if not address else path.parent / address
            if "://" not in address and (not target.is_file() or anchor and anchor not in anchors(target.resolve())):
                broken.append(f"{path.relative_to(site)}: {address}#{anchor}")
    assert not broken


def test_every_page_is_in_the_contents(site):
    """Or Sphinx would leave it out of the menu."""
    listed = set()
    for path in site.rglob("*.md"):
        for table in re.findall(r"^```\{toctree\}\n(.*?)^```", path.read_text(), re.M | re.S):
            names = [line for line in table.splitlines() if line and not line.startswith(":")]
            listed |= {(path.parent / name).relative_to(site).as_posix() for name in names}
    pages = {path.relative_to(site).with_suffix("").as_posix() for path in [*site.rglob("*.md"), *site.rglob("*.ipynb")]}
    assert listed == pages - {"index"}


def test_notebooks_are_still(site):
    for path in site.glob("notebooks/**/*.ipynb"):
        for cell in (cell for cell in cells(path) if cell["cell_type"] == "code"):
            kinds = {kind for output in cell["outputs"] for kind in output.get("data", {})}
            assert not {kind for kind in kinds if "widget" in kind}
            if any(kind.startswith("image/") for kind in kinds):
                assert len(cell["metadata"]["mystnb"]["image"]["alt"].split()) > 1


NOTEBOOKS = sorted(path.name for path in ROOT.glob("notebooks/[0-9]*.ipynb"))
TERM = re.compile(r'<a class="term" href="../docs/glossary.html#([^"]+)">(.+?)</a>')
NO_PROSE = re.compile(r"^```.*?^```|^#.+?$|`[^`]+`|\$\$.+?\$\$|\$[^$]+\$|\[[^]]*\]\([^)]*\)|<(?!a class=.term)(\w+).*?</\1>", re.M | re.S)


def texts(path: Path) -> list[str]:
    return ["".join(cell["source"]) for cell in cells(path) if cell["cell_type"] == "markdown"]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_first_uses_of_terms_lead_to_the_glossary(site, name):
    entries = re.findall(r'<a id="([^"]+)"></a>', (site / "docs/glossary.md").read_text())
    found = [link for text in texts(site / "notebooks" / name) for link in TERM.findall(text)]
    assert len(found) > 5 and {entry for entry, _ in found} <= set(entries)
    terms = [term.lower().removesuffix("s") for _, term in found]
    assert len(set(terms)) == len(terms) and len(set(entries)) == len(entries)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_terms_are_linked_in_prose_alone(site, name):
    """Code, formulas, headings, links and folded answers have none, and nothing else of a text is changed."""
    for text, source in zip(texts(site / "notebooks" / name), texts(ROOT / "notebooks" / name), strict=True):
        assert not [piece[0] for piece in NO_PROSE.finditer(text) if TERM.search(piece[0])]
        if not re.search(r"\]\(", source):
            assert TERM.sub(r"\2", text) == source


def test_every_entry_of_the_glossary_has_an_anchor(site):
    lines = (site / "docs/glossary.md").read_text().splitlines()
    without = [line for line in lines if re.match(r"- \*\*|\| (?!<a id=)", line)]
    assert without == ["| symbol | in code | shape or unit | meaning |", "| letter | for |"]


def test_which_uses_of_a_word_are_linked(site):
    """The first one that is the term itself: not a part of a longer one, and not the word in its everyday sense."""
    linked = {name[:2]: {term for text in texts(site / "notebooks" / name) for _, term in TERM.findall(text)} for name in NOTEBOOKS}
    assert {"level", "level dial", "entropy", "entropy models", "hyper-encoder"} <= linked["04"]
    assert "edge" in linked["05"] and not {"edge", "edges"} & linked["08"]  # of a bin; of things in a picture
    assert "state" in linked["12"] and "state" not in linked["13"]  # of a training; a verb


def test_sources_are_left_as_they_are(site):
    for path in ROOT.glob("notebooks/*.ipynb"):
        copy = [c["source"] for c in cells(site / "notebooks" / path.name) if c["cell_type"] == "code"]
        assert ["".join(source) for source in copy] == ["".join(c["source"]) for c in cells(path) if c["cell_type"] == "code"]
