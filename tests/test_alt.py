"""Every picture has alternative text."""

import html.parser
import re
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell

from plic_lib.course import figures

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted(ROOT.glob("notebooks/**/*.ipynb"))
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("data/*/*.md"))]


def texts_of_pictures(page: str) -> list[str]:
    """Of pictures in Markdown and of HTML's."""
    found = re.findall(r"!\[([^\]]*)\]\(", page)
    reader = html.parser.HTMLParser()
    reader.handle_starttag = lambda tag, attributes: found.append(dict(attributes).get("alt") or "") if tag == "img" else None
    reader.feed(page)
    return found


def says_something(text: str) -> bool:
    return len(re.findall(r"\w{2,}", text)) >= 2


@pytest.mark.parametrize("path", [*PAGES, *NOTEBOOKS], ids=lambda path: "/".join(path.parts[-2:]))
def test_pictures_in_texts(path):
    pages = [path.read_text()]
    if path.suffix == ".ipynb":
        pages = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]
    assert not [text for page in pages for text in texts_of_pictures(page) if not says_something(text)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: "/".join(path.parts[-2:]))
def test_pictures_in_outputs(path):
    """All of them, or none: then the outputs are from before figures had any, and come with it when the notebook is run again."""
    texts = {}
    for cell in nbformat.read(path, as_version=4).cells:
        for output in cell.get("outputs", []):
            for kind in (kind for kind in output.get("data", {}) if kind.startswith("image/")):
                texts[cell.id, kind] = output.metadata.get(kind, {}).get("alt", "")
    assert not any(texts.values()) or not [where for where, text in texts.items() if not says_something(text)]


def shown(figure) -> str:
    """The text that comes with the picture in an output."""
    kind = "png" if figure.axes and figure.axes[0].images else "svg"
    data, metadata = figures.saved(figure, kind)
    plt.close(figure)
    assert kind == "png" or html.escape(metadata.get("alt", ""), quote=False) in data  # an SVG says it itself, too
    return metadata.get("alt", "")


def test_a_figure_is_described_by_what_stands_in_it(photo):
    assert shown(figures.show({"original": photo, "$\\hat x$ of HEVC": photo})) == "Pictures: original; hat x of HEVC."
    assert shown(figures.show_maps({"level 0": photo[0], "level 2": photo[1]}, "bits")) == "Maps of bits: level 0; level 2."
    figure, axes = plt.subplots(1, 2)
    axes[0].plot([1, 10], [1, 10], label="mini")
    axes[0].plot([1, 10], [1, 9], label="HEVC")
    axes[0].set(xscale="log", xlabel="bpp", ylabel="PSNR (dB)")
    figures.label_lines(axes[0])
    axes[1].bar(["encoder", "generator"], [1, 2])
    axes[1].set_title("seconds")
    assert shown(figure) == "Plot: PSNR (dB) over bpp, mini, HEVC. Plot: seconds, encoder, generator."


def test_it_comes_with_the_output_of_a_cell(photo, monkeypatch):
    shell = InteractiveShell()
    monkeypatch.setattr(shell, "enable_matplotlib", lambda kind: None)  # whose outputs would go to this terminal
    monkeypatch.setattr(figures, "get_ipython", lambda: shell)
    figures.use_style()
    figure = figures.show({"original": photo})
    for formatter in shell.display_formatter.formatters.values():
        formatter.enabled = True
    data, metadata = shell.display_formatter.format(figure, include={"image/png", "image/svg+xml"})
    plt.close(figure)
    assert list(data) == ["image/png"] and metadata["image/png"]["alt"] == "Pictures: original."


def test_a_text_of_ones_own_goes_before():
    assert "hyper-encoder" in shown(figures.method())


def test_a_figure_that_says_nothing_has_none():
    """So that its notebook fails the test above, and somebody gives it a title or a text."""
    assert shown(plt.subplots()[0]) == ""
