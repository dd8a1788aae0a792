"""What pages say in figures, from the records in ``data/results``: ``python -m plic_lib.study.pages`` renews all pages.

In a page such a piece stands between ``<!-- NAME: written by `make pages` -->`` and ``<!-- end of NAME -->``, with NAME one of ``PIECES``.
"""

import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from plic_lib import files
from plic_lib.errors import FileError
from plic_lib.study import compare, syllabus
from plic_lib.study.compare import FOLDER, at, bd_rate, curve, interval

ROOT = FOLDER.parent.parent
RATE, ANCHOR = 0.15, "HEVC"  #: bits per pixel at which codecs are compared, and the one that they are compared with
DIGITS = {"lpips_squeeze": 3, "kid_alexnet": 3, "psnr": 2, "ms_ssim": 4}  #: of the metrics in the table of results
PIECE = re.compile(r"(<!-- (?P<name>[\w-]+): written by `make pages` -->\n)(?P<text>.*?)(?=<!-- end of (?P=name) -->)", re.S)


def table(heads: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *rows))


def show(value: float | None, digits: int) -> str:
    """A figure; a dash for what has no value."""
    return "–" if value is None else f"{value:,.{digits}f}"


def results(result: dict | None = None) -> str:
    """Every codec at one rate, best LPIPS first, its bytes for the same LPIPS beside the anchor's, and what was left out."""
    result = compare.load("kodak") if result is None else result
    heads = [f"codec at {RATE:g} bpp", "LPIPS (95 % of bootstrap draws)", "LPIPS-squeeze", "KID-AlexNet", "PSNR (dB)", "MS-SSIM"]
    read = lambda name, metric, chosen=None: at(curve(result, name, metric, chosen), RATE)
    lpips = {name: read(name, "lpips") for name in result["codecs"]}
    rows = []
    for name in sorted(lpips, key=lambda name: math.inf if (value := lpips[name]) is None else value):
        spread = interval(lambda chosen, name=name: read(name, "lpips", chosen), len(result["pictures"]))
        cells = [name, show(lpips[name], 3) + ("" if spread is None else f" ({spread[0]:.3f} to {spread[1]:.3f})")]
        cells += [show(read(name, metric), digits) for metric, digits in DIGITS.items()]
        rows.append([*cells, _bytes_for_the_same(result, name)])
    missing = "; ".join(f"{what} ({reason})" for what, reason in result["missing"].items())
    return f"""{table([*heads, f"bytes for the same LPIPS, against {ANCHOR}"], rows)}

{len(result["pictures"])} pictures; LPIPS, KID: lower is better. Values lie between measured points, on a logarithmic rate axis.
The overlap is the share of the qualities that both codecs reach. Left out here: {missing or "nothing"}."""


def _bytes_for_the_same(result: dict, name: str) -> str:
    anchors, own = curve(result, ANCHOR, "lpips"), curve(result, name, "lpips")
    if name == ANCHOR or anchors is None or own is None:
        return "–"
    percent, overlap = bd_rate(anchors, own, "lpips")
    if percent is None:
        return "–" if overlap else "no common quality"
    return f"{percent:+.0f} % (overlap {overlap:.0%})"


def verdict() -> str:
    """Four rows: perception, fidelity, speed, and repair after a classic codec; who is ahead follows from the figures."""
    result, rows = compare.load("kodak"), []
    for metric, name, digits in (("lpips", "LPIPS, lower is better", 3), ("psnr", "PSNR in dB, higher is better", 1)):
        lower = metric in compare.LOWER_IS_BETTER
        rivals = {rival: at(curve(result, rival, metric), RATE) for rival, found in result["codecs"].items() if not found["hash"]}
        rivals |= {f"{rival}¹": at(compare.published(rival, metric), RATE) for rival in ("MS-ILLM",)}
        own = at(curve(result, "mini", metric), RATE)
        rows.append([f"{name}, at {RATE:g} bpp", show(own, digits), *_sides(own, rivals, lower, digits)])
    seconds = {name: row["decode_seconds"] for (name, megapixels), row in _timed().items() if megapixels == 1}
    chosen = {name: seconds[name] for name in ("JPEG", "HEVC", "mbt2018-mean", "mbt2018")}
    paper = next(row["decode"] for row in compare.load("bench_paper")["growth"] if row["side"] == 1024)  # per megapixel
    own_seconds = f"{show(seconds['plic'], 2)} ({show(paper, 1)} at the paper's width)"
    rows.append(["seconds to decode a megapixel, one core", own_seconds, *_sides(seconds["plic"], chosen, True, 2)])
    repair = compare.load("enhance_kodak")["levels_without_container"][1]["files"]
    own, other = repair["end_to_end"], repair["repaired"]
    sides = _sides(own["lpips"], {"HEVC repaired by a network": other["lpips"]}, True, 3)
    rows.append([f"LPIPS at {own['bpp']:.2f} bpp, equal bytes and equal short trainings²", show(own["lpips"], 3), *sides])
    return table(["", "`mini`", "ahead of", "behind"], rows)


def _timed() -> dict[tuple[str, int], dict]:
    """Rows of ``plic bench --codecs`` by codec and whole megapixels, without those that were not timed."""
    rows = compare.load("bench_codecs")["rows"]
    return {(row["codec"], round(row["megapixels"])): row for row in rows if "decode_seconds" in row}


def _sides(own: float | None, others: dict[str, float | None], lower: bool, digits: int) -> list[str]:
    """Those that are worse, and those that are not, each with its figure, the best first; with "level" where no digit tells them apart."""
    known = sorted((value if lower else -value, name) for name, value in others.items() if value is not None)
    if own is None:
        return ["–", "–"]
    line = own if lower else -own
    sides = [[item for item in known if item[0] > line], [item for item in known if item[0] <= line]]
    level = lambda value: "level: " if show(abs(value), digits) == show(own, digits) else ""
    return [", ".join(f"{level(value)}{name} {show(abs(value), digits)}" for value, name in side) or "–" for side in sides]


def cover() -> str:
    """Under the README's first picture: what was spent and what was lost."""
    record = compare.load("cover")
    hevc, own = record["codecs"]["HEVC"], record["codecs"]["plic"]
    height, width = record["pixels"]
    losses = ", ".join(
        f"{name} {show(found['psnr'], 1)} dB and LPIPS {show(found['lpips'], 3)}" for name, found in (("HEVC", hevc), ("plic", own))
    )
    return f"""![The same piece of a photograph of a cat three times: original, HEVC and plic, at equal bytes](data/results/cover.jpg)

*{record["photograph"].capitalize()}, {width} × {height}, decoded from {hevc["bytes"]:,} bytes (HEVC, without its container)
and {own["bytes"]:,} (plic). Of the whole photograph: {losses}. LPIPS is a learned distance: lower is better.*"""


def levels() -> str:
    """The shipped model's trained levels over the Kodak photographs, beside VVC."""
    points = sorted((point["bpp"], point["lpips_alex"]) for point in compare.load("vvc_kodak")["points"])
    vvc = (np.array([bpp for bpp, _ in points]), np.array([lpips for _, lpips in points]))
    heads = ["level", "bpp of the files", "estimated bpp", "PSNR (dB)", "MS-SSIM", "LPIPS", "VVC's LPIPS at that rate"]
    rows, gaps = [], []
    for row in compare.load("mini_kodak")["totals"]:
        rival = at(vvc, row["mean_bpp"])
        figures = [show(row[key], digits) for key, digits in (("bpp", 4), ("estimated_bpp", 4), ("psnr", 2), ("ms_ssim", 4), ("lpips", 4))]
        rows.append([f"{row['level']:g}", *figures, show(rival, 4)])
        gaps.append(f"level {row['level']:g}: {row['overhead_without_40_bytes_each']:+.2%}".replace("%", " %"))
    return f"""{table(heads, rows)}

Against the float networks' own estimate the files cost, with 40 bytes a picture set aside, {"; ".join(gaps)}."""


def regions() -> str:
    """What a region costs and gains over the Kodak photographs."""
    record = compare.load("roi_kodak")
    found, inside, outside = record["totals"]["files"], record["region"], record["background"]
    names = {
        "region": f"{inside:g} in the region, {outside:g} outside",
        "uniform_background": f"{outside:g} everywhere",
        "uniform_region": f"{inside:g} everywhere",
        "uniform_equal": "uniform, equal bytes",
    }
    columns = (("psnr_inside", 2), ("psnr_outside", 2), ("lpips_inside", 4), ("lpips_outside", 4))
    heads = ["files", "bytes", "PSNR inside (dB)", "outside", "LPIPS inside", "outside"]
    rows = [[name, f"{found[key]['bytes']:,}", *(show(found[key][c], digits) for c, digits in columns)] for key, name in names.items()]
    more = found["region"]["bytes"] / found["uniform_background"]["bytes"] - 1
    less = 1 - found["region"]["bytes"] / found["uniform_region"]["bytes"]
    return f"""{table(heads, rows)}

The region costs {100 * more:.1f} % more bytes than {outside:g} everywhere; lowering the rest saves {100 * less:.1f} %
against {inside:g} everywhere."""


def benchmarks() -> str:
    """Seconds beside CompressAI's serial context model, by size, beside other codecs, and in training."""
    rows, growth = [], []
    for name, title in (("mini", "mini (N = 64, M = 96)"), ("paper", "untrained (N = 192, M = 192)")):
        record = compare.load(f"bench_{name}")
        seconds, ratios = record["compressai"]["seconds"], record["compressai"]["ratios"]
        for key, what in (("latents", "latents from the stream"), ("decode", "whole decoding"), ("encode", "whole encoding")):
            rows.append([title, what, show(seconds[key], 3), show(seconds[f"compressai_{key}"], 2), show(ratios[key], 1)])
        growth = growth or [[f"{g['side']} × {g['side']}", show(g["encode"], 2), show(g["decode"], 2)] for g in record["growth"]]
    whole = compare.load("bench_mini")["compressai"]["seconds"]
    timed, columns = _timed(), (("encode_seconds", 2), ("decode_seconds", 2), ("megabytes_above_idle", 0))
    cells = lambda name, size: [show(timed.get((name, size), {}).get(column), digits) for column, digits in columns]
    beside = [[name, *cells(name, 1), *cells(name, 12)] for name in dict.fromkeys(name for name, _ in timed)]
    training = compare.load("bench_training")
    samples = training["samples_per_second"]
    parts = {(row["where"], row["type"]): row for row in compare.load("bench_against")["rows"]}
    here, fast = parts["here", "float32"], parts["here", "bfloat16"]
    return f"""{table(["model", "what", "plic (s)", "CompressAI (s)", "ratio"], rows)}

{table(["picture", "encode (s per megapixel)", "decode (s per megapixel)"], growth)}

{table(["codec", "1 MP: encode (s)", "decode (s)", "memory (MB)", "12 MP: encode (s)", "decode (s)", "memory (MB)"], beside)}

Of the whole decoding with `mini`, {whole["latents"] / whole["decode"]:.0%} is getting the latents from the stream, the rest the generator.
With `--fast`, where the processor multiplies bfloat16, encoding takes {fast["encode_ratio"]:.2f} times as long and decoding
{fast["decode_ratio"]:.2f} times ([parts](../data/results/bench_against.json)); it costs {here["psnr"] - fast["psnr"]:.3f} dB.
Training, samples of {training["crop"]} × {training["crop"]} a second: {samples["plic"]:.1f} with rate, L1 and LPIPS,
{samples["plic_without_perception"]:.1f} with L1 alone;
CompressAI's loop {samples["compressai_perceptual"]:.1f} and {samples["compressai"]:.1f}. SOAP in place of Adam adds
{training["soap_overhead"]:.0%} to a step."""


def course() -> str:
    """The notebooks, minutes to read, and which others each needs."""
    rows, total = [], 0
    for name, (moment, _) in syllabus.COURSE.items():
        _, minutes, needs = syllabus.header(name)
        rows.append([f"[{name}](notebooks/{name}.ipynb)", moment, str(minutes), ", ".join(needs) or "–"])
        total += minutes
    rows.append(["", "all", f"{total} ({total / 60:.0f} hours)", ""])
    return table(["notebook", "the moment it is for", "minutes to read", "needs"], rows)


def goals() -> str:
    """What a learner can do after each notebook."""
    heads = ["notebook", "afterwards you can …"]
    return table(heads, [[f"[{name[:2]}](../notebooks/{name}.ipynb)", syllabus.header(name).goals] for name in syllabus.COURSE])


PIECES: dict[str, Callable[[], str]] = {
    "cover": cover,
    "verdict": verdict,
    "course": course,
    "goals": goals,
    "results": results,
    "levels": levels,
    "regions": regions,
    "benchmarks": benchmarks,
}


def renewed(page: str) -> str:
    """A page with its pieces written anew. Raises FileError for a piece that there is not, or one that does not end."""
    found = [match["name"] for match in PIECE.finditer(page)]
    begun = re.findall(r"<!-- ([\w-]+): written by", page)
    if unknown := [name for name in begun if name not in PIECES or name not in found]:
        raise FileError(f"{unknown[0]}: no such piece of a page, or no line <!-- end of {unknown[0]} -->")
    return PIECE.sub(lambda match: f"{match[1]}{PIECES[match['name']]()}\n", page)


def renew(root: Path = ROOT) -> list[Path]:
    """All pages that have such pieces; returns those that changed."""
    changed = []
    drawing = root / "docs/figures/needs.svg"
    files.write(drawing, syllabus.drawing().encode())
    for path in [root / "README.md", *sorted(root.glob("docs/*.md")), *sorted(root.glob("data/checkpoints/*.md"))]:
        before = files.read(path).decode()
        if (after := renewed(before)) != before:
            files.write(path, after.encode())
            changed.append(path)
    return changed


if __name__ == "__main__":
    for page in renew():
        print(page)
