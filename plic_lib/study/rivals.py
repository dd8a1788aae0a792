"""The classic codecs.

JPEG, JPEG 2000, WebP and AVIF through Pillow, HEVC through pillow-heif; JPEG XL through
pillow-jxl-plugin (the extra ``jxl``) and VVC through vvenc where they are installed. Everything that an encoder's
default leaves to the machine or to the version (threads, tuning) is stated, so that it can be recorded.
"""

import copy
import functools
import importlib
import importlib.metadata
import io
from collections.abc import Callable
from typing import Any, TypeVar

import pillow_heif
from PIL import Image, features
from torch import Tensor

from plic_lib import images
from plic_lib.errors import CodecFailed, CodecMissing
from plic_lib.study import containers, vvc
from plic_lib.study.codecs import Codec

T = TypeVar("T")


def _pillow(
    name: str,
    format: str,
    lowest: int,
    highest: int,
    qualities: tuple[int, ...],
    encoder: Callable[[], str],
    missing: Callable[[], str | None],
    fixed: dict,
    at: Callable[[int], dict] = lambda quality: {"quality": quality},
    container_bytes: Callable[[bytes], int] = lambda data: 0,
) -> Codec:
    """A codec that Pillow, or a plug-in of it, writes and reads as ``format``, with ``fixed`` arguments and those ``at`` a quality."""

    def with_pillow(work: Callable[[], T]) -> T:
        if reason := missing():
            raise CodecMissing(f"{name}: {reason}")
        try:
            return work()
        except MemoryError:
            raise
        except Exception as error:  # plug-ins raise many kinds for a picture that they cannot take
            raise CodecFailed(f"{name}: {str(error) or type(error).__name__}") from error

    def encode(picture: Tensor, quality: int) -> bytes:
        buffer = io.BytesIO()
        arguments = at(quality) | copy.deepcopy(fixed)  # plug-ins add to what they are given
        with_pillow(lambda: images.to_image(picture).save(buffer, format, **arguments))
        return buffer.getvalue()

    def decode(data: bytes) -> Tensor:
        return with_pillow(lambda: images.to_tensor(Image.open(io.BytesIO(data)).convert("RGB")))

    settings = lambda: {"encoder": encoder(), "format": format, **fixed}
    return Codec(name, lowest, highest, qualities, encode, decode, container_bytes, settings, missing)


def _library(name: str, feature: str) -> dict[str, Any]:
    """A library that Pillow was built with, or without."""
    return {
        "encoder": lambda: f"{name} {features.version(feature)}",
        "missing": lambda: None if features.check(feature) else f"this Pillow was built without {name}",
    }


def _libavif() -> str:
    from PIL import AvifImagePlugin

    return f"libavif {features.version('avif')}, aom {AvifImagePlugin.get_codec_version('aom')}"


def _libheif() -> dict:
    found = pillow_heif.libheif_info()
    return {
        "encoder": lambda: f"{found['HEIF']}, libheif {found['libheif']}",
        "missing": lambda: None if found["HEIF"] else "this pillow-heif was built without an encoder",
    }


def _libjxl() -> dict:
    return {
        "encoder": lambda: f"libjxl of pillow-jxl-plugin {importlib.metadata.version('pillow-jxl-plugin')}",
        "missing": lambda: None if _has_plugin("pillow_jxl") else "pillow-jxl-plugin is not installed: pip install 'plic[jxl]'",
    }


@functools.cache
def _has_plugin(module: str) -> bool:
    """Import a plug-in of Pillow, which makes it known there; whether it is installed."""
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


JPEG = _pillow(
    name="JPEG",
    format="JPEG",
    lowest=1,
    highest=100,
    qualities=(2, 5, 8, 12, 16, 22, 30),
    fixed={"optimize": True, "subsampling": "4:2:0"},
    container_bytes=containers.jpeg,
    **_library("libjpeg-turbo", "libjpeg_turbo"),
)
#: The quality is the rate in hundredths of a bit per pixel, which JPEG 2000 meets by itself.
JPEG_2000 = _pillow(
    name="JPEG 2000",
    format="JPEG2000",
    lowest=1,
    highest=800,
    qualities=(5, 8, 12, 16, 24, 36, 60),
    at=lambda quality: {"quality_layers": [2400 / quality]},
    fixed={"quality_mode": "rates", "irreversible": True, "no_jp2": True},
    **_library("OpenJPEG", "jpg_2000"),
)
WEBP = _pillow(
    name="WebP",
    format="WEBP",
    lowest=0,
    highest=100,
    qualities=(0, 2, 5, 10, 15, 25, 40),
    fixed={"method": 6},
    container_bytes=containers.riff,
    **_library("libwebp", "webp"),
)
#: The number of threads changes the bytes, by some per cent at equal quality, so it is fixed.
AVIF = _pillow(
    name="AVIF",
    format="AVIF",
    lowest=0,
    highest=100,
    qualities=(0, 6, 12, 20, 28, 38, 48),
    fixed={"codec": "aom", "speed": 4, "subsampling": "4:2:0", "advanced": {"tune": "iq"}, "max_threads": 1},
    container_bytes=containers.iso_media,
    encoder=_libavif,
    missing=_library("libavif", "avif")["missing"],
)
#: Preset and tuning are libheif's own choice, stated.
HEVC = _pillow(
    name="HEVC",
    format="HEIF",
    lowest=0,
    highest=100,
    qualities=(4, 8, 13, 18, 24, 31, 38),
    fixed={"chroma": 420, "enc_params": {"preset": "slow", "tune": "ssim"}},
    container_bytes=containers.iso_media,
    **_libheif(),
)
#: It starts at about 0.2 bits a pixel.
JPEG_XL = _pillow(
    name="JPEG XL",
    format="JXL",
    lowest=1,
    highest=100,
    qualities=(1, 4, 8, 13, 20, 28, 40),
    fixed={"effort": 7, "num_threads": 1},
    **_libjxl(),
)
VVC = Codec(
    name="VVC (vvenc)",
    lowest=0,
    highest=vvc.HIGHEST,
    qualities=(16, 19, 21, 23, 26, 29, 31),
    encode=vvc.encode,
    decode=vvc.decode,
    settings=vvc.settings,
    missing=vvc.missing,
)

#: The qualities of each make about 0.05 to 0.6 bits a pixel of photographs.
CODECS = {codec.name: codec for codec in (JPEG, JPEG_2000, WEBP, AVIF, HEVC, JPEG_XL, VVC)}
