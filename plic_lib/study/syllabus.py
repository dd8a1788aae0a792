"""What the notebooks say of themselves in their first cells: goals, minutes, what each needs; as tables and as a drawing."""

import functools
import json
import re
from pathlib import Path
from typing import NamedTuple

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
#: the notebooks, the moment that each is for, and its column in the drawing
COURSE = {
    "00_tour": ("a file of a few kilobytes, and I can see why", 1),
    "01_rate_and_distortion": ("two pictures with equal PSNR, one is awful", 1),
    "02_gdn_autoencoder": ("GDN makes filter responses look Gaussian", 1),
    "03_entropy_bottleneck": ("estimated bits = bytes on disk", 0),
    "04_hyperprior": ("the scale map looks like the picture", 0),
    "05_context_and_gather": ("one unit in the last place destroys a picture; integers heal it", 0),
    "06_asymmetric_gaussian": ("are bits saved? measured, with a surprise", 0),
    "07_gain_units": ("one model, any rate", 2),
    "08_perceptual_loss": ("perception against distortion", 3),
    "09_discriminator": ("a patch map of what looks fake", 2),
    "10_low_rate": ("three cures, one ablation table", 3),
    "11_region_of_interest": ("at equal bytes: the face gains, the rest pays", 1),
    "12_gpu_training": ("the same code from laptop to cluster", 2),
    "13_results": ("what is true, what is not yet", 4),
    "14_mindspore": ("a file written by PyTorch opens in MindSpore, bit for bit", 1),
}


class Header(NamedTuple):
    """Of a notebook's first cell."""

    goals: str
    minutes: int  #: to read
    needs: tuple[str, ...]  #: numbers of notebooks, such as "04"


@functools.cache
def header(name: str) -> Header:
    """Of one of ``COURSE``."""
    text = "".join(json.loads((NOTEBOOKS / f"{name}.ipynb").read_text())["cells"][0]["source"])
    goals, minutes = (re.findall(pattern, text)[0] for pattern in (r"\*\*You will be able to\*\*\s*(.+)", r"\*\*Time\*\*\D*(\d+)"))
    return Header(goals.strip(), int(minutes), tuple(dict.fromkeys(_numbers(text.partition("**Needs**")[2].partition("**Time**")[0]))))


def _numbers(needs: str) -> list[str]:
    """Of "notebooks 01 (Δ²/12) and 04 to 06; 09 where …": 01, 04, 05, 06."""
    found = re.findall(r"\b([01]\d)\b(?: to \b([01]\d)\b)?", re.sub(r"\(.*?\)", "", needs).partition(";")[0])
    return [f"{n:02d}" for first, last in found for n in range(int(first), int(last or first) + 1)]


WIDTH, HEIGHT, ACROSS, DOWN = 150, 44, 172, 78  #: of a box of the drawing, and from one to the next
STYLE = """svg { background: #fff } rect { fill: #eaf2f8; stroke: #0072b2; stroke-width: 1.5 }
path { fill: none; stroke: #555; stroke-width: 1.4 }
.tip { fill: #555 } text { font: 12.5px sans-serif; text-anchor: middle; fill: #111 }
.number { font-weight: bold; font-size: 14px }"""


def drawing() -> str:
    """SVG: each notebook a box, an arrow to each from those that it needs, without those that follow from others."""
    needs = {name[:2]: set(header(name).needs) for name in COURSE}
    behind = lambda n: needs[n] | {far for near in needs[n] for far in behind(near)}
    arrows = [(near, n) for n in needs for near in sorted(needs[n]) if not any(near in behind(other) for other in needs[n] - {near})]
    depth = lambda n: 1 + max((depth(near) for near in needs[n]), default=-1)
    place = {name[:2]: (column * ACROSS + 11, depth(name[:2]) * DOWN + 8) for name, (_, column) in COURSE.items()}
    width, height = (max(numbers) + step - 8 for numbers, step in zip(zip(*place.values()), (ACROSS, DOWN)))
    words = "; ".join(f"{n} needs {' and '.join(near for near, m in arrows if m == n) or 'nothing'}" for n in needs)
    parts = [_arrow(place[near], place[n]) for near, n in arrows]
    parts += [_box(name[:2], name[3:].replace("_", " "), *place[name[:2]]) for name in COURSE]
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img" aria-labelledby="t d">
<title id="t">Which notebook needs which</title>
<desc id="d">{words}.</desc>
<style>{STYLE}</style>
<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0L8 4L0 8z" class="tip"/></marker></defs>
{chr(10).join(parts)}
</svg>
"""


def _box(number: str, title: str, x: float, y: float) -> str:
    middle = x + WIDTH / 2
    return f"""<g><rect x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="8"/>
<text x="{middle:g}" y="{y + 18:g}" class="number">{number}</text><text x="{middle:g}" y="{y + 35:g}">{title}</text></g>"""


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    """From the foot of a box to the head of another, upright at both ends."""
    x0, y0, x1, y1 = start[0] + WIDTH / 2, start[1] + HEIGHT, end[0] + WIDTH / 2, end[1] - 2
    bend = (y1 - y0) / 2
    return f'<path d="M{x0:g} {y0:g}C{x0:g} {y0 + bend:g} {x1:g} {y1 - bend:g} {x1:g} {y1:g}" marker-end="url(#a)"/>'
