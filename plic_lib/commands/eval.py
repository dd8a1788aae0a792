"""``plic eval``: figures of a model over a folder of pictures."""

import argparse

from plic_lib import datasets, files
from plic_lib.commands import options as common
from plic_lib.commands.table import table
from plic_lib.study import evaluation

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
    paths = datasets.find(options.folder)
    common.check_outputs(options, [options.json], *paths)
    tell = common.teller(options.json)
    model = common.load(options)
    levels = options.rates if options.bpp is None else [evaluation.level_for_bpp(model, options.folder, options.bpp)]
    rows = evaluation.evaluate_folder(model, options.folder, levels)
    totals = [evaluation.summary([row for row in rows if row["level"] == level]) for level in levels]
    shown = rows + [{"picture": f"all {total['pictures']}", **total} for total in totals]
    tell(table(COLUMNS, [(row["picture"], *(row[name] for name in FIGURES)) for row in shown]))
    for total in totals:
        tell(
            f"level {total['level']:.3f}: the files cost {total['overhead']:+.2%} over the float estimate, "
            f"{total['overhead_without_40_bytes_each']:+.2%} when 40 bytes a picture are set aside; "
            f"over all pixels PSNR {total['psnr_pooled']:.3f} dB and MS-SSIM {total['ms_ssim_pooled']:.5f} (CLIC's script)"
        )
    if totals[0]["lpips"] is None:
        tell("LPIPS left out: its weights are not here; see `plic doctor`")
    if options.json:
        about = {"command": options.command, **evaluation.provenance(model)}
        files.write_json(options.json, {**about, "totals": totals, "pictures": rows})
