"""``plic eval``: figures of a model over a folder of pictures."""

import argparse

from plic_lib import datasets, files, metrics
from plic_lib.commands import options as common
from plic_lib.commands.table import table
from plic_lib.study import evaluation, record
from plic_lib.study.pictures import look_at

COLUMNS = {
    "picture": "",
    "level": ".3f",
    "bytes": "d",
    "bpp": ".4f",
    "estimate": ".4f",
    "PSNR": ".2f",
    "MS-SSIM": ".4f",
    "LPIPS": ".4f",
}
FIGURES = ("level", "bytes", "bpp", "estimated_bpp", "psnr", "ms_ssim", "lpips")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The pictures, the levels, the model."""
    parser.add_argument("folder", metavar="DIR")
    rate = parser.add_mutually_exclusive_group()
    rate.add_argument("--rates", type=common.levels, default=[0.0, 1.0, 2.0], help="levels, separated by commas (default: 0,1,2)")
    rate.add_argument("--bpp", type=common.number, metavar="B", help="the one level that gives B bits per pixel over the whole folder")
    common.add_json(parser, "the figures of each picture and the totals")
    common.add_model(parser)


def run(options: argparse.Namespace) -> None:
    """Measure, print the figures of each picture and the totals."""
    common.check_outputs(options, [options.json], *datasets.find(options.folder))
    pictures, model = look_at(options.folder), common.load(options)
    levels = options.rates if options.bpp is None else [evaluation.level_for_bpp(model, pictures, options.bpp)]

    def keep(rows: list[dict]) -> None:
        if options.json:
            about = {"command": options.command, **record.provenance(model), "sha256": pictures.content}
            about["not_measured"] = len(levels) * len(pictures.paths) - len(rows)
            rows = sum(_by_level(rows, levels), [])
            files.write_json(options.json, about | {"totals": _totals(rows, levels), "pictures": rows})

    rows = record.collected(evaluation.evaluate(model, pictures, levels), keep)
    rows, totals = sum(_by_level(rows, levels), []), _totals(rows, levels)
    tell = common.teller(options.json)
    shown = rows + [{"picture": f"all {total['pictures']}", **total} for total in totals]
    tell(table(COLUMNS, [(row["picture"], *(row[name] for name in FIGURES)) for row in shown]))
    for total in totals:
        ms_ssim = "-" if total["ms_ssim_pooled"] is None else f"{total['ms_ssim_pooled']:.5f}"
        tell(
            f"level {total['level']:.3f}: the files cost {total['overhead']:+.2%} over the float estimate, "
            f"{total['overhead_without_40_bytes_each']:+.2%} when 40 bytes a picture are set aside; "
            f"over all pixels PSNR {total['psnr_pooled']:.3f} dB and MS-SSIM {ms_ssim} (CLIC's script)"
        )
    if fault := metrics.weights_fault("alex"):
        tell(f"LPIPS left out: the file of its weights {fault}; see `plic doctor`")


def _by_level(rows: list[dict], levels: list[float]) -> list[list[dict]]:
    return [[row for row in rows if row["level"] == level] for level in levels]


def _totals(rows: list[dict], levels: list[float]) -> list[dict]:
    return [evaluation.summary(found) for found in _by_level(rows, levels) if found]
