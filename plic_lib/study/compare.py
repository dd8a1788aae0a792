"""Curves, BD-rates and intervals from what ``results`` measured."""

import json
import math
import warnings
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import bjontegaard
import numpy as np

FOLDER = Path(__file__).resolve().parents[2] / "data" / "results"
LOWER_IS_BETTER = {"lpips", "lpips_squeeze", "lpips_vgg", "dists", "kid_alexnet", "kid_squeeze", "kid", "fid"}
LABELS = {
    "psnr": "PSNR (dB)",
    "ms_ssim": "MS-SSIM",
    "lpips": "LPIPS (AlexNet)",
    "lpips_squeeze": "LPIPS (SqueezeNet)",
    "lpips_vgg": "LPIPS (VGG)",
    "dists": "DISTS",
    "kid_alexnet": "KID on AlexNet features",
    "kid_squeeze": "KID on SqueezeNet features",
}

Curve = tuple[np.ndarray, np.ndarray]  #: bits per pixel, ascending, and the metric


def load(name: str) -> dict:
    """Recorded results: ``kodak`` is measured by ``make results``, ``published_kodak`` copied with its source."""
    return json.loads((FOLDER / f"{name}.json").read_text())


def curve(result: dict, codec: str, metric: str, chosen: np.ndarray | None = None) -> Curve | None:
    """A codec's points: bpp over all pixels, mean of the metric over the pictures that have it; None where that was not measured.

    Args:
        chosen: indices of pictures, with repetitions: a bootstrap sample. Metrics of the whole set ignore it, but for ``kid_squeeze``,
            which is recorded pair by pair.
    """
    points = result["codecs"].get(codec, {"points": []})["points"]
    if not points or any(point.get(metric) is None for point in points):
        return None
    chosen = np.arange(len(result["pictures"])) if chosen is None else chosen
    pixels = np.array([p["width"] * p["height"] for p in result["pictures"]])[chosen]
    bpp = np.array([8 * np.array(point["bytes"])[chosen].sum() / pixels.sum() for point in points])
    value = [_average(point.get(f"{metric}_pairs", point[metric]), chosen) for point in points]
    order = np.argsort(bpp)
    return None if None in value else (bpp[order], np.array(value)[order])


def _average(found: list | float, chosen: np.ndarray) -> float | None:
    """Over the drawn pictures that have a value: one that is too small for a metric has None. Of a table of pairs, over those of
    different pictures (``sets.SetQuality.squeeze_pairs``)."""
    if not isinstance(found, list):
        return found
    if isinstance(found[0], list):
        drawn = [found[i][j - i - 1] for i, j in combinations(sorted(chosen), 2) if i != j]
    else:
        drawn = [found[i] for i in chosen]
    values = np.array(drawn, float)
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else None


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
    of quality that both reach over the range that any reaches; the average is over it alone. It is None where there is
    no overlap, or where a curve gives one quality two rates and so has no inverse.
    """
    sign = -1 if metric in LOWER_IS_BETTER else 1
    (a, rate_a), (b, rate_b) = (_by_quality(curve, sign) for curve in (anchor, test))
    if min(len(a), len(b)) < 2 or min(a[-1], b[-1]) <= max(a[0], b[0]):
        return None, 0.0
    overlap = float((min(a[-1], b[-1]) - max(a[0], b[0])) / (max(a[-1], b[-1]) - min(a[0], b[0])))
    if 0 in np.diff(a) or 0 in np.diff(b):
        return None, overlap
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of a small overlap, which is returned here
        rate = bjontegaard.bd_rate(rate_a, a, rate_b, b, method="pchip", require_matching_points=False)
        return float(rate), overlap  # pyright: ignore[reportArgumentType]  # annotated as if it always gave the curves too


def _by_quality(curve: Curve, sign: int) -> tuple[np.ndarray, np.ndarray]:
    """Quality, ascending, and rates: each point once, without those that are no numbers."""
    points = sorted({(sign * value, rate) for rate, value in zip(*curve) if math.isfinite(value)})
    return tuple(np.array(points, float).reshape(-1, 2).T)


def interval(function: Callable[[np.ndarray], float | None], pictures: int, draws: int = 500, seed: int = 0) -> tuple[float, float] | None:
    """95 % of a figure's values when the pictures are drawn anew with repetition (percentile bootstrap).

    Args:
        function: from the indices of the drawn pictures to the figure.
    """
    rng = np.random.default_rng(seed)
    values = [function(rng.integers(pictures, size=pictures)) for _ in range(draws)]
    if any(value is None for value in values):
        return None
    # two floats from floats, as a person sees; the checker does not, and a notebook rebuilds this function as it stands
    return tuple(float(v) for v in np.percentile(values, (2.5, 97.5)))  # pyright: ignore[reportReturnType, reportCallIssue, reportArgumentType]
