"""Paint a region of interest on a picture and see what it gains and what the rest pays."""

import functools
import html
import math
from typing import NamedTuple

import ipywidgets
import matplotlib
import numpy as np
import torch
from torch import Tensor

from plic_lib import codec, metrics, roi
from plic_lib.checkpoint import TrainedModel
from plic_lib.course.canvas import Canvas
from plic_lib.course.widgets import png
from plic_lib.grid import CELL, LEVEL_STEPS, ceil_div
from plic_lib.study.codecs import analysed
from plic_lib.study.measure import Measurement, measure


class RegionRendering(NamedTuple):
    """One picture with a region through the codec, beside two files without one."""

    data: bytes  #: the file
    picture: Tensor  #: decoded from ``data``, 8-bit values in [0, 1]
    uniform_data: bytes  #: the file at the background's level everywhere
    uniform_picture: Tensor
    equal_data: bytes  #: the file at one level everywhere whose size comes closest to ``data``'s
    equal_picture: Tensor
    equal_level: float
    mask: Tensor  #: (H, W), the pixels of the region's cells
    psnr: dict[str, tuple[float, float]]  #: "region", "rest": with the region, and in the file of equal bytes

    def caption(self) -> str:
        """The figures in words."""
        size, uniform = len(self.data), len(self.uniform_data)
        text = f"{size:,} bytes · {metrics.bpp(size, *self.mask.shape):.3f} bpp"
        if not self.mask.any():
            return f"{text} · no region yet"
        text += f" · {size / uniform - 1:+.1%} over {uniform:,} bytes without a region"
        parts = [f"region ({self.mask.float().mean():.0%} of the picture) {_gain(*self.psnr['region'])}"]
        if not self.mask.all():
            parts.append(f"the rest {_gain(*self.psnr['rest'])}")
        return f"{text} · against {len(self.equal_data):,} bytes at level {self.equal_level:.2f} everywhere: {', '.join(parts)}"


def _gain(here: float, there: float) -> str:
    return f"{here:.1f} dB ({here - there:+.1f})"


def render_region(
    model: TrainedModel, image: Tensor, analysis: codec.Analysis, cells: np.ndarray, region: float, background: float
) -> RegionRendering:
    """Encode with a region, and without, decode the files, measure.

    Args:
        cells: (h, w) booleans, the region in cells of 16 x 16 pixels.
        region, background: their levels.
    """
    height, width = image.shape[1:]
    mask = torch.from_numpy(cells).repeat_interleave(CELL, 0).repeat_interleave(CELL, 1)[:height, :width]
    level_map = roi.level_map(mask, region, background)
    uniform = _uniform(model, image, analysis, background)
    if level_map is None:
        shown, equal = uniform, uniform
    else:
        shown = measure(analysed(model, analysis, level_map), image, background)
        equal = _uniform(model, image, analysis, _equal_level(model, analysis, len(shown.data)))
    psnr = {
        name: (metrics.psnr(image[:, where], shown.decoded[:, where]), metrics.psnr(image[:, where], equal.decoded[:, where]))
        for name, where in (("region", mask), ("rest", ~mask))
    }
    pair = lambda m: (m.data, m.decoded)
    return RegionRendering(*pair(shown), *pair(uniform), *pair(equal), equal.quality, mask, psnr)


@functools.lru_cache(maxsize=8)
def _uniform(model: TrainedModel, image: Tensor, analysis: codec.Analysis, level: float) -> Measurement:
    """A file without a region, kept while the region changes."""
    return measure(analysed(model, analysis), image, level)


def _equal_level(model: TrainedModel, analysis: codec.Analysis, n_bytes: int, tolerance: float = 0.01) -> float:
    """The level whose file without a region comes closest to ``n_bytes``, within ``tolerance`` where the levels reach.

    ``codec.encode_to_bpp`` with fewer files: the logarithm of the size is nearly a straight line between two levels
    that are close, and what earlier strokes tried is remembered.
    """
    tried = _tried(model, analysis)
    while True:
        nearest = min(tried, key=lambda level: abs(tried[level] - n_bytes))
        low = max((level for level in tried if tried[level] <= n_bytes), default=None)
        high = min((level for level in tried if tried[level] > n_bytes), default=None)
        if abs(tried[nearest] / n_bytes - 1) <= tolerance or low is None or high is None:
            return nearest
        share = math.log(n_bytes / tried[low]) / math.log(tried[high] / tried[low])
        level = round((low + share * (high - low)) * LEVEL_STEPS) / LEVEL_STEPS
        if level in tried:
            return nearest
        tried[level] = len(codec.encode_latents(model, analysis, level))


@functools.lru_cache(maxsize=8)
def _tried(model: TrainedModel, analysis: codec.Analysis) -> dict[float, int]:
    """Level -> bytes of the files without a region that were tried: at first those of both ends."""
    return {level: len(codec.encode_latents(model, analysis, level)) for level in (0.0, float(model.levels - 1))}


class RoiPainter(ipywidgets.VBox):
    """Draw a region of interest and see what it costs and gains; made by ``roi_painter``.

    Everything the mouse can set can be set from Python:

    Attributes:
        cells: (h, w) booleans, the region in cells of 16 x 16 pixels; assign to change it.
        region, background: sliders of the two levels (``painter.region.value = 1.5``).
        view: what is shown: "decoded", "compare" (left of a line the file of equal bytes without a
            region), "original", "bits" or "difference" (eight times the difference to the file of the
            background's level).
        mode, brush, clear: the tools.
        columns, rows: range sliders in pixels, for a box without a mouse.
        shown: the ``RegionRendering`` on display.
    """

    VIEWS = ("decoded", "compare", "original", "bits", "difference")

    def __init__(self, model: TrainedModel, image: Tensor, region: float, background: float):
        self.model, self.image, self.analysis = model, image, codec.analyse(model, image)
        height, width = image.shape[1:]
        top = model.levels - 1
        self.canvas = Canvas(width, height)
        self.mode = ipywidgets.ToggleButtons(options=["box", "paint", "erase", "wipe"], style={"button_width": "70px"})
        self.brush = ipywidgets.IntSlider(48, 16, 160, 16, description="brush", layout=ipywidgets.Layout(width="220px"))
        self.clear = ipywidgets.Button(description="clear", layout=ipywidgets.Layout(width="70px"))
        level = functools.partial(ipywidgets.FloatSlider, min=0, max=top, step=0.05, continuous_update=False)
        self.region = level(region, description="region")
        self.background = level(background, description="background")
        self.view = ipywidgets.ToggleButtons(options=self.VIEWS, style={"button_width": "90px"})
        box = functools.partial(ipywidgets.IntRangeSlider, min=0, step=CELL, continuous_update=False)
        self.columns = box(value=(0, 0), max=ceil_div(width, CELL) * CELL, description="box: x")
        self.rows = box(value=(0, 0), max=ceil_div(height, CELL) * CELL, description="box: y")
        self.caption = ipywidgets.HTML()
        ipywidgets.link((self.mode, "value"), (self.canvas, "mode"))
        ipywidgets.link((self.brush, "value"), (self.canvas, "brush"))
        self.clear.on_click(lambda button: setattr(self, "cells", np.zeros(self.canvas.grid, bool)))
        self.canvas.observe(self._drawn, "stroke")
        for control in (self.region, self.background):
            control.observe(lambda change: self.update(), "value")
        self.view.observe(lambda change: self.draw(), "value")
        for control in (self.columns, self.rows):
            control.observe(self._box_moved, "value")
        self._following = False
        row = ipywidgets.HBox
        tools, levels = row([self.mode, self.brush, self.clear]), row([self.region, self.background])
        super().__init__([tools, levels, row([self.columns, self.rows]), self.view, self.caption, self.canvas])
        self.layout.width = f"{max(width, 640)}px"
        self.update()

    @property
    def cells(self) -> np.ndarray:
        return self.canvas.cells

    @cells.setter
    def cells(self, cells: np.ndarray) -> None:
        self.canvas.cells = cells

    def set_box(self, left: int, top: int, right: int, bottom: int) -> None:
        """Make a box, in pixels, the region. Raises roi.RegionError for one outside the picture."""
        self.cells = roi.cells(roi.box(self.image, left, top, right, bottom))

    def _drawn(self, change) -> None:
        """The region changed: the box sliders follow it, the picture is rendered, the canvas may send again."""
        self._following = True
        rows, columns = (np.flatnonzero(self.cells.any(axis=axis)) for axis in (1, 0))
        for slider, found in ((self.rows, rows), (self.columns, columns)):
            slider.value = (int(found[0]) * CELL, (int(found[-1]) + 1) * CELL) if len(found) else (0, 0)
        self._following = False
        self.update()
        self.canvas.answered = self.canvas.stroke

    def _box_moved(self, change) -> None:
        if not self._following:
            cells = np.zeros(self.canvas.grid, bool)
            (left, right), (top, bottom) = self.columns.value, self.rows.value
            cells[top // CELL : bottom // CELL, left // CELL : right // CELL] = True
            if cells.any():  # the other side of the box may still have to be set
                self.cells = cells

    def update(self) -> None:
        """Render what the controls say; an error is shown in words in place of the figures."""
        try:
            self.shown = render_region(self.model, self.image, self.analysis, self.cells, self.region.value, self.background.value)
            self.caption.value = html.escape(self.shown.caption())
        except (ValueError, RuntimeError) as error:
            self.caption.value = f"<b>Not possible:</b> {html.escape(str(error))}"
            return
        self.draw()

    def draw(self) -> None:
        """Put the chosen view of what was rendered on the canvas."""
        compare = self.view.value == "compare"
        self.canvas.names = [f"level {self.shown.equal_level:.2f} everywhere", "with the region"]
        with self.canvas.hold_sync():
            self.canvas.picture, self.canvas.left = png(self._viewed()), png(self.shown.equal_picture) if compare else b""

    def _viewed(self) -> Tensor:
        if self.view.value == "original":
            return self.image
        if self.view.value == "difference":
            return (8 * (self.shown.picture - self.shown.uniform_picture).abs()).clamp(0, 1)
        if self.view.value == "bits":
            level_map = roi.level_map(self.shown.mask, self.region.value, self.background.value)
            bits = codec.latent_bits(self.model, self.analysis, self.background.value, level_map)[0].sum(dim=0)
            coloured = matplotlib.colormaps["viridis"]((bits / bits.quantile(0.995)).clamp(0, 1).numpy())[..., :3]
            pixels = torch.from_numpy(coloured).float().permute(2, 0, 1).repeat_interleave(CELL, 1).repeat_interleave(CELL, 2)
            return pixels[:, : self.image.shape[1], : self.image.shape[2]]
        return self.shown.picture


def roi_painter(model: TrainedModel, image: Tensor, region: float = 2.0, background: float = 0.5) -> RoiPainter:
    """A canvas to draw a region on a picture (3, H, W) in [0, 1]; each stroke writes a new file and shows what it decodes to."""
    return RoiPainter(model, image, region, background)
