"""The canvas of the widgets: a picture, perhaps a second one left of a line, perhaps a region drawn on it; mouse, touch and keys."""

from pathlib import Path

import anywidget
import numpy as np
import traitlets
from ipywidgets.widgets.trait_types import CByteMemoryView

from plic_lib.grid import CELL, cell_grid

HERE = Path(__file__).resolve().parent


class Canvas(anywidget.AnyWidget):
    """The picture with the region's cells outlined.

    Attributes:
        picture: PNG bytes, shown under the region.
        left: PNG bytes of the picture shown left of the line; empty: there is no line.
        position: of the line, 0 to 1 of the width.
        names: of the pictures left and right of the line.
        mask: one byte a cell, 0 or 1, row by row.
        mode: what dragging does: draw a "box", "paint", "erase", or move the line, "wipe".
            Near the line every mode moves it.
        brush: diameter in pixels.
        stroke: counts the changes of the mask; observe this. Set ``answered`` to it
            when the change has been dealt with, and the next one is sent.
    """

    _esm = HERE / "canvas.js"
    _css = HERE / "canvas.css"
    cell = traitlets.Int(CELL, read_only=True).tag(sync=True)
    width = traitlets.Int().tag(sync=True)
    height = traitlets.Int().tag(sync=True)
    picture = CByteMemoryView().tag(sync=True)
    left = CByteMemoryView(b"").tag(sync=True)
    position = traitlets.Float(0.5).tag(sync=True)
    names = traitlets.List(traitlets.Unicode(), ["", ""]).tag(sync=True)
    mask = CByteMemoryView().tag(sync=True)
    mode = traitlets.Enum(["box", "paint", "erase", "wipe"], "box").tag(sync=True)
    brush = traitlets.Int(48).tag(sync=True)
    stroke = traitlets.Int(0).tag(sync=True)
    answered = traitlets.Int(0).tag(sync=True)

    def __init__(self, width: int, height: int, **traits):
        self.grid = cell_grid(height, width)
        traits = {"picture": b"", "mask": bytes(self.grid[0] * self.grid[1])} | traits
        super().__init__(width=width, height=height, **traits)
        self.layout.width = f"{width}px"

    @property
    def cells(self) -> np.ndarray:
        """(h, w) booleans, cells of 16 x 16 pixels."""
        return np.frombuffer(self.mask, np.uint8).reshape(self.grid) != 0

    @cells.setter
    def cells(self, cells: np.ndarray) -> None:
        self.mask = np.asarray(cells, bool).astype(np.uint8).tobytes()
        self.stroke += 1
