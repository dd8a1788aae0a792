"""What the notebooks draw: one style, pictures in rows, maps, and the drawing of the method."""

import io
import math
import re
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch.nn.functional as F
from IPython import get_ipython
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.rcsetup import cycler
from PIL import Image
from torch import Tensor

from plic_lib import images
from plic_lib.course import alt
from plic_lib.grid import CELL, ceil_div

#: Okabe and Ito's colours, told apart with any colour vision.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442"
#: Pixels of the page: to an inch, across, between pictures.
DPI, PAGE, GAP = 96, 900, 12


def use_style() -> None:
    """The course's matplotlib style; called once at the top of a notebook.

    In a notebook a figure that holds pictures or maps is saved as PNG, pixel for pixel, any other as SVG, sharp at any size.
    Both carry alternative text (``alt``).
    """
    if shell := get_ipython():
        shell.enable_matplotlib("inline")  # now, as it sets formats of its own when it is first used
        formatters = shell.display_formatter.formatters
        formatters["image/png"].for_type(Figure, lambda figure: saved(figure, "png") if _holds_pixels(figure) else None)
        formatters["image/svg+xml"].for_type(Figure, lambda figure: None if _holds_pixels(figure) else saved(figure, "svg"))
    plt.rcParams.update(
        {
            "figure.dpi": DPI,
            "figure.constrained_layout.use": True,
            "font.size": 10,
            "axes.titlesize": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.25,
            "axes.prop_cycle": cycler(color=[BLUE, ORANGE, GREEN, RED, PURPLE, SKY]),
            "svg.hashsalt": "plic",  # the same figure is the same file
        }
    )


def _holds_pixels(figure: Figure) -> bool:
    return any(axis.images for axis in figure.axes)


def saved(figure: Figure, kind: str) -> tuple[str | bytes, dict[str, str | int]]:
    """What a page shows of a figure, and its metadata: SVG as text, PNG with the size that it is shown at; both with alternative text.

    Hand-made figures are drawn twice as fine.
    """
    dpi = figure.dpi if figure.get_layout_engine() is None else 2 * DPI
    file, text = io.BytesIO(), alt.text(figure)
    metadata: dict[str, str | int] = {"alt": text} if text else {}
    if kind == "svg":
        figure.savefig(file, format=kind, dpi=dpi, metadata={"Date": None, "Title": text})
        return _compact(file.getvalue().decode()), metadata
    figure.savefig(file, format=kind, dpi=dpi)
    width, height = (round(inches * DPI) for inches in figure.get_size_inches())
    return _opaque(file), metadata | {"width": width, "height": height}


def _compact(svg: str) -> str:
    """The same drawing on one line, its coordinates in hundredths of a point: a fifth smaller in a notebook, where each line is quoted."""
    short = lambda found: found[1] + re.sub(r"(\d\.\d\d)\d+", r"\1", found[2])
    return re.sub(r'( (?:d|x|y)="|translate\()([^")]*)', short, re.sub(r"\s*\n\s*", " ", svg))


def _opaque(file: io.BytesIO) -> bytes:
    """The same PNG without its alpha channel, which is full everywhere: a tenth smaller."""
    smaller = io.BytesIO()
    Image.open(file).convert("RGB").save(smaller, "PNG", optimize=True)
    return smaller.getvalue()


def _sheet(titles: Sequence[str], height: int, width: int, columns: int, right: int = 0) -> tuple[Figure, list[Axes]]:
    """A figure with an axes of exactly ``width`` × ``height`` pixels under each title, and ``right`` pixels beside them.

    What fills such an axes is not resampled; a column is as wide as its widest title.
    """
    figure = plt.figure(dpi=DPI, layout="none")
    sizes = [figure.text(0, 0, title).get_window_extent() for title in titles]
    figure.texts.clear()
    across = max(width, *(math.ceil(size.width) for size in sizes)) + GAP
    above = max(math.ceil(size.height) for size in sizes) + GAP
    rows = ceil_div(len(titles), columns)
    whole = columns * across + right, rows * (above + height + GAP)
    figure.set_size_inches(whole[0] / DPI, whole[1] / DPI)
    axes = []
    for number, title in enumerate(titles):
        row, column = divmod(number, columns)
        left = column * across + (across - width) // 2
        bottom = whole[1] - (row + 1) * (above + height + GAP) + GAP
        axis = figure.add_axes((left / whole[0], bottom / whole[1], width / whole[0], height / whole[1]))
        axis.set_title(title, pad=4)
        axis.axis("off")
        axes.append(axis)
    return figure, axes


def show(pictures: Mapping[str, Tensor], columns: int | None = None, zoom: int = 1, outline: Tensor | None = None) -> Figure:
    """Pictures (3, H, W) of one size side by side under their titles, each pixel as ``zoom`` × ``zoom`` pixels of the page.

    Args:
        outline: (H, W) booleans, a region whose border is drawn over all of them.
    """
    _, height, width = next(iter(pictures.values())).shape
    figure, axes = _sheet(list(pictures), height * zoom, width * zoom, columns or len(pictures))
    for axis, picture in zip(axes, pictures.values()):
        axis.imshow(images.to_image(picture), interpolation="nearest", aspect="auto")
        if outline is not None and outline.any() and not outline.all():
            for line, colour in ((3, "black"), (1.2, "white")):  # seen on any ground
                axis.contour(outline, [0.5], colors=colour, linewidths=line)
    return figure


def show_maps(
    maps: Mapping[str, Tensor],
    unit: str | Sequence[str],
    zoom: int | None = None,
    columns: int | None = None,
    diverging: bool = False,
    shared: bool = True,
    photo: Tensor | None = None,
    over: Sequence[Tensor] = (),
) -> Figure:
    """Scalar maps (h, w) of one size side by side with a colour bar in ``unit``; the largest 0.5 % share the last colour.

    Args:
        unit: of all maps, or a list with one for each that has a bar of its own.
        zoom: side of a value on the page in pixels; by default as large as a page of 900 pixels allows.
        diverging: zero is white, signs have colours.
        shared: one colour scale and one bar for all maps.
        photo: the picture (3, H, W) whose cells of 16 x 16 pixels the maps describe; it comes first, at their size.
        over: such a picture for each map, which shows in grey through its colours.
    """
    height, width = next(iter(maps.values())).shape
    before = ["photograph"] * (photo is not None)
    columns = columns or len(before) + len(maps)
    bar = 90  # pixels for a colour bar with its label
    room = PAGE // columns - GAP - (0 if shared else bar)
    zoom = zoom or max(1, room // width)
    reach = {title: float(m.abs().flatten().quantile(0.995)) for title, m in maps.items()}  # one extreme cell would darken all others
    size = height * zoom, width * zoom
    figure, axes = _sheet([*before, *maps], size[0], size[1] + (0 if shared else bar), columns, bar if shared else 0)
    if not shared:
        for axis in axes:
            box = axis.get_position()
            axis.set_position((box.x0, box.y0, box.width * size[1] / (size[1] + bar), box.height))
    if photo is not None:
        axes.pop(0).imshow(images.to_image(_over_cells(photo, height, width, size)), interpolation="nearest", aspect="auto")
    beneath = [_over_cells(picture, height, width, size).mean(dim=0, keepdim=True).expand(3, -1, -1) for picture in over]
    for axis, picture in zip(axes, beneath):
        reaching = (-0.5, width - 0.5, height - 0.5, -0.5)  # as the map will
        axis.imshow(images.to_image(picture), extent=reaching, interpolation="nearest", aspect="auto")
    units = [unit] * len(maps) if isinstance(unit, str) else unit
    for axis, label, (title, values) in zip(axes, units, maps.items(), strict=True):
        limit = max(reach.values()) if shared else reach[title]
        low = -limit if diverging else 0
        colours = {"cmap": "RdBu_r" if diverging else "viridis", "vmin": low, "vmax": limit, "alpha": 0.5 if over else None}
        drawn = axis.imshow(values, interpolation="nearest", aspect="auto", **colours)
        if axis is axes[-1] or not shared:
            box, pixel = axis.get_position(), 1 / (figure.get_size_inches()[0] * DPI)
            place = figure.add_axes(
                (box.x1 + GAP * pixel, box.y0, 10 * pixel, box.height), label="<colorbar>"
            )  # as matplotlib calls its own
            figure.colorbar(drawn, cax=place, label=label, extend="both" if diverging else "max")
    return figure


def _over_cells(photo: Tensor, height: int, width: int, size: tuple[int, int]) -> Tensor:
    """A photograph averaged to the size of a map of its height x width cells, white where these reach beyond its edge."""
    below, right = CELL * height - photo.shape[1], CELL * width - photo.shape[2]
    return F.interpolate(F.pad(photo, (0, right, 0, below), value=1.0)[None], size=size, mode="area")[0]


def label_lines(axis: Axes, *labels: str) -> None:
    """Each line's label in its colour at its right end, pushed apart where they would overlap: for up to five lines, in place of a legend.

    Args:
        labels: by default those that the lines were drawn with.
    """
    lines = [line for line in axis.lines if labels or not str(line.get_label()).startswith("_")]
    names = labels or [str(line.get_label()) for line in lines]
    points = [(np.asarray(line.get_xdata())[-1], np.asarray(line.get_ydata())[-1]) for line in lines]
    ends = axis.transData.transform(points)
    order = sorted(range(len(lines)), key=lambda i: ends[i][1])
    below = -math.inf
    for i in order:
        below = max(ends[i][1], below + 14 / 72 * axis.figure.dpi)
        offset = 5, (below - ends[i][1]) * 72 / axis.figure.dpi
        colour = lines[i].get_color()
        axis.annotate(names[i], points[i], offset, textcoords="offset points", color=colour, va="center", fontsize=9, annotation_clip=False)


def _box(axis: Axes, x: float, y: float, text: str, colour: str, width: float = 1.5, height: float = 0.8) -> None:
    patch = FancyBboxPatch(
        (x - width / 2, y - height / 2), width, height, boxstyle="round,pad=0.03,rounding_size=0.12", fc=colour + "2A", ec=colour, lw=1.4
    )
    axis.add_patch(patch)
    axis.text(x, y, text, ha="center", va="center", fontsize=9)


def _arrow(
    axis: Axes, start: tuple, end: tuple, label: str = "", offset: tuple = (0, 0.16), colour: str = "#444444", bend: float = 0
) -> None:
    style = f"arc3,rad={bend}"
    axis.add_patch(
        FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=11, lw=1.2, color=colour, connectionstyle=style, shrinkA=0, shrinkB=0)
    )
    x, y = (start[0] + end[0]) / 2 + offset[0], (start[1] + end[1]) / 2 + offset[1]
    axis.text(x, y, label, ha="center", va="center", fontsize=9, color=colour)


def method() -> Figure:
    """The paper's method in one drawing of our own (its Figures 2 and 3)."""
    figure, axis = plt.subplots(figsize=(9.5, 5.0))
    figure.set_label(
        "The method as boxes and arrows. Upper row: picture x, encoder, gain, rounding and rANS, inverse gain, generator, decoded picture. "
        "Below: hyper-encoder, z rounded and coded with a factorised prior, hyper-decoder; from it and from the neighbours of a latent, "
        "through the 5 by 5 context, gather makes the mean and the two scales of each latent. The level s + l sets both gains. "
        "In training only, the decoded picture goes to L1, LPIPS and PatchGAN."
    )
    axis.set_xlim(-0.2, 13.6)
    axis.set_ylim(-0.75, 6.35)
    axis.axis("off")
    top, middle, bottom = 5.0, 2.9, 0.9
    _box(axis, 1.9, top, "encoder\nGDN, attention", BLUE, 1.9)
    _box(axis, 4.5, top, "gain\n$\\odot\\, m$", ORANGE, 1.1)
    _box(axis, 6.6, top, "round,\nrANS", GREEN, 1.2)
    _box(axis, 9.0, top, "inverse gain\n$\\odot\\, m'$", ORANGE, 1.5)
    _box(axis, 11.6, top, "generator\nGDN$^{-1}$, attention", BLUE, 2.1)
    _box(axis, 4.5, middle, "hyper-encoder", PURPLE, 1.9)
    _box(axis, 4.5, bottom, "round, rANS\nfactorised prior", GREEN, 1.9)
    _box(axis, 7.4, bottom, "hyper-decoder", PURPLE, 1.8)
    _box(axis, 7.4, middle, "gather", PURPLE, 1.3)
    _box(axis, 9.8, middle, "context 5 × 5", PURPLE, 1.6)
    _box(axis, 11.9, 1.15, "training only:\nL1, LPIPS,\nPatchGAN", RED, 1.8, 1.25)
    _arrow(axis, (0.15, top), (0.9, top), "$x$")
    _arrow(axis, (2.9, top), (3.9, top), "$y$")
    _arrow(axis, (5.1, top), (5.95, top), "$\\bar y$")
    _arrow(axis, (7.25, top), (8.2, top), "$\\hat y$")
    _arrow(axis, (9.8, top), (10.5, top))
    _arrow(axis, (12.7, top), (13.4, top), "$\\hat x$")
    _arrow(axis, (4.5 + 1.0, top - 0.05), (4.9, middle + 0.45), bend=-0.25)
    _arrow(axis, (4.5, middle - 0.45), (4.5, bottom + 0.45), "$z$", (0.2, 0))
    _arrow(axis, (5.5, bottom), (6.45, bottom), "$\\hat z$")
    _arrow(axis, (7.4, bottom + 0.45), (7.4, middle - 0.45))
    _arrow(axis, (7.8, top - 0.05), (9.7, middle + 0.45), "neighbours in $\\hat y$", (0.85, 0.25), bend=0.12)
    _arrow(axis, (8.95, middle), (8.1, middle))
    _arrow(axis, (7.2, middle + 0.45), (6.7, top - 0.45), "$\\mu, \\sigma_l, \\sigma_r$", (-0.72, -0.12))
    _arrow(axis, (13.0, top - 0.15), (12.2, 1.85), colour=RED, bend=-0.18)
    for x in (4.5, 9.0):
        _arrow(axis, (x, 6.05), (x, top + 0.45), colour=ORANGE)
    axis.text(6.75, 6.05, "level $s + l$: the rate slider", ha="center", va="center", fontsize=9, color="#8a5f00")
    axis.text(
        6.6,
        -0.45,
        "file: header, then one stream with $\\hat z$ and $\\hat y$; sizes: $y$ is 1/16 of the picture's sides, $z$ is 1/64",
        ha="center",
        fontsize=9,
        color="#444444",
    )
    return figure
