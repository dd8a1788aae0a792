"""``plic eval-roi``: what a region costs and gains."""

import argparse

from tqdm.auto import tqdm

from plic_lib import datasets, files
from plic_lib.commands import options as common
from plic_lib.commands.table import table
from plic_lib.study import evaluation

COLUMNS = {"": "", "bytes": "d", "relative": "+.1%", "PSNR in": ".2f", "PSNR out": ".2f", "LPIPS in": ".4f", "LPIPS out": ".4f"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The pictures, the two levels, the model."""
    parser.add_argument("folder", metavar="DIR")
    parser.add_argument("--roi-rate", type=float, default=1.5, metavar="R", help="level of the central third (default: %(default)s)")
    parser.add_argument("--background-rate", type=float, default=0.5, metavar="R", help="level of the rest (default: %(default)s)")
    common.add_json(parser, "the figures of each picture and the totals")
    common.add_model(parser)


def run(options: argparse.Namespace) -> None:
    """Measure, print the totals of the four kinds of files."""
    paths = datasets.find(options.folder)
    common.check_outputs(options, [options.json], *paths)
    model = common.load(options)
    region, background = options.roi_rate, options.background_rate
    rows = [evaluation.evaluate_region(model, path, region, background) for path in tqdm(paths, desc="pictures")]
    total = evaluation.region_summary(rows)
    names = {
        "region": f"region {region:g}, rest {background:g}",
        "uniform_background": f"{background:g} everywhere",
        "uniform_region": f"{region:g} everywhere",
        "uniform_equal": "uniform, equal bytes",
    }
    whole = total["files"]["region"]["bytes"]
    figures = ("psnr_inside", "psnr_outside", "lpips_inside", "lpips_outside")
    shown = [(text, files_["bytes"], files_["bytes"] / whole - 1, *(files_[f] for f in figures)) for text, files_ in _named(names, total)]
    tell = common.teller(options.json)
    tell(f"{total['pictures']} pictures, {total['map_bytes']} bytes of maps in all")
    tell(table(COLUMNS, shown))
    if options.json:
        about = {"command": options.command, **evaluation.provenance(model), "region": region, "background": background}
        about |= {"rule": "central third in both directions"}
        files.write_json(options.json, {**about, "totals": total, "pictures": rows})


def _named(names: dict[str, str], total: dict) -> list[tuple[str, dict]]:
    return [(text, total["files"][name]) for name, text in names.items()]
