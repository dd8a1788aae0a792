"""Alternative text for figures: what one who cannot see them hears, and what a page shows until they are loaded.

It is put together from what stands in a figure: titles, labels of axes, names of curves. It goes into the output's metadata, where
IPython's own pictures have theirs, and from there into the pages that are made of the notebooks.
"""

import re

from matplotlib.axes import Axes
from matplotlib.figure import Figure


def text(figure: Figure) -> str:
    """Which pictures stand side by side, and what each plot shows over what; empty where a figure says nothing of itself.

    ``figure.set_label("…")`` puts a text of one's own in its place: for drawings, and where titles and labels do not say it.

    >>> import matplotlib.pyplot as plt
    >>> figure, axis = plt.subplots()
    >>> _ = axis.plot([0, 1], [0, 1], label="mini"), axis.plot([0, 1], [0, 2], label="HEVC"), axis.legend()
    >>> _ = axis.set(title="Kodak", xlabel="bits per pixel", ylabel="PSNR (dB)")
    >>> text(figure)
    'Plot: Kodak, PSNR (dB) over bits per pixel, mini, HEVC.'
    >>> plt.close(figure)
    """
    if label := figure.get_label():
        return str(label)
    bars = [axis for axis in figure.axes if axis.get_label() == "<colorbar>"]
    panels = [axis for axis in figure.axes if axis.get_visible() and axis not in bars]
    kind = "Maps" if bars else "Pictures"
    if units := dict.fromkeys(filter(None, (bar.get_ylabel() or bar.get_xlabel() for bar in bars))):
        kind += f" of {', '.join(units)}"
    pictures = [said for axis in panels if axis.images and (said := _panel(axis))]
    plots = [f"Plot: {said}" for axis in panels if not axis.images and (said := _panel(axis))]
    sentences = [figure.get_suptitle(), f"{kind}: {'; '.join(pictures)}" if pictures else "", *plots]
    return " ".join(f"{_plain(sentence)}." for sentence in sentences if sentence)


def _panel(axis: Axes) -> str:
    """Title, what is over what, and what the curves or the bars are called."""
    titles = [axis.get_title(where) for where in ("left", "center", "right")]
    labels = [label for label in (axis.get_ylabel(), axis.get_xlabel()) if label]
    names = axis.get_legend_handles_labels()[1]
    ticks = [*axis.get_xticklabels(), *axis.get_yticklabels()] if axis.axison else []
    written = [found.get_text() for found in (*axis.texts, *ticks)]
    words = [found for found in written if re.search(r"[^\W\d]{2}", found) and "mathdefault" not in found]  # and no numbers
    return ", ".join(dict.fromkeys(filter(None, (*titles, " over ".join(labels), *names, *words))))


def _plain(sentence: str) -> str:
    """One line, without the marks of mathematics."""
    return re.sub(r"\s+", " ", re.sub(r"[${}\\]", "", sentence)).strip().rstrip(".")
