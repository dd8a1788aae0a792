"""Fill the slides with the notebooks' outputs: ``python slides/assemble.py OUT`` writes what Sphinx reads.

Nothing is copied by hand and nothing is executed. Pictures are found by the id of the cell that drew them, numbers by a pattern in what
a cell printed, so that both are new when the notebooks are. What is no longer there stops the build, in one sentence.
"""

import base64
import io
import json
import re
import shutil
import sys
from functools import cache
from itertools import groupby
from pathlib import Path

import jinja2
import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
DECK = ROOT / "slides" / "ninety_minutes.md"
QUESTION = "#00395a"  # behind a question; the text on it is white


class Missing(Exception):
    """A cell, a picture or a number that the slides name is not in the notebook."""


@cache
def cells(notebook: str) -> dict[str, dict]:
    """The cells of ``notebooks/NOTEBOOK*.ipynb`` by their ids."""
    (path,) = ROOT.glob(f"notebooks/{notebook}_*.ipynb")
    return {cell["id"]: cell for cell in json.loads(path.read_text())["cells"]}


def outputs(notebook: str, cell: str) -> list[dict]:
    """What a cell has put out."""
    if cell not in cells(notebook):
        raise Missing(f"notebook {notebook} has no cell {cell}")
    return cells(notebook)[cell]["outputs"]


def picture(notebook: str, cell: str, number: int = 0) -> tuple[str, bytes, str]:
    """One of a cell's pictures: its kind, its bytes and its alternative text."""
    found = [(kind, output) for output in outputs(notebook, cell) for kind in output.get("data", {}) if kind.startswith("image/")]
    if number >= len(found):
        raise Missing(f"cell {cell} of notebook {notebook} has no picture {number}")
    kind, output = found[number]
    data, text = "".join(output["data"][kind]), output["metadata"][kind]["alt"]
    return ("svg", data.encode(), text) if kind == "image/svg+xml" else ("png", base64.b64decode(data), text)


def runs(filled: np.ndarray) -> list[slice]:
    """The long runs of True: those of more than half the length of the longest."""
    ends = [(value, len(list(group))) for value, group in groupby(filled)]
    starts = np.cumsum([0] + [length for _, length in ends])
    found = [slice(start, start + length) for start, (value, length) in zip(starts, ends) if value]
    longest = max(run.stop - run.start for run in found)
    return [run for run in found if run.stop - run.start > longest / 2]


def parts(sheet: Image.Image) -> list[Image.Image]:
    """The pictures of a sheet, row by row, without their titles and colour bars: white is between them, and they are equally wide."""
    ink = (np.asarray(sheet.convert("RGB")) < 255).any(axis=2)
    found = []
    for rows in runs(ink.any(axis=1)):
        for columns in runs(ink[rows].any(axis=0)):
            (own,) = runs(ink[rows, columns].any(axis=1))  # a colour bar may be taller
            found.append(sheet.crop((columns.start, rows.start + own.start, columns.stop, rows.start + own.stop)))
    return found


class Slides:
    """What a deck may call, and the minutes that it has used so far."""

    def __init__(self, out: Path):
        self.out, self.minutes = out, 0

    def figure(self, notebook: str, cell: str, number: int = 0) -> str:
        """A picture as it stands in the notebook."""
        kind, data, text = picture(notebook, cell, number)
        return f"```{{image}} {self._written(f'{cell}-{number}.{kind}', data)}\n:alt: {json.dumps(text, ensure_ascii=False)}\n```"

    def panels(self, notebook: str, cell: str, *chosen: int) -> str:
        """The pictures of a sheet, all or some, side by side, each with its title in large letters below."""
        _, data, text = picture(notebook, cell)
        titles = [title.strip() for title in text.partition(": ")[2].removesuffix(".").split(";")]
        found = parts(Image.open(io.BytesIO(data)))
        if len(found) != len(titles) or len({part.width for part in found}) > 1:
            raise Missing(f"cell {cell} of notebook {notebook}: no {len(titles)} pictures of one width are found in its sheet")
        shown = []
        for number in chosen or range(len(found)):
            file = io.BytesIO()
            found[number].save(file, "png")
            place = self._written(f"{cell}-part-{number}.png", file.getvalue())
            caption = re.sub(r"(\d) (?=\w)", "\\1\u00a0", titles[number])  # a number and its unit stay in one line
            shown.append(f":::{{figure}} {place}\n:alt: {json.dumps(titles[number], ensure_ascii=False)}\n\n{caption}\n:::\n")
        return "::::{container} panels\n" + "".join(shown) + "::::"

    def _written(self, name: str, data: bytes) -> str:
        place = self.out / "pictures" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        return f"pictures/{name}"

    @staticmethod
    def printed(notebook: str, cell: str) -> str:
        """All that a cell printed."""
        return "".join("".join(output["text"]) for output in outputs(notebook, cell) if "text" in output).rstrip()

    def said(self, notebook: str, cell: str, pattern: str) -> str:
        """A number that a cell printed, or wrote over its picture: what stands in the brackets of the pattern."""
        written = [output["metadata"].get(kind, {}).get("alt", "") for output in outputs(notebook, cell) for kind in output.get("data", {})]
        if found := re.search(pattern, "\n".join([self.printed(notebook, cell), *written])):
            return found[1]
        raise Missing(f"cell {cell} of notebook {notebook} does not say {pattern!r}")

    def notes(self, minutes: int, where: str, caller, **section: str) -> str:
        """What the lecturer says, with the time of the lesson and the place in the notebooks; the speaker's view times each slide."""
        start, self.minutes = self.minutes, self.minutes + minutes
        begin, end = (f"{time // 60}:{time % 60:02}" for time in (start, self.minutes))
        options = {"data-timing": str(60 * minutes)} | section
        attributes = "".join(f":{name}: {json.dumps(value)}\n" for name, value in options.items())
        said = f"{begin} to {end}. {where}. {' '.join(caller().split())}"
        return f"```{{revealjs-section}}\n{attributes}```\n\n```{{revealjs-notes}}\n{said}\n```"

    def question(self, minutes: int, where: str, caller) -> str:
        """Notes of a slide that asks for a prediction: it is dark."""
        return self.notes(minutes, where, caller, **{"data-background-color": QUESTION})


def assemble(out: Path) -> int:
    """Write the deck and its pictures to a folder, anew; returns its minutes."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    slides = Slides(out)
    names = {name: getattr(slides, name) for name in ("figure", "panels", "printed", "said", "notes", "question")}
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    (out / "index.md").write_text(environment.from_string(DECK.read_text()).render(names))
    return slides.minutes


if __name__ == "__main__":
    try:
        assemble(Path(sys.argv[1]))
    except Missing as missing:
        sys.exit(f"slides: {missing}")
