"""Things to turn in a notebook. What a widget shows comes from a pure function."""

import functools
import io
from collections.abc import Callable
from typing import NamedTuple, Protocol

import ipywidgets
import matplotlib
import numpy as np
import torch
from torch import Tensor

from plic_lib import codec, images, metrics, roi
from plic_lib.checkpoint import TrainedModel
from plic_lib.course.painter import Canvas
from plic_lib.grid import CELL, ceil_div
from plic_lib.study.codecs import analysed
from plic_lib.study.measure import Measurement, measure


class Rendering(NamedTuple):
    """One picture through the codec at one level."""

    level: float
    data: bytes  #: the file
    picture: Tensor  #: decoded from ``data``, 8-bit values in [0, 1]
    bpp: float
    psnr: float
    lpips: float | None  #: None where the weights are missing or the picture is too small

    def caption(self) -> str:
        """The figures in one line."""
        lpips = "not available" if self.lpips is None else f"{self.lpips:.3f}"
        return f"level {self.level:.2f} · {len(self.data):,} bytes · {self.bpp:.3f} bpp · PSNR {self.psnr:.2f} dB · LPIPS {lpips}"


def render(model: TrainedModel, image: Tensor, analysis: codec.Analysis, level: float) -> Rendering:
    """Encode at a level, decode the bytes, measure."""
    shown = measure(analysed(model, analysis), image, level)
    psnr, lpips = metrics.psnr(image, shown.decoded), metrics.lpips_or_none(image, shown.decoded)
    return Rendering(level, shown.data, shown.decoded, shown.bpp, psnr, lpips)


def _png(picture: Tensor) -> bytes:
    buffer = io.BytesIO()
    images.to_image(picture).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


class Shown(Protocol):
    """What an ``Explorer`` shows."""

    @property
    def picture(self) -> Tensor:
        """(3, H, W) in [0, 1]."""
        ...

    def caption(self) -> str:
        """The line under the slider."""
        ...


class Explorer(ipywidgets.VBox):
    """A slider over a picture and a line of figures.

    Args:
        render: from the slider's value to what is shown.
        slider: over the values.

    Attributes:
        slider: ``explorer.slider.value = 0.4`` does what the mouse does.
        shown: what ``render`` gave for the value on display.
    """

    def __init__(self, render: Callable[[float], Shown], slider: ipywidgets.FloatSlider | ipywidgets.FloatLogSlider):
        self.render, self.slider = render, slider
        self.picture = ipywidgets.Image(format="png", layout=ipywidgets.Layout(max_width="100%", object_fit="contain"))
        self.caption = ipywidgets.Label()
        slider.observe(lambda change: self.update(change["new"]), "value")
        super().__init__([slider, self.caption, self.picture])
        self.update(slider.value)

    def update(self, value: float) -> None:
        """Show the rendering of a value."""
        self.shown = self.render(value)
        self.picture.value = _png(self.shown.picture)
        self.picture.layout.width = f"{self.shown.picture.shape[2]}px"
        self.caption.value = self.shown.caption()


def rate_explorer(model: TrainedModel, image: Tensor, level: float = 1.0) -> Explorer:
    """A rate slider for a picture (3, H, W) in [0, 1]: each move writes a new file and shows what it decodes to."""
    analysis = codec.analyse(model, image)  # the encoder runs once; a move is gain, coding, generator
    slider = ipywidgets.FloatSlider(
        level, min=0, max=model.levels - 1, step=0.01, description="level", continuous_update=False, layout=ipywidgets.Layout(width="512px")
    )
    return Explorer(functools.partial(render, model, image, analysis), slider)


class Wiped(NamedTuple):
    """Two pictures of one size, one left and one right of an upright line."""

    picture: Tensor
    text: str

    def caption(self) -> str:
        """Which is where."""
        return self.text


def wipe(pictures: dict[str, Tensor], position: float) -> Wiped:
    """The first of two pictures left of ``position`` (0 ... 1, a fraction of the width), the second right of it."""
    (name, picture), (other_name, other) = pictures.items()
    column = round(position * picture.shape[2])
    joined = torch.cat([picture[:, :, :column], other[:, :, column:]], dim=2)
    if 0 < column < picture.shape[2]:
        joined[:, :, column - 1 : column + 1] = 1.0
    return Wiped(joined, f"◀ {name}   |   {other_name} ▶")


def wipe_explorer(pictures: dict[str, Tensor], position: float = 0.5) -> Explorer:
    """A slider that wipes between two pictures (3, H, W) in [0, 1], given with their names."""
    width = f"{next(iter(pictures.values())).shape[2]}px"
    slider = ipywidgets.FloatSlider(position, min=0, max=1, step=0.005, readout=False, layout=ipywidgets.Layout(width=width))
    return Explorer(functools.partial(wipe, pictures), slider)


class RegionRendering(NamedTuple):
    """One picture with a region through the codec, beside the file without the region."""

    data: bytes  #: the file
    picture: Tensor  #: decoded from ``data``, 8-bit values in [0, 1]
    uniform_data: bytes  #: the file at the background's level everywhere
    uniform_picture: Tensor
    mask: Tensor  #: (H, W), the pixels of the region's cells
    psnr: tuple[float, ...]  #: four: region and rest, here and uniform

    def caption(self) -> str:
        """The figures in words."""
        size, uniform = len(self.data), len(self.uniform_data)
        height, width = self.mask.shape
        bpp = metrics.bpp(size, height, width)
        text = f"{size:,} bytes · {bpp:.3f} bpp · {size / uniform - 1:+.1%} over {uniform:,} bytes without a region"
        inside, outside, uniform_inside, uniform_outside = self.psnr
        if self.mask.any():
            text += f" · region ({self.mask.float().mean():.0%} of the picture) {inside:.1f} dB instead of {uniform_inside:.1f}"
            if not self.mask.all():
                text += f" · rest {outside:.1f} dB instead of {uniform_outside:.1f}"
        return text


def render_region(
    model: TrainedModel, image: Tensor, analysis: codec.Analysis, cells: np.ndarray, region: float, background: float
) -> RegionRendering:
    """Encode with a region, and without, decode both files, measure.

    Args:
        cells: (h, w) booleans, the region in cells of 16 x 16 pixels.
        region, background: their levels.
    """
    height, width = image.shape[1:]
    mask = torch.from_numpy(cells).repeat_interleave(CELL, 0).repeat_interleave(CELL, 1)[:height, :width]
    level_map = roi.level_map(mask, region, background)
    uniform = _uniform(model, image, analysis, background)
    shown = uniform if level_map is None else measure(analysed(model, analysis, level_map), image, background)
    psnr = tuple(metrics.psnr(image[:, where], x.decoded[:, where]) for x in (shown, uniform) for where in (mask, ~mask))
    return RegionRendering(shown.data, shown.decoded, uniform.data, uniform.decoded, mask, psnr)


@functools.lru_cache(maxsize=4)
def _uniform(model: TrainedModel, image: Tensor, analysis: codec.Analysis, level: float) -> Measurement:
    """The file without a region, kept while the region changes."""
    return measure(analysed(model, analysis), image, level)


class RoiPainter(ipywidgets.VBox):
    """Draw a region of interest and see what it costs and gains; made by ``roi_painter``.

    Everything the mouse can set can be set from Python:

    Attributes:
        cells: (h, w) booleans, the region in cells of 16 x 16 pixels; assign to change it.
        region, background: sliders of the two levels (``painter.region.value = 1.5``).
        view: what is shown: "decoded", "original", "bits" or "difference" (eight times the
            difference to the file without a region).
        mode, brush, clear: the tools.
        columns, rows: range sliders in pixels, for a box without a mouse.
        shown: the ``RegionRendering`` on display.
    """

    VIEWS = ("decoded", "original", "bits", "difference")

    def __init__(self, model: TrainedModel, image: Tensor, region: float, background: float):
        self.model, self.image, self.analysis = model, image, codec.analyse(model, image)
        height, width = image.shape[1:]
        top = model.levels - 1
        self.canvas = Canvas(width, height, picture=b"")
        self.mode = ipywidgets.ToggleButtons(options=["box", "paint", "erase"], style={"button_width": "70px"})
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
        for control in (self.region, self.background, self.view):
            control.observe(lambda change: self.update(), "value")
        for control in (self.columns, self.rows):
            control.observe(self._box_moved, "value")
        self._following = False
        row = ipywidgets.HBox
        tools, levels = row([self.mode, self.brush, self.clear]), row([self.region, self.background])
        super().__init__([tools, levels, row([self.columns, self.rows]), self.view, self.caption, self.canvas])
        self.layout.width = f"{max(width, 640)}px"
        self.canvas.layout.width = f"{width}px"
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
            self.canvas.picture = _png(self._viewed())
            self.caption.value = self.shown.caption()
        except (ValueError, RuntimeError) as error:
            self.caption.value = f"<b>Not possible:</b> {error}"

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
