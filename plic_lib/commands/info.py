"""``plic info``: what a .plic file says of itself. Needs no model, and no torch."""

import argparse
import json

from plic_lib import bitstream, files, shipped
from plic_lib.commands.table import table
from plic_lib.errors import BitstreamError
from plic_lib.grid import LEVEL_STEPS, MAX_PIXELS, OFFSET_STEPS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The file."""
    parser.add_argument("input", metavar="FILE", help="- reads standard input")
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(options: argparse.Namespace) -> None:
    """Print the facts, one a line or as JSON."""
    data = files.read(options.input)
    try:
        file = bitstream.File.unpack(data, bitstream.MAX_SIDE**2)
        # to decode a map of more cells could take minutes
        level_map = file.level_map if file.width * file.height <= MAX_PIXELS else None
    except BitstreamError as error:
        raise BitstreamError(f"{options.input}: {error}") from error
    known = shipped.with_hash(file.model)
    facts = {
        "file": options.input,
        "bytes": len(data),
        "bpp": round(8 * len(data) / (file.width * file.height), 5),
        "format": bitstream.VERSION,
        "model": file.model.hex(),
        "model_name": known.stem if known else None,
        "width": file.width,
        "height": file.height,
        "level": file.level / LEVEL_STEPS,
        "level_offsets": None if level_map is None else [float(o) / OFFSET_STEPS for o in (level_map.labels.min(), level_map.labels.max())],
        "header_bytes": bitstream.HEADER_BYTES,
        "level_map_bytes": file.level_map_bytes,
        "stream_bytes": len(file.stream),
        "latents_check": f"{file.latents_check:04x}",
    }
    if options.json:
        print(json.dumps(facts, indent=1))
    else:
        rows = [(name.replace("_", " "), None if value is None else str(value)) for name, value in facts.items()]
        print(table({"field": "", "value": ""}, rows))
