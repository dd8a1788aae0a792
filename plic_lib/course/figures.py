"""What the notebooks draw: one style, pictures in rows, maps, and the drawing of the method."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
from IPython import get_ipython
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.rcsetup import cycler
from matplotlib_inline.backend_inline import set_matplotlib_formats
from torch import Tensor

from plic_lib import images
from plic_lib.grid import ceil_div

#: Okabe and Ito's colours, told apart with any colour vision.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442"


def use_style() -> None:
    """The course's matplotlib style; called once at the top of a notebook.

    In a notebook figures are saved as JPEG: as PNG, the photographs alone would make a
    notebook ten times larger than all its text.
    """
    if get_ipython() is not None:
        set_matplotlib_formats("jpeg", pil_kwargs={"quality": 75})
    plt.rcParams.update(
        {
            "figure.dpi": 75,
            "savefig.dpi": 75,
            "figure.constrained_layout.use": True,
            "font.size": 10,
            "axes.titlesize": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.25,
            "axes.prop_cycle": cycler(color=[BLUE, ORANGE, GREEN, RED, PURPLE, SKY]),
            "image.interpolation": "nearest",
        }
    )


def show(pictures: Mapping[str, Tensor], columns: int | None = None, width: float = 8.5) -> Figure:
    """Pictures (3, H, W) side by side under their titles."""
    columns = columns or len(pictures)
    rows = ceil_div(len(pictures), columns)
    first = next(iter(pictures.values()))
    cell = width / columns
    figure, axes = plt.subplots(rows, columns, figsize=(width, rows * (cell * first.shape[1] / first.shape[2] + 0.45)), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, (title, picture) in zip(axes.flat, pictures.items()):
        axis.imshow(images.to_image(picture))
        axis.set_title(title)
    return figure


def show_maps(maps: Mapping[str, Tensor], unit: str, width: float = 9.5, diverging: bool = False, shared: bool = True) -> Figure:
    """Scalar maps (h, w) side by side with a colour bar in ``unit``; the largest 0.5 % share the last colour.

    Args:
        diverging: zero is white, signs have colours.
        shared: one colour scale for all maps.
    """
    figure, axes = plt.subplots(1, len(maps), figsize=(width, width / len(maps) * 0.85 + 0.5), squeeze=False)
    reach = lambda m: float(m.abs().flatten().quantile(0.995))  # one extreme cell would darken all others
    top = max(reach(m) for m in maps.values())
    drawn = []
    for axis, (title, values) in zip(axes[0], maps.items()):
        limit = top if shared else reach(values)
        drawn.append(axis.imshow(values, cmap="RdBu_r" if diverging else "viridis", vmin=-limit if diverging else 0, vmax=limit))
        axis.set_title(title)
        axis.axis("off")
        if not shared:
            figure.colorbar(drawn[-1], ax=axis, shrink=0.8, label=unit)
    if shared:
        figure.colorbar(drawn[-1], ax=axes[0].tolist(), shrink=0.8, label=unit)
    return figure


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
    axis.text(6.75, 6.05, "level $s$: the rate slider", ha="center", va="center", fontsize=9, color="#8a5f00")
    axis.text(
        6.6,
        -0.45,
        "file: header, then one stream with $\\hat z$ and $\\hat y$; sizes: $y$ is 1/16 of the picture's sides, $z$ is 1/64",
        ha="center",
        fontsize=9,
        color="#444444",
    )
    return figure
