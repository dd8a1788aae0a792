"""``plic encode``: a picture to a .plic file."""

import argparse
from collections.abc import Callable

import torch
from torch import Tensor

from plic_lib import codec, files, images, metrics, roi
from plic_lib.bitstream import File
from plic_lib.checkpoint import TrainedModel
from plic_lib.commands import options as common
from plic_lib.errors import UsageError
from plic_lib.grid import LEVEL_STEPS, OFFSET_STEPS
from plic_lib.level_map import LevelMap


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The picture, the file, the rate, the region, the model."""
    parser.add_argument("input", metavar="IN", help="a picture; - reads standard input")
    parser.add_argument("output", metavar="OUT.plic", help="- writes standard output")
    rate = parser.add_mutually_exclusive_group()
    rate.add_argument("--rate", type=float, metavar="R", help="level, 0 (fewest bits) to 2, fractions allowed (default: 1)")
    rate.add_argument("--bpp", type=common.number, metavar="B", help="find the level that gives B bits per pixel")
    rate.add_argument("--background-rate", type=float, metavar="R", help="with a region: the level of the rest; the same as --rate")
    region = parser.add_mutually_exclusive_group()
    region.add_argument("--roi", action="append", metavar="X0,Y0,X1,Y1", help="a region in pixels that gets its own rate; may be repeated")
    region.add_argument("--roi-mask", metavar="MASK.png", help="a picture of the same size: the region is opaque, or light, or labelled")
    region.add_argument("--roi-faces", action="store_true", help="the faces that scikit-image's detector finds")
    parser.add_argument(
        "--roi-rate", type=float, metavar="R", help="level of the region (default: the highest); with --bpp the rest pays for it"
    )
    common.add_model(parser)
    common.add_fast(parser)


def run(options: argparse.Namespace) -> None:
    """Encode, write, and say what came of it."""
    common.check_outputs(options, [options.output], options.input, options.roi_mask)
    tell = common.teller(options.output)
    model = common.load(options)
    image, notes = images.read_with_notes(options.input)
    mask = _mask(options, image)
    level_map = _level_map(options, model, mask)
    if options.bpp is not None:
        data, level = codec.encode_to_bpp(model, image, options.bpp, level_map=level_map)
    else:
        level = next((r for r in (options.rate, options.background_rate) if r is not None), 1.0)
        codec.level_steps(model, level)  # which complains of the level, before the map is made that goes with it
        data = codec.encode(model, image, level, level_map(level))
    files.write(options.output, data)
    reached = metrics.bpp(len(data), *image.shape[1:])
    tell(f"{options.output}: {len(data)} bytes, {reached:.4f} bpp, level {level:.3f}")
    if mask is not None:
        tell(f"region: {_region(options, mask, File.unpack(data), model.levels - 1)}")
    if notes:
        tell(f"of {options.input}: {', '.join(notes)}")
    if options.bpp is not None and abs(reached / options.bpp - 1) > 0.02:
        tell(f"the target of {options.bpp:g} bpp was not met within 2 %: this is the nearest file that {model.name} makes of this picture")


def _mask(options: argparse.Namespace, image: Tensor) -> Tensor | None:
    """The region, or None where none is asked for."""
    if options.roi_mask:
        return roi.from_file(image, options.roi_mask)
    if options.roi_faces:
        return roi.faces(image)
    if not options.roi:
        return None
    mask = torch.zeros(image.shape[1:], dtype=torch.bool)
    for text in options.roi:
        try:
            left, top, right, bottom = (int(number) for number in text.split(","))
        except ValueError as error:
            raise UsageError(f"--roi takes four whole numbers like 10,20,200,180 (left, top, right, bottom) and not {text!r}") from error
        mask |= roi.box(image, left, top, right, bottom)
    return mask


def _level_map(options: argparse.Namespace, model: TrainedModel, mask: Tensor | None) -> Callable[[float], LevelMap | None]:
    """The level map that goes with a base level: constant None without a region."""
    if mask is None:
        for name in ("roi_rate", "background_rate"):
            if getattr(options, name) is not None:
                raise UsageError(f"--{name.replace('_', '-')} belongs to a region: give --roi, --roi-mask or --roi-faces too")
        return lambda level: None
    level = model.levels - 1 if options.roi_rate is None else options.roi_rate
    if not 0 <= level <= model.levels - 1:
        raise UsageError(f"--roi-rate lies between 0 (fewest bits) and {model.levels - 1}, not at {level:g}")
    return lambda base: roi.level_map(mask, level, base)


def _region(options: argparse.Namespace, mask: Tensor, file: File, top: int) -> str:
    """What became of the region that was asked for."""
    if not mask.any():
        return "no face found, so there is none" if options.roi_faces else f"nothing is drawn in {options.roi_mask}, so there is none"
    if file.level_map is None:
        return "has the level of the rest, so the file holds none"
    inside = file.level_map.labels != 0
    level = min(max(file.level / LEVEL_STEPS + file.level_map.labels[inside][0] / OFFSET_STEPS, 0), top)
    return f"{inside.mean():.1%} of the cells, level {level:.3f}, map of {file.level_map_bytes} bytes"
