"""Gather the pages of the site: ``python site/assemble.py OUT`` copies them as they lie in the repository, so that their links hold.

Notebooks come with the outputs that they have; nothing is executed. What a page cannot show is replaced: a live control by a sentence,
and a link to a module of the library by one to its page of the reference. In a notebook the first use of each term leads to the glossary.
"""

import json
import os
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("docs/*.md", "data/checkpoints/*.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE-TEXT.md")
PICTURES = ("docs/figures/*", "data/results/*.jpg", "data/results/*.png", "data/checkpoints/*.png")
CONTROL = "application/vnd.jupyter.widget-view+json"
INSTEAD = "*Here stands a control that moves in a running notebook; the pictures above show its range.*"
SHORT = "Figure; what to see in it is described in the text that follows."
GLOSSARY = Path("docs/glossary.md")
#: an item of a list, or a row of a table below its head: its mark, its text, and in this the name
ENTRY = re.compile(r"^(- (?=\*\*)|\| (?!.*\n\|-))(\**(.+?)(?:\*\*| \|).*)", re.M)
#: these count as terms only in the notebooks that their entries name
EVERYDAY = set("Branch Cell Checkerboard Edge Estimate Freeze Frequency Front Mode Noise Price Ramp Rank Scale Spill State Table".split())
#: headings and sources, code, formulas, links, addresses, HTML with what it holds; and words that only look like a term
NO_TERM = (
    r"^(?:#|\*\*References)[^\n]*|```.*?```|`[^`]*`|\$\$.+?\$\$|\$[^$]+\$"
    r"|\[[^\]]*\]\([^)]*\)|https?://\S+|<(?P<tag>\w+).*?</(?P=tag)>|<[^>]*>"
    r"|(?:grey|256) levels|gathers|its phase|random generator"
)


def assemble(out: Path) -> None:
    """Write everything that Sphinx reads to a folder, anew."""
    shutil.rmtree(out, ignore_errors=True)
    for pattern in PICTURES:
        for path in ROOT.glob(pattern):
            _write(out, path.relative_to(ROOT), path.read_bytes())
    modules = sorted(".".join(path.relative_to(ROOT).with_suffix("").parts) for path in ROOT.glob("plic_lib/**/*.py"))
    modules = [module.removesuffix(".__init__") for module in modules if not module.endswith("__main__")]
    for path in (path for pattern in PAGES for path in sorted(ROOT.glob(pattern))):
        _write(out, path.relative_to(ROOT), linked(out, path, path.read_text()).encode())
    glossary = (out / GLOSSARY).read_text()
    _write(out, GLOSSARY, ENTRY.sub(lambda entry: f'{entry[1]}<a id="{anchor(entry)}"></a>{entry[2]}', glossary).encode())
    notebooks = [*sorted(ROOT.glob("notebooks/*.ipynb")), *sorted(ROOT.glob("notebooks/solutions/*.ipynb"))]
    for path in notebooks:
        notebook = still(out, path)
        if path.parent.name == "notebooks":
            explain(notebook, terms(glossary, path.stem[:2]))
        _write(out, path.relative_to(ROOT), json.dumps(notebook).encode())
    for module in modules:
        _write(out, Path(f"api/{module}.md"), reference(module).encode())
    _write(out, Path("api/index.md"), contents("The library", {"": [f"{module}" for module in modules]}).encode())
    _write(
        out,
        Path("notebooks/solutions/index.md"),
        contents("Solutions", {"": [path.stem for path in notebooks if path.parent.name == "solutions"]}).encode(),
    )
    tree = {
        "The course": [f"notebooks/{path.stem}" for path in notebooks if path.parent.name == "notebooks"] + ["notebooks/solutions/index"],
        "Run and use": ["docs/running", "docs/commands", "docs/faq", "docs/glossary", "docs/extending", "docs/format"],
        "Teach": ["docs/teaching", "docs/exam_answers"],
        "Measure and train": ["docs/results", "docs/benchmarks", "docs/training"],
        "The library": ["api/index"],
        "About": ["CONTRIBUTING", "CHANGELOG", "LICENSE-TEXT"],
    }
    named = {name for names in tree.values() for name in names}
    pages = [path.relative_to(ROOT).with_suffix("").as_posix() for pattern in PAGES for path in sorted(ROOT.glob(pattern))]
    tree["Measure and train"] += [page for page in pages if page not in named]
    readme = ROOT / "README.md"
    _write(out, Path("index.md"), (linked(out, readme, readme.read_text()) + contents("", tree)).encode())


def _write(out: Path, place: Path, data: bytes) -> None:
    (out / place).parent.mkdir(parents=True, exist_ok=True)
    (out / place).write_bytes(data)


def linked(out: Path, path: Path, text: str) -> str:
    """A page whose links lead to pages of the site: the README to its first one, modules to their reference, other files to copies."""

    def lead(match: re.Match) -> str:
        text, address, anchor = match[1], match[2], match[3] or ""
        if "://" in address or not address:
            return match[0]
        target = (path.parent / address).resolve()
        inside = target.relative_to(ROOT)
        up = os.path.relpath(ROOT, path.parent)
        if inside == Path("README.md"):
            return f"[{text}]({up}/index.md{anchor})"
        if inside.suffix == ".py" and inside.parts[0] == "plic_lib":
            module = ".".join(inside.with_suffix("").parts).removesuffix(".__init__")
            return f"[{text}]({up}/api/{module}.md)"
        if inside.parts[0] == "slides":  # as they are built, beside the pages
            return f'<a href="{up}/slides/index.html">{text}</a>'
        if target.is_dir():
            return text
        if inside.suffix not in (".md", ".ipynb"):
            _write(out, inside, target.read_bytes())
        return match[0]

    return re.sub(r"\[([^\]]*)\]\(([^)#\s]*)(#[^)\s]*)?\)", lead, text)


def still(out: Path, path: Path) -> dict:
    """A notebook for reading: its pictures with alternative text, a sentence in place of a control."""
    notebook = json.loads(path.read_text())
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = linked(out, path, "".join(cell["source"]))
            continue
        texts = []
        for number, output in enumerate(cell["outputs"]):
            data = output.get("data", {})
            if CONTROL in data:
                cell["outputs"][number] = {"output_type": "display_data", "data": {"text/markdown": INSTEAD}, "metadata": {}}
            texts += [output["metadata"].get(kind, {}).get("alt", SHORT) for kind in data if kind.startswith("image/")]
        if texts:
            cell["metadata"]["mystnb"] = {"image": {"alt": " ".join(dict.fromkeys(texts))}}
    return notebook


def anchor(entry: re.Match) -> str:
    """Of an entry of the glossary: the words of its name."""
    return "-".join(re.findall(r"\w+", entry[3]))


def singular(term: str) -> str:
    """One form of a term, however it is written."""
    return (term[0].upper() + term[1:]).removesuffix("s")


def terms(glossary: str, number: str) -> dict[str, str]:
    """The terms that a notebook may use, and the anchors of their entries."""
    items = [entry for entry in ENTRY.finditer(glossary) if entry[1] == "- "]
    names = {singular(name): entry for entry in items for name in entry[3].split(", ")}
    return {name: anchor(entry) for name, entry in names.items() if name not in EVERYDAY or number in entry[2].rpartition("[")[2]}


def explain(notebook: dict, anchors: dict[str, str]) -> None:
    """Let the first use of each term in a notebook's prose lead to the glossary; of terms that overlap the longest counts."""
    seen = set()
    names = "|".join(f"(?i:{re.escape(name[0])}){re.escape(name[1:])}s?" for name in sorted(anchors, key=len, reverse=True))

    def lead(match: re.Match) -> str:
        name = match["term"] and singular(match["term"])
        if name is None or name in seen:
            return match[0]
        seen.add(name)
        return f'<a class="term" href="../docs/glossary.html#{anchors[name]}">{match[0]}</a>'

    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = re.sub(rf"{NO_TERM}|(?<![\w-])(?P<term>{names})(?![\w-])", lead, cell["source"], flags=re.M | re.S)


def reference(module: str) -> str:
    """The page of a module, from its docstrings."""
    return (
        f"# {module}\n\n```{{eval-rst}}\n.. automodule:: {module}\n   :members:\n   :show-inheritance:\n   :member-order: bysource\n```\n"
    )


def contents(title: str, tree: dict[str, list[str]]) -> str:
    """A title and tables of contents under their captions."""
    parts = [f"# {title}\n"] if title else []
    for caption, names in tree.items():
        options = f":caption: {caption}\n:hidden:\n" if caption else ":maxdepth: 1\n"
        parts.append("```{toctree}\n" + options + "\n" + "\n".join(names) + "\n```\n")
    return "\n" + "\n".join(parts)


if __name__ == "__main__":
    assemble(Path(sys.argv[1]))
