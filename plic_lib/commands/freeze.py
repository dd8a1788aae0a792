"""``plic freeze``: a training state to a checkpoint."""

import argparse
from pathlib import Path

from plic_lib import checkpoint
from plic_lib.commands import options as common
from plic_lib.training import states


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The state and the checkpoint."""
    parser.add_argument("state", metavar="STATE.pt")
    parser.add_argument("output", metavar="OUT.safetensors")
    parser.add_argument("--top", type=float, metavar="LEVEL", help="the level that becomes the highest; those above are dropped")


def run(options: argparse.Namespace) -> None:
    """Make the integers and tables, write the checkpoint."""
    common.check_outputs(options, [options.output], options.state)
    model = states.freeze_state(options.state, Path(options.output).stem, top=options.top)
    checkpoint.save(model, options.output)
    common.teller(options.output)(f"{options.output}: model {model.hash[:8]}, {model.about['step']} steps")
