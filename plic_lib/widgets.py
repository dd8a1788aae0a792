"""Things to turn in a notebook. What a widget shows comes from a pure function."""

import functools
import io
from collections.abc import Callable
from typing import NamedTuple

import ipywidgets
from torch import Tensor

from plic_lib import codec, images, metrics
from plic_lib.checkpoint import TrainedModel


class Rendering(NamedTuple):
    """One picture through the codec at one level."""

    level: float
    data: bytes  #: the file
    picture: Tensor  #: decoded from ``data``, 8-bit values in [0, 1]
    bpp: float
    psnr: float
    lpips: float | None  #: None where the weights are missing

    def caption(self) -> str:
        """The figures in one line."""
        lpips = "not available" if self.lpips is None else f"{self.lpips:.3f}"
        return f"level {self.level:.2f} · {len(self.data):,} bytes · {self.bpp:.3f} bpp · PSNR {self.psnr:.2f} dB · LPIPS {lpips}"


def render(model: TrainedModel, image: Tensor, analysis: codec.Analysis, level: float) -> Rendering:
    """Encode at a level, decode the bytes, measure."""
    data = codec.encode_latents(model, analysis, level)
    picture = images.to_tensor(images.to_image(codec.decode(model, data)))
    height, width = image.shape[1:]
    return Rendering(
        level, data, picture, metrics.bpp(len(data), height, width), metrics.psnr(image, picture), metrics.lpips_or_none(image, picture)
    )


class Explorer(ipywidgets.VBox):
    """A slider over a picture and a line of figures.

    Args:
        render: from the slider's value to something with ``picture`` (3, H, W) and ``caption()``.
        slider: any ipywidgets slider.

    Attributes:
        slider: ``explorer.slider.value = 0.4`` does what the mouse does.
        shown: what ``render`` gave for the value on display.
    """

    def __init__(self, render: Callable[[float], "Rendering"], slider: ipywidgets.Widget):
        self.render, self.slider = render, slider
        self.picture = ipywidgets.Image(format="png", layout=ipywidgets.Layout(max_width="100%", object_fit="contain"))
        self.caption = ipywidgets.Label()
        slider.observe(lambda change: self.update(change["new"]), "value")
        super().__init__([slider, self.caption, self.picture])
        self.update(slider.value)

    def update(self, value: float) -> None:
        """Show the rendering of a value."""
        self.shown = self.render(value)
        buffer = io.BytesIO()
        images.to_image(self.shown.picture).save(buffer, "PNG", compress_level=1)
        self.picture.value = buffer.getvalue()
        self.picture.layout.width = f"{self.shown.picture.shape[2]}px"
        self.caption.value = self.shown.caption()


def rate_explorer(model: TrainedModel, image: Tensor, level: float = 1.0) -> Explorer:
    """A rate slider for a picture (3, H, W) in [0, 1]: each move writes a new file and shows what it decodes to."""
    analysis = codec.analyse(model, image)  # the encoder runs once; a move is gain, coding, generator
    slider = ipywidgets.FloatSlider(
        level, min=0, max=model.levels - 1, step=0.01, description="level", continuous_update=False, layout=ipywidgets.Layout(width="512px")
    )
    return Explorer(functools.partial(render, model, image, analysis), slider)
