"""``plic enhance``: a classic codec and a network after it, against the end-to-end codec."""

import argparse
from pathlib import Path

from plic_lib import checkpoint, datasets, files, images
from plic_lib.commands import options as common
from plic_lib.commands.table import table
from plic_lib.study import ablation, enhance, evaluation, rivals
from plic_lib.training import states

FIGURES = ("bpp", "psnr", "ms_ssim", "lpips", "lpips_squeeze", "kid_alexnet")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The pictures, both codecs, the training."""
    parser.add_argument("--data", nargs="+", required=True, metavar="DIR", help="folders of training pictures")
    parser.add_argument("--eval", required=True, metavar="DIR", help="pictures to measure")
    parser.add_argument("--model", required=True, metavar="MODEL", help="the end-to-end codec: a checkpoint or a run's state.pt")
    parser.add_argument("--codec", default="HEVC", help="the classic codec (default: %(default)s)")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the training state")
    parser.add_argument(
        "--steps",
        type=common.at_least(1),
        default=ablation.RUN_STEPS,
        help="steps of the network (default: %(default)s, as the runs of ablate)",
    )
    parser.add_argument("--seed", type=common.at_least(0), default=0, help="of crops and weights (default: %(default)s)")
    common.add_json(parser, "all figures, and a sheet of pieces at level 1 beside it as PNG,")


def run(options: argparse.Namespace) -> None:
    """Train or go on, measure both ways, print the figures."""
    common.known([options.codec], rivals.CODECS, "codec")
    paths = datasets.find(options.eval)
    sheet = options.json and Path(options.json).with_suffix(".png")
    common.check_outputs(options, [options.json, sheet], *paths)
    classic = rivals.CODECS[options.codec]
    is_state = options.model.endswith(".pt")
    model = states.freeze_state(options.model, Path(options.model).parent.name) if is_state else checkpoint.load(options.model)
    recipe = ablation.recipe("variable", options.seed, options.steps)
    network = enhance.train(recipe, classic, enhance.qualities(classic), options.data, options.out)
    rows = enhance.compare(model, network, classic, options.eval, [float(level) for level in range(model.levels)])
    shown = [(row["level"], name, *(figures.get(f) for f in FIGURES)) for row in rows for name, figures in row["files"].items()]
    print(table({"level": "g", "codec": "", **dict.fromkeys(FIGURES, ".4f")}, shown))
    if options.json:
        files.write(sheet, images.to_bytes(enhance.sheet(model, network, classic, 1.0)))
        about = {"command": options.command, **evaluation.provenance(model), "classic": classic.name}
        about |= {"steps": recipe.steps, "seed": recipe.seed, "evaluated_on": Path(options.eval).name}
        files.write_json(options.json, {**about, "levels": rows})
