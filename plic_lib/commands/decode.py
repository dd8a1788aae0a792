"""``plic decode``: a .plic file to a picture."""

import argparse

from plic_lib import codec, files, images, shipped
from plic_lib.bitstream import File
from plic_lib.commands import options as common
from plic_lib.errors import BitstreamError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The file, the picture, the model, the limit."""
    parser.add_argument("input", metavar="IN.plic", help="- reads standard input")
    parser.add_argument("output", metavar="OUT.png", help="the ending names the format, PNG without one; - writes standard output")
    parser.add_argument(
        "--max-pixels",
        type=common.at_least(1),
        default=images.MAX_PIXELS,
        metavar="N",
        help="refuse larger pictures (default: %(default)s)",
    )
    common.add_model(parser, default=None)
    common.add_fast(parser)


def run(options: argparse.Namespace) -> None:
    """Decode, and write the picture."""
    common.check_outputs(options, [options.output], options.input)
    format = images.format_of(options.output)
    data = files.read(options.input)
    try:
        file = File.unpack(data, options.max_pixels)
        model = common.load(options, options.model or shipped.needed(file.model))
        image = codec.decode(model, data, options.max_pixels)
    except BitstreamError as error:
        raise BitstreamError(f"{options.input}: {error}") from error
    written, exact = images.to_bytes(image, format)
    files.write(options.output, written)
    loss = "" if exact else f", and {format} loses some of what was decoded; PNG does not"
    common.teller(options.output)(f"{options.output}: {file.width} x {file.height}{loss}")
