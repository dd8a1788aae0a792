"""``plic restart``: the small part of a training state."""

import argparse

from plic_lib.commands import options as common
from plic_lib.training import states


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The state and the file."""
    parser.add_argument("state", metavar="STATE.pt")
    parser.add_argument("output", metavar="OUT.pt")


def run(options: argparse.Namespace) -> None:
    """Leave out what the optimisers remember."""
    common.check_outputs(options, [options.output], options.state)
    step = states.restart(options.state, options.output)
    common.teller(options.output)(f"{options.output}: as state.pt in a folder, the run goes on from step {step}")
