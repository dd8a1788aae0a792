"""``plic ablate``: what each change is worth."""

import argparse

from plic_lib import files
from plic_lib.commands import options as common
from plic_lib.commands.table import table
from plic_lib.study import ablation

METRICS = ("lpips_squeeze", "lpips", "psnr")  #: of the comparison


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The pictures, the folders, which runs."""
    parser.add_argument("--data", nargs="+", required=True, metavar="DIR", help="folders of training pictures")
    parser.add_argument("--eval", required=True, metavar="DIR", help="pictures to measure the files of")
    parser.add_argument("--work", required=True, metavar="DIR", help="folder for the training states")
    parser.add_argument("--results", required=True, metavar="DIR", help="folder for one JSON file a run")
    parser.add_argument("--runs", nargs="+", default=list(ablation.RUNS), metavar="NAME", help="some of the runs (default: all)")
    parser.add_argument("--seeds", nargs="+", type=common.at_least(0), default=ablation.SEEDS, metavar="N", help="seeds (default: 0 1)")
    parser.add_argument(
        "--steps",
        type=common.at_least(1),
        default=ablation.STEPS,
        help="steps of the base, whose CPU-seconds every run is given (default: %(default)s)",
    )
    parser.add_argument("--list", action="store_true", help="only say what is done, how long the rest takes, and what was found")


def run(options: argparse.Namespace) -> None:
    """Train and measure what is not there yet, print the comparison."""
    common.known(options.runs, ablation.RUNS, "run")
    if not options.list:
        for folder in (options.work, options.results):
            files.check_folder(folder)
        ablation.run_all(options.runs, options.seeds, options.data, options.eval, options.work, options.results, options.steps)
    found = ablation.load(options.results)
    print(_left(ablation.progress(options.runs, options.seeds, options.data, options.work, options.results), found))
    if rows := _comparison(found):
        columns = {"bytes against base at equal": "", "seed": "d", "steps": "d", "CPU-seconds": ".0f", **dict.fromkeys(METRICS, "")}
        print(table(columns, rows))


def _left(done: dict[str, float], found: dict[str, list[dict]]) -> str:
    """What is left, and how long it will take at the pace of the runs that are done."""
    begun = [f"{name} ({share:.0%})" for name, share in done.items() if 0 < share < 1]
    text = f"{sum(share == 1 for share in done.values())} of {len(done)} runs are done" + (f", begun: {', '.join(begun)}" if begun else "")
    took = [run["cpu_seconds"] + run.get("evaluation_cpu_seconds", 0) for runs in found.values() for run in runs if "cpu_seconds" in run]
    left = sum(1 - share for share in done.values())
    if left and took:
        text += f"; the rest takes about {left * sum(took) / len(took) / 3600:.1f} CPU-hours"
    return text


def _comparison(found: dict[str, list[dict]]) -> list[tuple]:
    """Bytes against the base at equal quality, a row for each run and seed; the base's own row is one seed against another."""
    worth = {metric: ablation.worth(found, metric) for metric in METRICS}
    about = {(run["run"], run["seed"]): run for runs in found.values() for run in runs}
    rows = []
    for name, seeds in worth["psnr"].items():
        for seed in seeds:
            run = about.get((name, seed), {})  # not of the fixed models, which are three
            bytes_ = (_bytes(*worth[metric][name][seed]) for metric in METRICS)
            rows.append((name, seed, run.get("about", {}).get("step"), run.get("cpu_seconds"), *bytes_))
    return rows


def _bytes(percent: float | None, overlap: float) -> str | None:
    return None if percent is None else f"{percent:+.1f} % (overlap {overlap:.0%})"
