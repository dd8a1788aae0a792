"""Any picture file <-> an RGB tensor in [0, 1]; padding and cropping.

Everything that Pillow opens by itself, and HEIC, becomes sRGB with three 8-bit channels: the first
frame, turned as EXIF says, colour profiles and CMYK converted, transparency laid on white.
What a picture states of itself but cannot be read or applied (metadata, a colour profile)
is left out; ``read_with_notes`` says of each of these things whether it was done, but not
of colours of 16 bits, which Pillow brings to 8 by itself.
"""

import contextlib
import io
import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pillow_heif
import torch
import torch.nn.functional as F
from PIL import Image, ImageCms, TiffImagePlugin, UnidentifiedImageError
from torch import Tensor

from plic_lib import files
from plic_lib.errors import FileError, ImageError
from plic_lib.grid import BLOCK, MAX_PIXELS

pillow_heif.register_heif_opener()

ORIENTATION = 0x0112  #: tag of EXIF
BITS_PER_SAMPLE, PHOTOMETRIC, SAMPLE_FORMAT, WHITE_IS_ZERO = 258, 262, 339, 0  #: tags of TIFF, and a value of the second
#: Drawings, for which Pillow starts another program (Ghostscript), whatever the file is called.
NOT_OPENED = ("EPS", "WMF")
#: What turns a picture upright for each orientation but the first; other values mean nothing.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

#: What white is in grey pictures of floats, and of whole numbers but for the first, see ``white_of``.
WHITES = (1, 255, 65535)


@contextlib.contextmanager
def opened(path: str | Path, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """The first frame of a picture file as Pillow reads it; a FIFO, a device and ``-`` (standard input) too.

    Raises:
        ImageError: no such file, not a picture, damaged, or more than ``max_pixels``; also for
            what goes wrong in the block.
    """
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # we state our own limit
    data = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow, on odd metadata
            data = io.BytesIO(files.read(path))
            with Image.open(data, formats=_formats()) as image:
                if image.width * image.height > max_pixels:
                    raise ImageError(
                        f"{path}: {image.width} x {image.height} is {image.width * image.height / 1e6:.0f} megapixels, "
                        f"the limit is {max_pixels / 1e6:.0f}; make it smaller first"
                    )
                image.load()
                yield image
    except FileError as error:
        raise ImageError(str(error)) from error
    except UnidentifiedImageError as error:
        kind = _begins_as(data.getvalue()[:16])
        reason = f"begins as {kind} does, but is damaged" if kind else "is not a picture of a kind that can be read here"
        raise ImageError(f"{path}: {reason}") from error
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # Pillow's plugins raise many kinds for a damaged file
        raise ImageError(f"{path}: cannot be read as a picture ({error})") from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _formats() -> list[str]:
    """All that Pillow knows, and may open."""
    Image.init()
    return [name for name in Image.ID if name not in NOT_OPENED]


def _begins_as(prefix: bytes) -> str | None:
    """The format whose files begin so: Pillow says the same of a damaged picture and of something else."""
    return next((name for name in _formats() if (accepts := Image.OPEN[name][1]) and accepts(prefix.ljust(16, b"\0")) is True), None)


def open_rgb(path: str | Path, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Read a picture file as a Pillow image of mode RGB. Raises ImageError, see ``opened``."""
    return _converted(path, max_pixels)[0]


def read(path: str | Path, max_pixels: int = MAX_PIXELS) -> Tensor:
    """Picture file -> (3, H, W) in [0, 1]. Raises ImageError, see ``opened``."""
    return to_tensor(_converted(path, max_pixels)[0])


def read_with_notes(path: str | Path, max_pixels: int = MAX_PIXELS) -> tuple[Tensor, list[str]]:
    """As ``read``, and in words for the user what was changed of the picture besides its format."""
    image, notes = _converted(path, max_pixels)
    return to_tensor(image), notes


def _converted(path: str | Path, max_pixels: int) -> tuple[Image.Image, list[str]]:
    notes: list[str] = []
    with opened(path, max_pixels) as original:
        turn = upright(original, notes)
        image, alpha = split(original, notes)
        image = _to_srgb(image, original.info, notes)
        if alpha is not None and np.asarray(alpha).min() < 255:
            image = Image.composite(image, Image.new("RGB", image.size, "white"), alpha)
            notes.append("transparency laid on white")
        with contextlib.suppress(Exception):  # to count the frames, some plugins read them all
            if (frames := getattr(original, "n_frames", 1)) > 1:
                notes.insert(0, f"the first of {frames} frames")
        return turn(image), notes


def upright(image: Image.Image, notes: list[str]) -> Callable[[Image.Image], Image.Image]:
    """What turns a picture as its metadata says; it may be applied to any picture of that size."""
    turn, readable = None, True
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            Image.Exif().load(image.info.get("exif", b""))  # which the plugin may have tried in silence
            turn = UPRIGHT.get(image.getexif().get(ORIENTATION, 1))
        except Exception:  # a damaged block of metadata: Pillow raises many kinds
            readable = False
    if warned or not readable:
        notes.append("metadata that cannot be read ignored")
    if turn is None:
        return lambda picture: picture
    notes.append("turned upright")
    return lambda picture: picture.transpose(turn)


def split(image: Image.Image, notes: list[str]) -> tuple[Image.Image, Image.Image | None]:
    """A picture of any mode -> its colours with 8 bits a channel (L, RGB, CMYK or LAB), and its opacity (L) or None."""
    transparent = image.info.get("transparency")
    if image.mode.startswith(("I", "F")):
        opaque = None if transparent is None else Image.fromarray(np.where(np.asarray(image) == transparent, 0, 255).astype(np.uint8))
        return Image.fromarray(_eight_bits(image, notes)), opaque
    if image.mode in ("La", "RGBa"):
        image = image.convert(image.mode.upper())
    elif image.mode == "PA" or (transparent is not None and image.mode not in ("LA", "RGBA")):
        image = image.convert("RGBA")
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    plain = {"LA": "L", "1": "L", "L": "L", "CMYK": "CMYK", "LAB": "LAB"}.get(image.mode, "RGB")
    return image.convert(plain), alpha


def _eight_bits(image: Image.Image, notes: list[str]) -> np.ndarray:
    """Grey values of 16 or 32 bits, integers or floats, as bytes."""
    values = np.asarray(image).astype(np.float64)
    if broken := np.count_nonzero(~np.isfinite(values)):
        raise ValueError(f"{broken} of its grey values are no finite numbers")
    tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
    if tags and image.mode == "I" and tags.get(SAMPLE_FORMAT, (1,))[0] == 1:
        values %= 2**32  # unsigned, which Pillow reads as signed
    if image.mode.startswith("I;16") or (image.format == "PPM" and image.mode == "I"):  # Pillow brings whole numbers of a PPM to 16 bits
        white, guess = 2 ** tags.get(BITS_PER_SAMPLE, (16,))[0] - 1, ""
        if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:  # which Pillow turns for 8 bits alone
            values = white - values
    else:
        white = white_of(values, whole=image.mode == "I")
        guess = f", its grey values taken to be 0 … {white}"
    notes.append(f"reduced to 8 bits{guess}")
    return np.clip(values / white * 255 + 0.5, 0, 255).astype(np.uint8)


def white_of(values: np.ndarray, whole: bool) -> int:
    """What white is in a grey picture whose format does not say: the first of ``WHITES`` (or else 2^n - 1) that 99 % of the values keep to.

    So a few outliers, such as highlights above 1 in a picture of floats, do not move it.
    """
    common = float(np.quantile(values, 0.99))
    return next((white for white in WHITES[whole:] if common <= white), 2 ** math.ceil(math.log2(max(common, 0) + 1)) - 1)


def _to_srgb(image: Image.Image, info: dict, notes: list[str]) -> Image.Image:
    """By the embedded colour profile, or by Pillow's rule; a profile that does not fit the picture is ignored, as viewers do."""
    if "icc_profile" in info:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(info["icc_profile"] or b""))
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if converted is not None:  # which is the answer of a conversion in place
                notes.append("colours converted to sRGB")
                return converted
        except (ImageCms.PyCMSError, OSError):
            notes.append("a colour profile that does not fit ignored")
    if image.mode in ("CMYK", "LAB"):
        notes.append(f"{image.mode} converted to sRGB")
    return image.convert("RGB")


def to_tensor(image: Image.Image | np.ndarray) -> Tensor:
    """8-bit RGB image (H, W, 3) -> float tensor (3, H, W) in [0, 1]."""
    return torch.from_numpy(np.array(image, dtype=np.uint8)).permute(2, 0, 1).float() / 255


def to_image(x: Tensor) -> Image.Image:
    """(3, H, W) or (1, 3, H, W), clamped to [0, 1] and rounded to 8 bits -> Pillow image."""
    x = x.detach().squeeze(0) if x.ndim == 4 else x.detach()
    levels = (x.clamp(0, 1) * 255).round().to("cpu", torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).contiguous().numpy())


#: How a picture is written in a format that can lose some of it.
SETTINGS = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}, "AVIF": {"quality": 95}, "HEIF": {"quality": 95}}


def to_bytes(x: Tensor, format: str = "PNG") -> tuple[bytes, bool]:
    """A picture (3, H, W) in [0, 1] as the bytes of a file, and whether they hold its 8-bit values exactly.

    Raises ImageError where the format does not take it, or would give back another size.
    """
    buffer, image = io.BytesIO(), to_image(x)
    try:
        image.save(buffer, format, **SETTINGS.get(format, {}))
        if format == "PNG":  # exact, and to look at a large one takes a second
            return buffer.getvalue(), True
        with Image.open(io.BytesIO(buffer.getvalue())) as written:
            if written.size != image.size:
                raise ValueError(f"it would have {written.width} x {written.height}")
            return buffer.getvalue(), np.array_equal(np.asarray(written.convert("RGB")), np.asarray(image))
    except Exception as error:  # too large for the format, most likely
        raise ImageError(f"a picture of {x.shape[-1]} x {x.shape[-2]} cannot be written as {format} ({error})") from error


def format_of(path: str | Path) -> str:
    """Pillow's name of the format that a file is to have, by its ending; PNG where it has none. Raises ImageError."""
    Image.init()  # all plugins
    suffix = Path(path).suffix.lower()
    name = Image.registered_extensions().get(suffix) if suffix else "PNG"
    if not (name in Image.SAVE and name in Image.OPEN):
        raise ImageError(f"{path}: cannot write pictures of the kind {suffix}; use .png")
    return name


def eight_bit(x: Tensor) -> Tensor:
    """A decoded picture as a user sees it: clamped and rounded to 8 bits, in [0, 1] again, on the CPU. Metrics are of this."""
    return (x.clamp(0, 1) * 255).round().cpu() / 255


def pad(x: Tensor, multiple: int = BLOCK) -> Tensor:
    """Repeat the last row and column of (B, 3, H, W) until both sides are multiples of ``multiple``.

    The networks halve the resolution six times (four for y, two more for z).
    """
    height, width = x.shape[-2:]
    return F.pad(x, (0, -width % multiple, 0, -height % multiple), mode="replicate")


def crop(x: Tensor, height: int, width: int) -> Tensor:
    """Undo ``pad``: the top left ``height`` x ``width`` pixels."""
    return x[..., :height, :width]
