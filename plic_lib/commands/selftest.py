"""``plic selftest``: whether this machine decodes as all others do."""

import argparse

from plic_lib import selftest
from plic_lib.commands import options as common
from plic_lib.commands.table import table
from plic_lib.errors import SelftestFailed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to decode."""
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps (default: %(default)s)")


def run(options: argparse.Namespace) -> None:
    """Print the machine, then an outcome for each golden file. Raises SelftestFailed where one is not as it has to be."""
    device = common.device(options.device)
    for name, value in selftest.machine(device).items():
        print(f"{name:<16} {value}")
    outcomes = list(selftest.run(device))
    columns = {"file": "", "latents": "d", "": "", "what it tries": ""}
    print(table(columns, [(o.name, o.latents, f"{o.differences} differences", o.fault or o.shows) for o in outcomes]))
    if failed := [outcome.name for outcome in outcomes if not outcome.passed]:
        raise SelftestFailed(
            f"decoded otherwise than it should be: {', '.join(failed)}. Do not trust files that this machine writes, "
            "and please report the lines above"
        )
