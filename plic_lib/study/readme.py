"""The README's section of results: a table of every codec at one rate, between two marks."""

import math
from pathlib import Path

from plic_lib import files
from plic_lib.errors import FileError
from plic_lib.study.compare import FOLDER, at, bd_rate, curve, interval

START, END = "<!-- results: written by `make results` -->", "<!-- end of results -->"
DIGITS = {"lpips_squeeze": 3, "kid_alexnet": 3, "psnr": 2, "ms_ssim": 4}  #: of the metrics in the table


def table(result: dict, bpp: float = 0.15, anchor: str = "HEVC") -> str:
    """Every codec at one rate, best LPIPS first, and its bytes for the same LPIPS beside the anchor's; a dash for what has no value."""
    heads = [f"codec at {bpp:g} bpp", "LPIPS (95 % of bootstrap draws)", "LPIPS-squeeze", "KID-AlexNet", "PSNR (dB)", "MS-SSIM"]
    lines = [f"| {' | '.join(heads)} | bytes for the same LPIPS, against {anchor} |", "|" + "---|" * (len(heads) + 1)]
    read = lambda name, metric, chosen=None: at(curve(result, name, metric, chosen), bpp)
    show = lambda value, digits: "–" if value is None else f"{value:.{digits}f}"
    lpips = {name: read(name, "lpips") for name in result["codecs"]}
    for name in sorted(lpips, key=lambda name: math.inf if (value := lpips[name]) is None else value):
        spread = interval(lambda chosen, name=name: read(name, "lpips", chosen), len(result["pictures"]))
        cells = [name, show(lpips[name], 3) + ("" if spread is None else f" ({spread[0]:.3f} to {spread[1]:.3f})")]
        cells += [show(read(name, metric), digits) for metric, digits in DIGITS.items()]
        lines.append(f"| {' | '.join(cells)} | {_bytes_for_the_same(result, name, anchor)} |")
    return "\n".join(lines)


def _bytes_for_the_same(result: dict, name: str, anchor: str) -> str:
    anchors, own = curve(result, anchor, "lpips"), curve(result, name, "lpips")
    if name == anchor or anchors is None or own is None:
        return "–"
    percent, overlap = bd_rate(anchors, own, "lpips")
    if percent is None:
        return "–" if overlap else "no common quality"
    return f"{percent:+.0f} % (overlap {overlap:.0%})"


def section(result: dict, name: str) -> str:
    """What stands between the README's two marks: the table, the figure, and what was left out."""
    missing = "; ".join(f"{what} ({reason})" for what, reason in result["missing"].items())
    return f"""{table(result)}

![Rate against LPIPS and PSNR](data/results/{name}.png)

{len(result["pictures"])} pictures; LPIPS, KID: lower is better. Between measured points on a logarithmic rate axis.
The overlap is the share of the qualities that both codecs reach. Left out here: {missing or "nothing"}."""


def renew(result: dict, name: str, path: Path = FOLDER.parent.parent / "README.md") -> None:
    """Put ``section`` between the marks of the README. Raises FileError where it has none."""
    before, mark, rest = files.read(path).decode().partition(START)
    _, end, after = rest.partition(END)
    if not (mark and end):
        raise FileError(f"{path} has no lines {START} and {END} around its results")
    files.write(path, f"{before}{START}\n{section(result, name)}\n{END}{after}".encode())
