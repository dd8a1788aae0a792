"""``plic eval-roi``: what a region costs and gains."""

import argparse

from plic_lib import datasets, files
from plic_lib.commands import options as common
from plic_lib.commands.table import table
from plic_lib.study import record, regions
from plic_lib.study.pictures import look_at

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
    common.check_outputs(options, [options.json], *datasets.find(options.folder))
    pictures, model = look_at(options.folder), common.load(options)
    region, background = options.roi_rate, options.background_rate

    def keep(rows: list[dict]) -> None:
        if options.json:
            about = {"command": options.command, **record.provenance(model), "sha256": pictures.content}
            about |= {"region": region, "background": background, "rule": "central third in both directions"}
            about["not_measured"] = len(pictures.paths) - len(rows)
            files.write_json(options.json, about | {"totals": regions.summary(rows), "pictures": rows})

    total = regions.summary(record.collected(regions.evaluate(model, pictures, region, background), keep))
    names = {
        "region": f"region {region:g}, rest {background:g}",
        "uniform_background": f"{background:g} everywhere",
        "uniform_region": f"{region:g} everywhere",
        "uniform_equal": "uniform, equal bytes",
    }
    whole = total["files"]["region"]["bytes"]
    kinds = [(text, total["files"][name]) for name, text in names.items()]
    shown = [(text, kind["bytes"], kind["bytes"] / whole - 1, *(kind[metric] for metric in regions.METRICS)) for text, kind in kinds]
    tell = common.teller(options.json)
    tell(f"{total['pictures']} pictures, {total['map_bytes']} bytes of maps in all")
    tell(table(COLUMNS, shown))
