"""The slides: they are built from the notebooks, show what stands in them, last ninety minutes and need no network."""

import importlib.util
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from plic_lib import datasets, images

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def assemble():
    spec = importlib.util.spec_from_file_location("slides", ROOT / "slides" / "assemble.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def source(assemble, tmp_path_factory):
    """The folder that Sphinx reads. That it can be written says that each cell, picture and number is in its notebook."""
    out = tmp_path_factory.mktemp("slides")
    assemble.assemble(out)
    return out


@pytest.fixture(scope="module")
def slides(source):
    """The text of each slide."""
    return re.split(r"^# ", (source / "index.md").read_text(), flags=re.M)[1:]


def timings(slides: list[str]) -> list[int]:
    return [int(re.findall(r':data-timing: "(\d+)"', slide)[0]) // 60 for slide in slides]


def test_every_slide_has_notes_and_minutes_and_a_question_comes_at_least_every_seventh(slides):
    assert 28 <= len(slides) <= 34
    assert all(len(re.findall("revealjs-notes", slide)) == len(re.findall("data-timing", slide)) == 1 for slide in slides)
    asked = [number for number, slide in enumerate(slides) if slide.startswith("Predict")]
    assert all("data-background-color" in slides[number] for number in asked)
    assert max(np.diff([-1, *asked])) <= 7 and len(asked) >= len(slides) // 5


def test_the_minutes_are_those_of_the_plan(slides):
    """Each part of the lesson ends with a slide where the plan for ninety minutes says so."""
    plan = (ROOT / "docs" / "teaching.md").read_text().partition("### Ninety minutes")[2].partition("###")[0]
    parts = [int(minutes) for minutes in re.findall(r"^\| (\d+) \|", plan, re.M)]
    assert sum(parts) == sum(timings(slides)) == 90
    assert set(np.cumsum(parts)) <= set(np.cumsum(timings(slides)))


def test_numbers_come_from_the_notebooks(assemble):
    """A figure with a unit is never written into the slides' source."""
    text = re.sub(r"\{\{.*?\}\}|\{% call.*?%\}|^```python.*?^```", "", assemble.DECK.read_text(), flags=re.M | re.S)
    assert not re.findall(r"\d[\d,.]* (?:bytes|bits?|dB|bpp|%)\b", text)


def test_what_is_missing_stops_the_build_in_a_sentence(assemble, tmp_path):
    slides = assemble.Slides(tmp_path)
    for call, sentence in (
        (lambda: slides.figure("00", "gone"), "notebook 00 has no cell gone"),
        (lambda: slides.figure("00", "tour-10", 1), "cell tour-10 of notebook 00 has no picture 1"),
        (lambda: slides.said("00", "tour-06", r"(\d+) apples"), "does not say"),
    ):
        with pytest.raises(assemble.Missing, match=sentence):
            call()


def test_the_pictures_of_a_sheet_are_found_without_its_titles(assemble):
    sheet = np.full((120, 230, 3), 255, np.uint8)
    sheet[5:12, 20:70] = sheet[5:12, 130:180] = 0  # titles
    sheet[20:100, 10:90], sheet[25:95, 110:190] = 40, 90
    sheet[15:105, 200:208] = 120  # a colour bar
    first, second = assemble.parts(Image.fromarray(sheet))
    assert first.size == (80, 80) and second.size == (80, 70)
    assert np.asarray(first).max() == 40 and np.asarray(second).max() == 90


def test_the_code_on_a_slide_runs(assemble, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images.to_image(datasets.sample("coffee")[:, 60:188, 100:228]).save("photo.jpg")
    (code,) = re.findall(r"^```python\n(.*?)^```", assemble.DECK.read_text(), re.M | re.S)
    exec(compile(code, assemble.DECK, "exec"), {})


class Reader(HTMLParser):
    """What a page loads, and its pictures without a text."""

    def __init__(self):
        super().__init__()
        self.loaded, self.silent = [], []

    def handle_starttag(self, tag, attributes):
        known = dict(attributes)
        if tag in ("img", "script", "source", "iframe") and known.get("src") or tag == "link":
            self.loaded.append(known.get("src") or known["href"])
        if tag == "img" and len(re.findall(r"\w{2,}", known.get("alt") or "")) < 1:
            self.silent.append(known["src"])


def test_the_deck_builds_and_loads_nothing_from_elsewhere(source, slides, tmp_path):
    pytest.importorskip("sphinx_revealjs", reason="pip install '.[slides]' brings what builds the deck")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "revealjs", "-c", ROOT / "slides", "-d", tmp_path / "trees", source]
    done = subprocess.run([*map(str, command), str(tmp_path / "html")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "html" / "index.html").read_text()
    reader = Reader()
    reader.feed(page)
    assert not reader.silent and page.count('class="notes"') == len(slides) and "\\frac" not in page
    assert not [address for address in reader.loaded if "//" in address]
    assert all((tmp_path / "html" / address.partition("?")[0]).is_file() for address in reader.loaded)
    styles = [path.read_text() for path in (tmp_path / "html" / "_static").glob("*.css")]
    styles += [(tmp_path / "html" / "_static/revealjs/dist" / name).read_text() for name in ("reveal.css", "theme/white.css")]
    assert not [address for style in styles for address in re.findall(r"(?:url\(|@import )['\"]?([^'\")]+)", style) if "//" in address]
