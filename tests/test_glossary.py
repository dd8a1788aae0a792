"""The notation table and the notebooks: what is written in formulas is explained, and what is explained is used."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
NOTATION = (ROOT / "docs/glossary.md").read_text().split("## Notation")[1].split("## Terms")[0]

FORMULA = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$", re.S)
CODE = re.compile(r"```.*?```|`[^`]*`", re.S)
WORDS = re.compile(r"\\(?:text|texttt|mathrm|operatorname|color|begin|end)\s*(?:\{[^{}]*\}|[a-z])")
GREEK = "alpha beta gamma delta epsilon theta lambda mu nu pi rho sigma tau varphi chi omega Delta Theta Lambda Sigma Phi Omega".split()
UNICODE = dict(zip("αβγδεθλμνπρστφχωΔΘΛΣΦΩ", GREEK))
IN_CODE_AND_PROSE = {"M", "N", "B", "H", "W", "h", "w"}  #: of shapes: the sentence above the table


def letters(text: str) -> set[str]:
    """The letters in a text's formulas: names of functions, words and code left out."""
    found = set()
    for display, inline in FORMULA.findall(CODE.sub(" ", text)):
        formula = WORDS.sub(" ", display or inline)
        found |= set(re.findall(r"\\([a-zA-Z]+)", formula)) & set(GREEK)
        formula = re.sub(r"\\[a-zA-Z]+", " ", formula)
        found |= set(re.findall(r"[A-Za-z]", formula)) | {name for letter, name in UNICODE.items() if letter in formula}
    return found


def prose(path: Path) -> str:
    cells = json.loads(path.read_text())["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


TABLE = letters("\n".join(row.split("|")[1] for row in NOTATION.splitlines() if row.startswith("|"))) | IN_CODE_AND_PROSE


def test_letters_are_found():
    assert letters(r"the $\hat y_c = \mathrm{round}(y) + \varphi$, α and `code`, $α$: $$\log_2 X$$") == {"y", "c", "varphi", "alpha", "X"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_letters_of_formulas_are_in_the_table(path):
    unknown = letters(prose(path)) - TABLE
    assert not unknown, f"{path.name} writes {sorted(unknown)} in formulas, which docs/glossary.md does not explain"


def test_the_table_holds_nothing_that_nobody_writes():
    written = set().union(*(letters(prose(path)) for path in NOTEBOOKS)) | IN_CODE_AND_PROSE
    # the side of a window stands in code alone
    assert TABLE - written <= {"k"}
