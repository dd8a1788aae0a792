"""``plic results``: every codec over a folder of pictures."""

import argparse
from pathlib import Path

from plic_lib import checkpoint, datasets, files, shipped
from plic_lib.commands import options as common
from plic_lib.errors import UsageError
from plic_lib.study import compare, pages, record, results, rivals
from plic_lib.study.pictures import look_at


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The pictures, the codecs, where the results go."""
    parser.add_argument("folder", metavar="DIR")
    parser.add_argument("--models", nargs="*", metavar="MODEL", help="ours (default: all that are shipped)")
    parser.add_argument(
        "--levels", type=common.levels, metavar="L,L", help="of ours (default: every quarter, and where they meet the targets)"
    )
    parser.add_argument("--codecs", nargs="*", metavar="NAME", help="rivals (default: all)")
    parser.add_argument("--work", default="runs/results", metavar="DIR", help="folder for the points (default: %(default)s)")
    parser.add_argument("--json", metavar="OUT", help="default: data/results/NAME.json, after the folder")
    parser.add_argument("--pages", action="store_true", help="renew the figures in README.md and docs, and the curves")


def run(options: argparse.Namespace) -> None:
    """Measure what is not measured yet, gather it, print the table."""
    common.known(options.codecs, rivals.CODECS, "codec")
    name = Path(options.folder).resolve().name
    out = options.json or (compare.FOLDER if compare.FOLDER.is_dir() else Path()) / f"{name}.json"
    common.check_outputs(options, [out], *datasets.find(options.folder))
    files.check_folder(options.work)
    pictures = look_at(options.folder)
    if not options.json and results.read(Path(out)).get("sha256", pictures.content) != pictures.content:
        raise UsageError(f"{out} holds the results of other pictures from a folder of that name; name another file with --json")
    models = [checkpoint.load(model) for model in (shipped.available() if options.models is None else options.models)]
    result = results.run(pictures, models, Path(options.work) / name, options.codecs, options.levels)
    if result is None:  # not the first of several processes
        return
    about = {"command": options.command, "folder": name, "versions": record.versions()}
    files.write_json(out, {**about, **result}, indent=None)
    tell = common.teller(options.json)
    for what, reason in result["missing"].items():
        tell(f"left out: {what} ({reason})")
    tell(pages.results(result))
    if options.pages:
        from plic_lib.course import curves  # which draws: nothing else here needs matplotlib

        curves.results_figure(result, compare.FOLDER / f"{name}.png")
        pages.renew()
