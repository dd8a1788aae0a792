"""``plic bench``: seconds, beside CompressAI or other codecs."""

import argparse

from plic_lib import datasets, files
from plic_lib.commands import options as common
from plic_lib.commands.table import table
from plic_lib.course import turns
from plic_lib.errors import UsageError
from plic_lib.grid import MAX_PIXELS
from plic_lib.study.bench import busy, inputs, parts, serial, sizes, training, zoo
from plic_lib.training.presets import PRESETS

CODEC_COLUMNS = {
    "codec": "",
    "bpp": ".3f",
    "encode s": ".3f",
    "decode s": ".3f",
    "enc MP/s": ".2f",
    "dec MP/s": ".2f",
    "encode x": ".3g",
    "decode x": ".3g",
    "MB": ".0f",
    "above": ".0f",
    "": "",
}
CODEC_FIGURES = (
    "bpp",
    "encode_seconds",
    "decode_seconds",
    "encode_megapixels_per_second",
    "decode_megapixels_per_second",
    "encode_ratio",
    "decode_ratio",
    "peak_megabytes",
    "megabytes_above_idle",
    "reason",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to measure, how often, how large."""
    parser.add_argument(
        "--model", default="mini", metavar="NAME_OR_PATH", help="or 'untrained-paper' for the paper's width (default: %(default)s)"
    )
    parser.add_argument("--runs", type=common.at_least(1), default=5, help="interleaved runs (default: %(default)s)")
    other = parser.add_mutually_exclusive_group()
    other.add_argument(
        "--codecs",
        nargs="*",
        metavar="NAME",
        help="time and memory beside other codecs over picture sizes (default: all), and nothing else",
    )
    other.add_argument(
        "--against",
        nargs="*",
        metavar="FOLDER",
        help="each part of coding in float32, in bfloat16 where the processor has it, and in other checkouts of plic, and nothing else",
    )
    other.add_argument(
        "--training", metavar="PRESET", help="samples a second of a preset beside CompressAI's training loop, and nothing else"
    )
    other.add_argument("--busy", action="store_true", help="a training cell of the course beside four busy processes, and nothing else")
    other.add_argument("--widgets", action="store_true", help="a turn of the rate explorer and of the region painter, and nothing else")
    parser.add_argument("--sizes", nargs="+", type=common.number, metavar="MP", help="with --codecs: megapixels (default: 0.25 1 2 4 12)")
    parser.add_argument("--compile", action="store_true", help="with --training: compile our networks")
    common.add_json(parser, "all figures")


def run(options: argparse.Namespace) -> None:
    """One of the six measurements."""
    common.check_outputs(options, [options.json])
    if options.sizes and options.codecs is None:
        raise UsageError("--sizes belongs to --codecs: give that too")
    flags = {_busy: options.busy or None, _widgets: options.widgets or None}
    chosen = {_training: options.training, _codecs: options.codecs, _parts: options.against, **flags}
    measure = next((measure for measure, asked in chosen.items() if asked is not None), _serial)
    result = {"command": options.command, **measure(options, common.teller(options.json))}
    if options.json:
        files.write_json(options.json, result)


def _serial(options: argparse.Namespace, tell) -> dict:
    result = serial.run(options.model, options.runs)
    rival = result["compressai"]
    width, height = rival["pixels"]
    tell(f"{result['model']} (N = {rival['N']}, M = {rival['M']}), {width} x {height}, one thread, median of {rival['runs']}")
    seconds = rival["seconds"]
    rows = [(name, seconds[name], seconds[f"compressai_{name}"], ratio) for name, ratio in rival["ratios"].items()]
    rows.append(("bpp", rival["bpp"], rival["compressai_bpp"], None))
    tell(table({"seconds": "", "plic": ".3f", "CompressAI": ".3f", "ratio": ".1f"}, rows))
    tell("(CompressAI with random weights, so its bits mean nothing)\n")
    rows = [(row["side"], row["encode"], row["decode"], row["peak_megabytes"]) for row in result["growth"]]
    tell(table({"side": "d", "encode s/MP": ".3f", "decode s/MP": ".3f", "peak MB": ".0f"}, rows))
    return result


def _codecs(options: argparse.Namespace, tell) -> dict:
    common.known(options.codecs, sizes.NAMES, "codec")
    megapixels = options.sizes or sizes.SIZES
    if max(megapixels) * 1e6 > MAX_PIXELS:
        raise UsageError(f"--sizes takes megapixels up to {MAX_PIXELS / 1e6:g}")
    result = sizes.run(inputs.load(options.model), options.codecs or sizes.NAMES, megapixels, options.runs)
    tell(
        f"{result['model']}, {result['cpu']}, one {'core' if result['pinned_to_one_core'] else 'thread'}, "
        f"median of {options.runs} interleaved runs up to {sizes.REPEAT_LIMIT:g} megapixels, one run above; load at the start "
        f"{result['load_at_start']:.1f}\nMB: the whole process, and what it has above an idle one; "
        "x: times the seconds of plic; *: random weights, so the bits mean nothing"
    )
    for size in sorted({row["megapixels"] for row in result["rows"]}):
        rows = [row for row in result["rows"] if row["megapixels"] == size]
        tell(f"\n{rows[0]['pixels'][0]} x {rows[0]['pixels'][1]}, {size:.2f} MP")
        names = [row["codec"] + "*" * (row["codec"] in zoo.CODECS) for row in rows]
        tell(
            table(
                CODEC_COLUMNS, [(name, *(row.get(f) for f in CODEC_FIGURES[:-1]), row.get("reason", "")) for name, row in zip(names, rows)]
            )
        )
    if result["growth"]:
        rates = ("megapixels", "encode_seconds_per_megapixel", "decode_seconds_per_megapixel")
        ends = [[f"{row[rate][0]:.3f} to {row[rate][1]:.3f}" for rate in rates] for row in result["growth"]]
        rows = [(row["codec"], *end, row["megabytes_per_megapixel"]) for row, end in zip(result["growth"], ends)]
        tell("\n" + table({"growth": "", "megapixels": "", "encode s/MP": "", "decode s/MP": "", "MB/MP": ".0f"}, rows))
    return result


def _parts(options: argparse.Namespace, tell) -> dict:
    result = parts.run(inputs.load(options.model), options.against, runs=options.runs)
    tell(
        f"{result['model']}, {result['cpu']}, one thread, {result['pixels'][0]} x {result['pixels'][1]}, median of {options.runs} "
        "interleaved runs\nseconds of the processor a megapixel; x: times those of the first row"
    )
    figures = (*parts.PARTS, "encode", "encode_ratio", "decode", "decode_ratio", "bytes", "psnr")
    formats = {**dict.fromkeys((*parts.PARTS, "encode"), ".3f"), "encode x": ".2f", "decode": ".3f", "decode x": ".2f", "bytes": "d"}
    rows = [(row["where"], row["type"], *(row.get(figure) for figure in figures)) for row in result["rows"]]
    tell(table({"plic": "", "type": "", **formats, "dB": ".3f"}, rows))
    return result


def _training(options: argparse.Namespace, tell) -> dict:
    common.known([options.training], PRESETS, "preset")
    result = training.run(PRESETS[options.training], runs=options.runs, compiled=options.compile)
    tell(
        f"{options.training} (N = {result['N']}, M = {result['M']}), batch {result['batch']} of {result['crop']} x {result['crop']}, "
        f"{result['device']}, {result['threads']} threads, precision {result['precision']}"
    )
    samples = result["samples_per_second"]
    rows = [(name, value, value / samples["compressai"]) for name, value in samples.items()]
    tell(table({"loop": "", "samples/s": ".2f", "relative": ".2f"}, rows))
    if result["ratio_perceptual"] is not None:
        tell(f"both with Adam, rate, L1 and LPIPS: {result['ratio_perceptual']:.2f} times the samples of CompressAI's loop")
    tell(f"SOAP adds {result['soap_overhead']:.0%} to a step of Adam")
    return {"preset": options.training, **result}


def _busy(options: argparse.Namespace, tell) -> dict:
    result = busy.run()
    waiting = ", ".join(f"{name}={value}" for name, value in result["waiting"].items())
    tell(f"the training cell of {result['notebook']}, {result['cores']} cores, {result['threads']} threads, {waiting}")
    tell(f"load at the start {result['load_at_start']:.1f}; beside {result['neighbours']} busy processes:")
    for part, name in (("cell", "the cell"), ("loop", "a plain loop, for comparison")):
        alone, beside = result[part]["alone"], result[part]["beside"]
        tell(f"{name}: alone {alone['seconds']:.1f} s, beside them {beside['seconds']:.1f} s, {beside['ratio']:.2f} times its fair share")
    return result


def _widgets(options: argparse.Namespace, tell) -> dict:
    result = turns.run(inputs.load(options.model), datasets.sample("astronaut"), options.runs)
    tell(f"{result['model']}, {result['cpu']}, {result['threads']} threads, a photograph of 512 x 512, median of {options.runs} turns")
    tell(table({"turn": "", "seconds": ".2f"}, [(row["turn"], row["seconds"]) for row in result["rows"]]))
    return result
