"""``plic ablate``: the models that differ in one thing each."""

import argparse

from plic_lib import files
from plic_lib.commands import options as common
from plic_lib.study import ablation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The pictures, the folders, which runs."""
    parser.add_argument("--data", nargs="+", required=True, metavar="DIR", help="folders of training pictures")
    parser.add_argument("--eval", required=True, metavar="DIR", help="pictures to measure the files of")
    parser.add_argument("--work", required=True, metavar="DIR", help="folder for the training states")
    parser.add_argument("--results", required=True, metavar="DIR", help="folder for one JSON file a run")
    parser.add_argument("--runs", nargs="+", default=list(ablation.RUNS), metavar="NAME", help="some of the runs (default: all)")
    parser.add_argument("--seeds", nargs="+", type=common.at_least(0), default=ablation.SEEDS, metavar="N", help="seeds (default: 0 1)")
    parser.add_argument("--steps", type=common.at_least(1), default=ablation.RUN_STEPS, help="steps of each run (default: %(default)s)")


def run(options: argparse.Namespace) -> None:
    """Train and measure what is not there yet."""
    common.known(options.runs, ablation.RUNS, "run")
    for folder in (options.work, options.results):
        files.check_folder(folder)
    ablation.run_all(options.runs, options.seeds, options.data, options.eval, options.work, options.results, options.steps)
    print(f"{options.results}: {len(options.runs)} runs, seeds {', '.join(map(str, options.seeds))}")
