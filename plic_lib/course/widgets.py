"""Things to turn in a notebook. What a widget shows comes from a pure function."""

import functools
import html
import io
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import ipywidgets
from torch import Tensor

from plic_lib import codec, images, metrics
from plic_lib.checkpoint import TrainedModel
from plic_lib.course.canvas import Canvas
from plic_lib.study import rivals
from plic_lib.study.codecs import Codec, analysed
from plic_lib.study.measure import Measurement, measure


class Rendering(NamedTuple):
    """One picture through one codec at one level, or another codec's quality."""

    name: str  #: "level 1.00", "JPEG, quality 12"
    level: float
    data: bytes  #: the file
    picture: Tensor  #: decoded from ``data``, 8-bit values in [0, 1]
    bpp: float
    psnr: float
    lpips: float | None  #: on AlexNet, on which our models are trained; None where the weights are missing or the picture is too small
    lpips_squeeze: float | None  #: on SqueezeNet, on which nobody here is trained; None as above

    def caption(self) -> str:
        """The figures in one line."""
        alex, squeeze = ("not available" if value is None else f"{value:.3f}" for value in (self.lpips, self.lpips_squeeze))
        figures = f"{len(self.data):,} bytes · {self.bpp:.3f} bpp · PSNR {self.psnr:.2f} dB · LPIPS {alex} (SqueezeNet {squeeze})"
        return f"{self.name} · {figures}"


def _rendering(name: str, shown: Measurement) -> Rendering:
    figures = metrics.psnr(shown.picture, shown.decoded), *(metrics.lpips_or_none(shown.picture, shown.decoded, n) for n in NETS)
    return Rendering(name, shown.quality, shown.data, shown.decoded, shown.bpp, *figures)


NETS = ("alex", "squeeze")


def render(model: TrainedModel, image: Tensor, analysis: codec.Analysis, level: float) -> Rendering:
    """Encode at a level, decode the bytes, measure."""
    return _rendering(f"level {level:.2f}", measure(analysed(model, analysis), image, level))


def render_rival(rival: Codec, image: Tensor, n_bytes: int) -> Rendering:
    """Another codec's largest file of at most ``n_bytes``, or its smallest where all are larger, which the name says."""
    data, quality = _fitting(rival, image, n_bytes)
    smallest = ", its smallest file" if len(data) > n_bytes else ""
    kept = Measurement(image, quality, data, rival.decode(data), rival.container_bytes(data), 0.0, 0.0)
    return _rendering(f"{rival.name}, quality {quality}{smallest}", kept)


#: AVIF takes most of a second for a file of half a megapixel: the files of these qualities are made once for a picture.
AVIF_QUALITIES = range(0, 61, 4)


def _fitting(rival: Codec, image: Tensor, n_bytes: int) -> tuple[bytes, int]:
    if rival.name != "AVIF":
        return rival.encode_to_bytes(image, n_bytes)
    files = _avif_files(image)
    return max((f for f in files if len(f[0]) <= n_bytes), key=lambda f: len(f[0]), default=files[0])


@functools.lru_cache(maxsize=4)
def _avif_files(image: Tensor) -> list[tuple[bytes, int]]:
    return [(rivals.AVIF.encode(image, quality), quality) for quality in AVIF_QUALITIES]


def png(picture: Tensor) -> bytes:
    """A picture as the widgets show it: exact, and quickly made."""
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
        self.picture.value = png(self.shown.picture)
        self.picture.layout.width = f"{self.shown.picture.shape[2]}px"
        self.caption.value = self.shown.caption()


class RateExplorer(ipywidgets.VBox):
    """A rate slider and a wipe: right of the line what our file decodes to, left the original or another codec's file of equal bytes.

    Everything the mouse can set can be set from Python:

    Attributes:
        slider: the level (``explorer.slider.value = 0.4``).
        model: the model by its name, where there are several.
        against: what stands left of the line: "original", "JPEG" or "AVIF".
        canvas: the pictures; ``canvas.position`` is the line's, 0 to 1.
        shown: the ``Rendering`` of our file; ``beside``: that of the other, None for the original.
    """

    RIVALS = {codec.name: codec for codec in (rivals.JPEG, rivals.AVIF)}

    def __init__(self, models: Sequence[TrainedModel], image: Tensor, level: float):
        self.models, self.image = {model.name: model for model in models}, image
        self.analyses: dict[str, codec.Analysis] = {}  # an encoder runs once; a move is gain, coding, generator
        height, width = image.shape[1:]
        top = min(model.levels for model in models) - 1
        layout = ipywidgets.Layout(width="512px")
        self.slider = ipywidgets.FloatSlider(level, min=0, max=top, step=0.01, description="level", continuous_update=False, layout=layout)
        self.model = ipywidgets.ToggleButtons(options=list(self.models), description="model", style={"button_width": "90px"})
        left = ["original", *(name for name, rival in self.RIVALS.items() if rival.missing() is None)]
        self.against = ipywidgets.ToggleButtons(options=left, description="left", style={"button_width": "90px"})
        self.caption = ipywidgets.HTML()
        self.canvas = Canvas(width, height, mode="wipe", position=0.0)
        for control in (self.slider, self.model, self.against):
            control.observe(lambda change: self.update(), "value")
        choice = [self.model] if len(self.models) > 1 else []
        super().__init__([self.slider, *choice, self.against, self.caption, self.canvas])
        self.layout.width = f"{max(width, 640)}px"
        self.update()

    def update(self) -> None:
        """Write the file that the controls ask for, show what it decodes to; an error is shown in words."""
        model, level = self.models[str(self.model.value)], self.slider.value
        try:
            if model.name not in self.analyses:
                self.analyses[model.name] = codec.analyse(model, self.image)
            self.shown, self.beside = render(model, self.image, self.analyses[model.name], level), None
            lines = [self.shown.caption() if len(self.models) == 1 else f"{model.name} · {self.shown.caption()}"]
            if rival := self.RIVALS.get(str(self.against.value)):
                if rival.name == "AVIF":
                    self.caption.value = f"{html.escape(lines[0])}<br>AVIF: making {len(AVIF_QUALITIES)} files, once for this picture …"
                self.beside = render_rival(rival, self.image, len(self.shown.data))
                lines.append(self.beside.caption())
            self.canvas.names = [self.against.value, f"{model.name}, level {level:.2f}"]
            with self.canvas.hold_sync():  # a pair arrives as a pair
                self.canvas.picture, self.canvas.left = png(self.shown.picture), png(self.beside.picture if self.beside else self.image)
            self.caption.value = "<br>".join(map(html.escape, lines))
        except (ValueError, RuntimeError) as error:
            self.caption.value = f"<b>Not possible:</b> {html.escape(str(error))}"


def rate_explorer(model: TrainedModel, image: Tensor, level: float = 1.0, others: Sequence[TrainedModel] = ()) -> RateExplorer:
    """A rate slider for a picture (3, H, W) in [0, 1]: each move writes a new file and shows what it decodes to, in a wipe.

    Args:
        others: further models to choose from.
    """
    return RateExplorer([model, *others], image, level)


def wipe(pictures: dict[str, Tensor], position: float = 0.5) -> Canvas:
    """Two pictures (3, H, W) in [0, 1], given with their names, left and right of a line that can be dragged."""
    left, right = pictures.values()
    height, width = right.shape[1:]
    return Canvas(width, height, mode="wipe", picture=png(right), left=png(left), names=list(pictures), position=position)
