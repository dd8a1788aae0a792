"""``plic enhance``: a classic codec and a network after it, against the end-to-end codec."""

import argparse
from pathlib import Path

from plic_lib import checkpoint, datasets, files, images
from plic_lib.commands import options as common
from plic_lib.commands.table import table
from plic_lib.study import ablation, enhance, record, rivals
from plic_lib.study.pictures import look_at
from plic_lib.training import states

#: what the bytes of the classic file are, by its name in the JSON
KINDS = {"levels": "at equal bytes, the container counted", "levels_without_container": "at equal bytes, the container not counted"}
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
        default=ablation.STEPS,
        help="steps of the network (default: %(default)s, as the base of ablate)",
    )
    parser.add_argument("--seed", type=common.at_least(0), default=0, help="of crops and weights (default: %(default)s)")
    common.add_json(parser, "all figures, and a sheet of pieces at level 1 beside it as PNG,")


def run(options: argparse.Namespace) -> None:
    """Train or go on, measure both ways, print the figures."""
    common.known([options.codec], rivals.CODECS, "codec")
    sheet = options.json and Path(options.json).with_suffix(".png")
    common.check_outputs(options, [options.json, sheet], *datasets.find(options.eval))
    files.check_folder(options.out)
    pictures = look_at(options.eval)
    classic = rivals.CODECS[options.codec]
    is_state = states.is_state(options.model)
    model = states.freeze_state(options.model, Path(options.model).resolve().parent.name) if is_state else checkpoint.load(options.model)
    recipe = ablation.recipe("base", options.seed, options.steps)
    network = enhance.train(recipe, classic, enhance.qualities(classic), options.data, options.out)
    levels = [float(level) for level in range(model.levels)]
    found = {kind: enhance.compare(model, network, classic, pictures, levels, kind == "levels") for kind in KINDS}
    for kind, text in KINDS.items():
        shown = [(row["level"], name, *(figures.get(f) for f in FIGURES)) for row in found[kind] for name, figures in row["files"].items()]
        print(f"{text}\n" + table({"level": "g", "codec": "", **dict.fromkeys(FIGURES, ".4f")}, shown))
    if options.json:
        files.write(sheet, images.to_bytes(enhance.sheet(model, network, classic, 1.0))[0])
        about = {"command": options.command, **record.provenance(model), "classic": classic.name, "settings": classic.settings()}
        about |= {"steps": recipe.steps, "seed": recipe.seed, "evaluated_on": pictures.folder.name, "sha256": pictures.content}
        files.write_json(options.json, about | found)
