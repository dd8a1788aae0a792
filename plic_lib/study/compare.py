"""Curves, BD-rates and intervals from what ``results`` measured."""

import itertools
import json
import math
import warnings
from collections.abc import Callable
from pathlib import Path

import bjontegaard
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullFormatter

from plic_lib import files
from plic_lib.course import figures
from plic_lib.errors import FileError

FOLDER = Path(__file__).resolve().parents[2] / "data" / "results"
LOWER_IS_BETTER = {"lpips", "lpips_squeeze", "lpips_vgg", "dists", "kid_alexnet", "kid", "fid"}
LABELS = {
    "psnr": "PSNR (dB)",
    "ms_ssim": "MS-SSIM",
    "lpips": "LPIPS (AlexNet)",
    "lpips_squeeze": "LPIPS (SqueezeNet)",
    "lpips_vgg": "LPIPS (VGG)",
    "dists": "DISTS",
    "kid_alexnet": "KID on AlexNet features",
}

START, END = "<!-- results: written by `make results` -->", "<!-- end of results -->"
MARKERS = "osv^DP*X<>"
RIVALS = (figures.ORANGE, figures.SKY, figures.GREEN, figures.PURPLE, "0.3", figures.YELLOW)

Curve = tuple[np.ndarray, np.ndarray]  #: bits per pixel, ascending, and the metric


def load(name: str) -> dict:
    """Recorded results: ``kodak`` is measured by ``make results``, ``published_kodak`` copied with its source."""
    return json.loads((FOLDER / f"{name}.json").read_text())


def curve(result: dict, codec: str, metric: str, chosen: np.ndarray | None = None) -> Curve | None:
    """A codec's points: bpp over all pixels, mean of the metric over the pictures; None where that was not measured.

    Args:
        chosen: indices of pictures, with repetitions: a bootstrap sample. Metrics of the whole set ignore it.
    """
    points = result["codecs"].get(codec, {"points": []})["points"]
    if not points or any(point.get(metric) is None for point in points):
        return None
    chosen = np.arange(len(result["pictures"])) if chosen is None else chosen
    pixels = np.array([p["width"] * p["height"] for p in result["pictures"]])[chosen]
    bpp = np.array([8 * np.array(point["bytes"])[chosen].sum() / pixels.sum() for point in points])
    value = np.array([np.mean(np.array(point[metric])[chosen]) if isinstance(point[metric], list) else point[metric] for point in points])
    order = np.argsort(bpp)
    return bpp[order], value[order]


def published(name: str, metric: str) -> Curve | None:
    """A curve that was copied with its source, from ``data/results/published_kodak.json``; None without that metric."""
    figures = load("published_kodak")["codecs"][name]
    return (np.array(figures["bpp"]), np.array(figures[metric])) if metric in figures else None


def at(curve: Curve | None, bpp: float) -> float | None:
    """The metric at a rate, between the points on a logarithmic rate axis; None outside them."""
    if curve is None or not curve[0][0] <= bpp <= curve[0][-1]:
        return None
    return float(np.interp(math.log(bpp), np.log(curve[0]), curve[1]))


def bd_rate(anchor: Curve, test: Curve, metric: str) -> tuple[float | None, float]:
    """Bytes that ``test`` needs more than ``anchor`` for the same quality, on average, in percent; and the curves' overlap.

    Bjøntegaard's delta rate with monotone cubic (PCHIP) curves, of the ``bjontegaard`` package. The overlap is the range
    of quality that both reach over the range that any reaches; the average is over it alone, and None where there is none.
    """
    sign = -1 if metric in LOWER_IS_BETTER else 1
    (rate_a, a), (rate_b, b) = ((rate, sign * value) for rate, value in (anchor, test))
    common = min(a.max(), b.max()) - max(a.min(), b.min())
    if common <= 0:
        return None, 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of a small overlap, which is returned here
        percent = bjontegaard.bd_rate(rate_a, a, rate_b, b, method="pchip", require_matching_points=False)
    return float(percent), float(common / (max(a.max(), b.max()) - min(a.min(), b.min())))


def interval(function: Callable[[np.ndarray], float | None], pictures: int, draws: int = 500, seed: int = 0) -> tuple[float, float] | None:
    """95 % of a figure's values when the pictures are drawn anew with repetition (percentile bootstrap).

    Args:
        function: from the indices of the drawn pictures to the figure.
    """
    rng = np.random.default_rng(seed)
    values = [function(rng.integers(pictures, size=pictures)) for _ in range(draws)]
    if any(value is None for value in values):
        return None
    return tuple(float(v) for v in np.percentile(values, (2.5, 97.5)))


def draw(axis: Axes, result: dict, metric: str, others: list[str] = (), limits: tuple[float, float] = (0.04, 0.7)) -> None:
    """Every codec's curve of one metric: ours solid and wide, measured rivals thin, recorded ones (``others``, of ``published``) dashed."""
    ours = [name for name, found in result["codecs"].items() if found["hash"]]
    rivals = [name for name in result["codecs"] if name not in ours]
    colours = dict(zip(ours, (figures.RED, figures.BLUE, "black"))) | dict(zip(rivals, itertools.cycle(RIVALS)))
    for name in result["codecs"]:
        if (found := curve(result, name, metric)) is not None:
            # the second of ours is thinner, so that it does not hide the first where they agree
            own = {"linewidth": max(1.5, 4 - 2 * ours.index(name)), "zorder": 3} if name in ours else {"linewidth": 1}
            axis.plot(*found, marker=MARKERS[len(axis.lines) % len(MARKERS)], markersize=4, color=colours[name], label=name, **own)
    for name in others:
        if (found := published(name, metric)) is not None:
            axis.plot(
                *found,
                "--",
                marker=MARKERS[len(axis.lines) % len(MARKERS)],
                markersize=4,
                color="0.6",
                linewidth=1,
                label=f"{name}, recorded",
            )
    shown = [y for line in axis.lines for x, y in zip(*line.get_data()) if limits[0] <= x <= limits[1]]
    margin = 0.05 * (max(shown) - min(shown))
    axis.set(xscale="log", xlim=limits, ylim=(min(shown) - margin, max(shown) + margin))
    axis.set(xlabel="bits per pixel of the files", ylabel=LABELS[metric])
    axis.xaxis.set_major_locator(FixedLocator([0.05, 0.1, 0.2, 0.5]))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter(NullFormatter())
    if metric in LOWER_IS_BETTER:
        axis.invert_yaxis()  # better is higher in every panel


def readme_figure(result: dict, path: str | Path) -> None:
    """The README's figure: the metric that the training asks for, one that it does not, and PSNR."""
    with figures.plt.rc_context({"figure.constrained_layout.use": True, "axes.spines.top": False, "axes.spines.right": False}):
        figure, axes = figures.plt.subplots(1, 3, figsize=(11, 4))
        for axis, metric in zip(axes, ("lpips", "lpips_squeeze", "psnr")):
            draw(axis, result, metric, ["VVC", "MS-ILLM"])
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False)
        figure.savefig(path, dpi=110)
        figures.plt.close(figure)


def readme_table(result: dict, bpp: float = 0.15, anchor: str = "HEVC") -> str:
    """The README's table: every codec at one rate, and its bytes for the same LPIPS beside the anchor's."""
    lines = [
        f"| codec at {bpp:g} bpp | LPIPS (95 % of bootstrap draws) | LPIPS-squeeze | KID-AlexNet | PSNR (dB) | MS-SSIM | bytes for the same LPIPS, against {anchor} |"
    ]
    lines.append("|" + "---|" * 7)
    show = lambda value, digits: "–" if value is None else f"{value:.{digits}f}"  # noqa: E731
    best_first = lambda name: at(curve(result, name, "lpips"), bpp) or math.inf  # noqa: E731
    for name in sorted(result["codecs"], key=best_first):
        value = {metric: at(curve(result, name, metric), bpp) for metric in LABELS}
        if value["psnr"] is None:
            continue
        spread = interval(lambda chosen, name=name: at(curve(result, name, "lpips", chosen), bpp), len(result["pictures"]))
        pair = [curve(result, codec, "lpips") for codec in (anchor, name)]
        bytes_ = "–"
        if name != anchor and all(found is not None for found in pair):
            percent, overlap = bd_rate(*pair, "lpips")
            bytes_ = "no common quality" if percent is None else f"{percent:+.0f} % (overlap {overlap:.0%})"
        lines.append(
            f"| {name} | {show(value['lpips'], 3)}{'' if spread is None else f' ({spread[0]:.3f} to {spread[1]:.3f})'} | {show(value['lpips_squeeze'], 3)} "
            f"| {show(value['kid_alexnet'], 3)} | {show(value['psnr'], 2)} | {show(value['ms_ssim'], 4)} | {bytes_} |"
        )
    return "\n".join(lines)


def readme_section(result: dict, name: str) -> str:
    """What stands between the README's two marks: the table, the figure, and what was left out."""
    missing = "; ".join(f"{what} ({reason})" for what, reason in result["missing"].items())
    return f"""{readme_table(result)}

![Rate against LPIPS and PSNR](data/results/{name}.png)

{len(result["pictures"])} pictures; LPIPS, KID: lower is better. Between measured points on a logarithmic rate axis. The overlap is the share of the
qualities that both codecs reach. Left out here: {missing or "nothing"}."""


def renew_readme(result: dict, name: str, path: Path = FOLDER.parent.parent / "README.md") -> None:
    """Put ``readme_section`` between the marks of the README."""
    before, mark, rest = path.read_text().partition(START)
    _, end, after = rest.partition(END)
    if not (mark and end):
        raise FileError(f"{path} has no lines {START} and {END} around its results")
    files.write(path, f"{before}{START}\n{readme_section(result, name)}\n{END}{after}".encode())
