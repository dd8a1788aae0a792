"""Any picture file <-> an RGB tensor in [0, 1]; padding and cropping.

Everything that Pillow opens becomes sRGB with three 8-bit channels: the first frame,
rotated as EXIF says, colour profiles and CMYK converted, transparency laid on white.
"""

import io
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageCms, ImageOps
from torch import Tensor

from plic_lib.errors import ImageError
from plic_lib.grid import BLOCK

#: Larger pictures are refused with a sentence instead of exhausting the memory.
MAX_PIXELS = 50_000_000


def open_rgb(path: str | Path, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Read a picture file as a Pillow image of mode RGB.

    Raises:
        ImageError: no such file, not a picture, damaged, or more than ``max_pixels``.
    """
    path = Path(path)
    if not path.is_file():
        raise ImageError(f"{path}: there is no such file")
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # we state our own limit
    try:
        with Image.open(path) as image:
            if image.width * image.height > max_pixels:
                raise ImageError(
                    f"{path}: {image.width} x {image.height} is {image.width * image.height / 1e6:.0f} megapixels, "
                    f"the limit is {max_pixels / 1e6:.0f}; make it smaller first"
                )
            return _to_rgb(image)
    except ImageError:
        raise
    except Exception as error:  # Pillow's plugins raise many kinds for a damaged file
        raise ImageError(f"{path}: cannot be read as a picture ({error})") from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def notes(path: str | Path) -> list[str]:
    """What ``open_rgb`` changes of a picture besides its format, in words for the user."""
    with Image.open(path) as image:
        said = {
            f"the first of {getattr(image, 'n_frames', 1)} frames": getattr(image, "n_frames", 1) > 1,
            "transparency laid on white": image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info,
            "colours converted to sRGB": image.mode in ("CMYK", "LAB") or "icc_profile" in image.info,
            "reduced to 8 bits": image.mode.startswith("I") or image.mode == "F",
            "turned upright": image.getexif().get(0x0112, 1) != 1,
        }
    return [text for text, holds in said.items() if holds]


def _to_rgb(image: Image.Image) -> Image.Image:
    """First frame, upright, composited on white, in sRGB."""
    profile = image.info.get("icc_profile")
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_eight_bits(np.asarray(image, dtype=np.float64), image.mode)).convert("RGB")
    if image.mode == "PA" or "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode in ("LA", "La", "RGBa"):
        image = image.convert("RGBA")
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    if image.mode == "RGBA":
        image = image.convert("RGB")
    if profile:
        image = _to_srgb(image, profile)
    image = image.convert("RGB")
    if alpha is not None:
        image = Image.composite(image, Image.new("RGB", image.size, "white"), alpha)
    return image


def _eight_bits(values: np.ndarray, mode: str) -> np.ndarray:
    """Deep grey values as bytes: integers are 16 bits, floats are in [0, 1] or, where one is larger, in [0, 255]."""
    top = 65535 if mode != "F" else 1 if values.max() <= 1 else 255
    return np.clip(values / top * 255 + 0.5, 0, 255).astype(np.uint8)


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert by the embedded colour profile; a profile that does not fit the picture is ignored, as viewers do."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return image


def to_tensor(image: Image.Image | np.ndarray) -> Tensor:
    """8-bit RGB image (H, W, 3) -> float tensor (3, H, W) in [0, 1]."""
    return torch.from_numpy(np.array(image, dtype=np.uint8)).permute(2, 0, 1).float() / 255


def to_image(x: Tensor) -> Image.Image:
    """(3, H, W) or (1, 3, H, W), clamped to [0, 1] and rounded to 8 bits -> Pillow image."""
    x = x.detach().squeeze(0) if x.ndim == 4 else x.detach()
    levels = (x.clamp(0, 1) * 255).round().to("cpu", torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).contiguous().numpy())


def read(path: str | Path, max_pixels: int = MAX_PIXELS) -> Tensor:
    """Picture file -> (3, H, W) in [0, 1]. Raises ImageError, see ``open_rgb``."""
    return to_tensor(open_rgb(path, max_pixels))


def pad(x: Tensor, multiple: int = BLOCK) -> Tensor:
    """Repeat the last row and column of (B, 3, H, W) until both sides are multiples of ``multiple``.

    The networks halve the resolution six times (four for y, two more for z).
    """
    height, width = x.shape[-2:]
    return F.pad(x, (0, -width % multiple, 0, -height % multiple), mode="replicate")


def crop(x: Tensor, height: int, width: int) -> Tensor:
    """Undo ``pad``: the top left ``height`` x ``width`` pixels."""
    return x[..., :height, :width]
