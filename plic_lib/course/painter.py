"""A canvas on which a region of interest is drawn: box, brush, eraser; mouse, touch and keys."""

from pathlib import Path

import anywidget
import numpy as np
import traitlets
from ipywidgets.widgets.trait_types import CByteMemoryView

from plic_lib.grid import cell_grid

HERE = Path(__file__).resolve().parent


class Canvas(anywidget.AnyWidget):
    """The picture with the region's cells outlined.

    Attributes:
        picture: PNG bytes, shown under the region.
        mask: one byte a cell, 0 or 1, row by row.
        mode: what drawing does: "box", "paint" or "erase".
        brush: diameter in pixels.
        stroke: counts the changes of the mask; observe this. Set ``answered`` to it
            when the change has been dealt with, and the next one is sent.
    """

    _esm = HERE / "painter.js"
    _css = HERE / "painter.css"
    width = traitlets.Int().tag(sync=True)
    height = traitlets.Int().tag(sync=True)
    picture = CByteMemoryView().tag(sync=True)
    mask = CByteMemoryView().tag(sync=True)
    mode = traitlets.Enum(["box", "paint", "erase"], "box").tag(sync=True)
    brush = traitlets.Int(48).tag(sync=True)
    stroke = traitlets.Int(0).tag(sync=True)
    answered = traitlets.Int(0).tag(sync=True)

    def __init__(self, width: int, height: int, **traits):
        self.grid = cell_grid(height, width)
        super().__init__(width=width, height=height, mask=bytes(self.grid[0] * self.grid[1]), **traits)

    @property
    def cells(self) -> np.ndarray:
        """(h, w) booleans, cells of 16 x 16 pixels."""
        return np.frombuffer(self.mask, np.uint8).reshape(self.grid) != 0

    @cells.setter
    def cells(self, cells: np.ndarray) -> None:
        self.mask = np.asarray(cells, bool).astype(np.uint8).tobytes()
        self.stroke += 1
