"""Photographs: folders of them, and those that scikit-image brings."""

import os
from pathlib import Path

from torch import Tensor

from plic_lib import images
from plic_lib.errors import ImageError

SUFFIXES = {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2", ".avif", ".heic", ".heif", ".hif"}
LITTER = {"__MACOSX", "@eaDir"}  #: folders of copies that systems make, besides the hidden ones

#: Photographs that come inside scikit-image's wheel: the course needs no download.
SAMPLES = ("astronaut", "coffee", "chelsea", "rocket", "motorcycle")


def sample(name: str) -> Tensor:
    """One of ``SAMPLES`` as a (3, H, W) tensor in [0, 1]. Raises ImageError for another name, and without scikit-image."""
    try:
        import skimage.data
    except ImportError as error:
        raise ImageError("the sample photographs come with scikit-image, which is not installed: pip install 'plic[study]'") from error
    if name not in SAMPLES:
        raise ImageError(f"no sample photograph {name!r}; there are {', '.join(SAMPLES)}")
    picture = skimage.data.stereo_motorcycle()[0] if name == "motorcycle" else getattr(skimage.data, name)()
    return images.to_tensor(picture)


def find(folder: str | Path) -> list[Path]:
    """All picture files below ``folder``, sorted.

    Linked folders are followed, each folder is visited once, and what is hidden, such as the
    copies of pictures that systems and notebooks make, is passed over.

    Raises:
        ImageError: no such folder, one that cannot be read, or no pictures in it.
    """
    folder = Path(folder)

    def refuse(error: OSError):
        missing = "there is no such folder" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise ImageError(f"{error.filename}: {missing}") from error

    root = os.path.realpath(folder)
    visited, paths = {root}, []
    for where, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        inner = {name: os.path.realpath(os.path.join(where, name)) for name in sorted(folders) if _is_visible(name)}
        inner = {name: real for name, real in inner.items() if os.path.commonpath([real, root]) != real}  # a link upwards
        folders[:] = [name for name, real in inner.items() if not (real in visited or visited.add(real))]
        paths += [Path(where, name) for name in names if _is_visible(name) and Path(name).suffix.lower() in SUFFIXES]
    paths = sorted(path for path in paths if path.is_file())
    if not paths:
        raise ImageError(f"{folder}: no picture files here ({', '.join(sorted(SUFFIXES))})")
    return paths


def _is_visible(name: str) -> bool:
    return not name.startswith(".") and name not in LITTER
