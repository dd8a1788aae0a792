"""``plic train``: a model from pictures."""

import argparse
from pathlib import Path

from plic_lib import files
from plic_lib.commands import options as common
from plic_lib.training import states
from plic_lib.training.codec_task import CodecTask
from plic_lib.training.presets import PRESETS
from plic_lib.training.recipe import Recipe
from plic_lib.training.trainer import Trainer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The recipe, the pictures, the folder."""
    parser.add_argument("--preset", default="mini", help="recipe (default: %(default)s)")
    parser.add_argument(
        "--branch", metavar="STATE.pt", help="go on from the state of another run, with its recipe and --set, in a folder of its own"
    )
    parser.add_argument(
        "--cooldown", type=common.at_least(1), metavar="N", help="with --branch: N last steps, over which the learning rate falls to zero"
    )
    parser.add_argument(
        "--save-every", type=common.at_least(1), default=500, metavar="N", help="steps between two saved states (default: %(default)s)"
    )
    parser.add_argument(
        "--check-every", type=common.at_least(1), default=1000, metavar="N", help="steps between two looks at files (default: %(default)s)"
    )
    parser.add_argument("--data", nargs="+", required=True, metavar="DIR", help="folders of pictures, searched recursively")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for state.pt and log.jsonl")
    parser.add_argument(
        "--from",
        dest="start",
        metavar="MODEL",
        help="begin a new stage with the weights of a shipped model, a checkpoint or another run's state.pt",
    )
    parser.add_argument(
        "--workers",
        type=common.at_least(0),
        default=0,
        help="processes that load pictures; 0 loads them here. In all, up to 4 GiB of decoded ones are kept (default: %(default)s)",
    )
    parser.add_argument("--compile", action="store_true", help="compile the networks: pays on a GPU")
    parser.add_argument("--tensorboard", action="store_true", help="write the log for TensorBoard too (pip install tensorboard)")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="FIELD=JSON", help="change the recipe, as in steps=2000 'alphas=[2,0.7,0.2]'"
    )


def run(options: argparse.Namespace) -> None:
    """Train to the end of the recipe."""
    begin = None
    if options.branch and (Path(options.out) / "state.pt").exists():  # its origin may have moved on, or be gone
        recipe = Recipe.from_json(states.read(Path(options.out) / "state.pt")["recipe"])
    elif options.branch:
        begin = states.read(options.branch)
        before = Recipe.from_json(begin["recipe"])
        recipe = before.branched(begin["step"], options.cooldown, options.set)
        if recipe.alphas != before.alphas:
            begin["alphas"] = list(recipe.alphas)  # in place of those that the run had been steered to
    else:
        common.known([options.preset], PRESETS, "preset")
        recipe = PRESETS[options.preset].replaced(options.set)
    start = states.start_from(options.start) if options.start else None
    files.check_folder(options.out)
    task = CodecTask(recipe, start, options.compile)
    trainer = Trainer(task, options.data, options.out, begin, options.workers, options.tensorboard)
    trainer.run(options.save_every, options.check_every)
