"""The curves that pages and notebooks share: rate and distortion of many codecs in one panel, and a model's training.

``python -m plic_lib.course.curves`` draws those of the README and of the models' cards again.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullFormatter

from plic_lib import files, shipped
from plic_lib.course import figures
from plic_lib.study import compare

MARKERS = "osv^DP*X<>"
RIVALS = (figures.ORANGE, figures.SKY, figures.GREEN, figures.PURPLE, "0.3", figures.YELLOW)


def draw(axis: Axes, result: dict, metric: str, others: Sequence[str] = (), limits: tuple[float, float] = (0.04, 0.7)) -> None:
    """Every codec's curve of one metric: ours solid and wide, measured rivals thin, recorded ones (``others``, of ``published``) dashed."""
    ours = sorted(name for name, found in result["codecs"].items() if found["hash"])  # ``mini`` before what was made from it
    rivals = [name for name in result["codecs"] if name not in ours]
    colours = dict(zip(ours, (figures.RED, figures.BLUE, "black"))) | dict(zip(rivals, itertools.cycle(RIVALS)))
    for name in result["codecs"]:
        if (found := compare.curve(result, name, metric)) is not None:
            # the second of ours is thinner, so that it does not hide the first where they agree
            own: dict[str, Any] = {"linewidth": max(1.5, 4 - 2 * ours.index(name)), "zorder": 3} if name in ours else {"linewidth": 1}
            axis.plot(*found, marker=MARKERS[len(axis.lines) % len(MARKERS)], markersize=4, color=colours[name], label=name, **own)
    for name in others:
        if (found := compare.published(name, metric)) is not None:
            own = {"color": "0.6", "linewidth": 1, "linestyle": "--"}
            axis.plot(*found, marker=MARKERS[len(axis.lines) % len(MARKERS)], markersize=4, label=f"{name}, recorded", **own)
    if shown := [y for line in axis.lines for x, y in np.asarray(line.get_xydata()) if limits[0] <= x <= limits[1]]:
        margin = 0.05 * (max(shown) - min(shown))
        axis.set_ylim(min(shown) - margin, max(shown) + margin)
    axis.set(xscale="log", xlim=limits, xlabel="bits per pixel of the files", ylabel=compare.LABELS[metric])
    axis.xaxis.set_major_locator(FixedLocator([0.05, 0.1, 0.2, 0.5]))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter(NullFormatter())
    if metric in compare.LOWER_IS_BETTER:
        axis.invert_yaxis()  # better is higher in every panel


def results_figure(result: dict, path: str | Path) -> None:
    """The README's figure: the metric that the training asks for, one that it does not, and PSNR."""
    with plt.rc_context({"figure.constrained_layout.use": True, "axes.spines.top": False, "axes.spines.right": False}):
        figure, axes = plt.subplots(1, 3, figsize=(11, 4))
        for axis, metric in zip(axes, ("lpips", "lpips_squeeze", "psnr")):
            draw(axis, result, metric, ["VVC (vvenc)", "MS-ILLM"])
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False)
        with files.whole(path) as file:
            figure.savefig(file, format="png", dpi=110)
        plt.close(figure)


def training_figure(rows: Sequence[dict], path: str | Path) -> None:
    """What the looks at files during a training saw, level by level, on a model's card.

    Args:
        rows: of the training's log (``log.jsonl``).
        path: of the PNG.
    """
    checks = [{"thousands": row["step"] / 1000, **row["check"]} for row in rows if "check" in row]
    panels = {"bits per pixel": ["bpp"], "LPIPS (dashed: SqueezeNet's)": ["lpips", "lpips_squeeze"], "PSNR (dB)": ["psnr"]}
    with plt.rc_context({"figure.constrained_layout.use": True, "axes.spines.top": False, "axes.spines.right": False}):
        figure, axes = plt.subplots(1, 3, figsize=(11, 3.2))
        for axis, (label, metrics) in zip(axes, panels.items()):
            for level, colour in enumerate((figures.BLUE, figures.ORANGE, figures.GREEN)):
                for metric, style in zip(metrics, ("-", "--")):
                    found = [(row["thousands"], row[metric]) for row in checks if row["level"] == level and row[metric] is not None]
                    axis.plot(*zip(*found), style, color=colour, label=f"level {level}" if style == "-" else None)
            axis.set(xlabel="steps (thousands)", ylabel=label)
        axes[0].set_yscale("log")
        axes[0].yaxis.set_major_locator(FixedLocator([0.05, 0.1, 0.2, 0.5]))
        axes[0].yaxis.set_major_formatter("{x:g}")
        axes[0].yaxis.set_minor_formatter(NullFormatter())
        axes[1].legend(frameon=False, loc="upper right")  # where LPIPS has come down
        with files.whole(path) as file:
            figure.savefig(file, format="png", dpi=110)
        plt.close(figure)


if __name__ == "__main__":
    results_figure(compare.load("kodak"), compare.FOLDER / "kodak.png")
    for name, model in shipped.available().items():
        if f"({name}.png)" not in model.with_suffix(".md").read_text():
            continue
        training_figure(files.read_json_lines(compare.FOLDER / f"{name}_training.jsonl"), model.with_suffix(".png"))
