"""Figures in columns."""

import math
from collections.abc import Iterable, Sequence


def table(columns: dict[str, str], rows: Iterable[Sequence]) -> str:
    """Rows of values as lines of text, under their headings.

    Args:
        columns: heading -> format of the values under it, as in ``format``; "" is text, and stands on the left.
        rows: a value for each column. What cannot be computed (None, NaN) becomes a dash.

    >>> print(table({"picture": "", "bpp": ".3f"}, [("a.png", 0.25), ("all", None)]))
    picture    bpp
    a.png    0.250
    all          -
    """
    cells = [list(columns), *([_cell(value, form) for value, form in zip(row, columns.values(), strict=True)] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    justify = [str.rjust if form else str.ljust for form in columns.values()]
    return "\n".join("  ".join(j(cell, w) for j, cell, w in zip(justify, line, widths)).rstrip() for line in cells)


def _cell(value: object, form: str) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return value if isinstance(value, str) else format(value, form)
