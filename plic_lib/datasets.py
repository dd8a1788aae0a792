"""Photographs to train on and to look at: folders, random crops, scikit-image's own."""

import os
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from plic_lib import images
from plic_lib.errors import ImageError

SUFFIXES = {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2", ".avif", ".heic", ".heif", ".hif"}
LITTER = {"__MACOSX", "@eaDir"}  #: folders of copies that systems make, besides the hidden ones

#: Photographs that come inside scikit-image's wheel: the course needs no download.
#: Bytes of decoded pictures that a training without loading processes keeps in memory.
KEEP = 4 * 2**30

SAMPLES = ("astronaut", "coffee", "chelsea", "rocket", "motorcycle")


def sample(name: str) -> Tensor:
    """One of ``SAMPLES`` as a (3, H, W) tensor in [0, 1]."""
    import skimage.data

    if name not in SAMPLES:
        raise ImageError(f"no sample photograph {name!r}; there are {', '.join(SAMPLES)}")
    picture = skimage.data.stereo_motorcycle()[0] if name == "motorcycle" else getattr(skimage.data, name)()
    return images.to_tensor(picture)


def find(folder: str | Path) -> list[Path]:
    """All picture files below ``folder``, sorted; a picture file itself is a folder of one.

    Linked folders are followed, each folder is visited once, and what is hidden, such as the
    copies of pictures that systems and notebooks make, is passed over.

    Raises:
        ImageError: no such folder, one that cannot be read, or no pictures in it.
    """
    folder = Path(folder)
    if folder.is_file():
        return [folder]

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


def check(paths: list[Path]) -> None:
    """Look at all pictures before a long measurement. Raises ImageError that names each one that cannot be read."""
    faults = []
    for path in tqdm(paths, desc="looking at all pictures", delay=2, leave=False):
        try:
            images.open_rgb(path)
        except ImageError as error:
            faults.append(str(error))
    if faults:
        others = f" (and {len(faults) - 3} more)" if len(faults) > 3 else ""
        raise ImageError("; ".join(faults[:3]) + others)


class RandomCrops(Dataset):
    """Endless random crops; item k is a function of (seed, k) alone.

    So runs that split the items among processes, or resume in the middle, see exactly
    what one uninterrupted process would. Each crop comes from a random picture, scaled
    down by a random factor in ``downscale``, and is flipped half of the time.

    Args:
        folders: folders of pictures, searched recursively.
        size: side of the crops in pixels.
        downscale: smallest and largest factor; (1, 1) leaves the scale alone.
        keep: bytes of decoded pictures to keep in memory; the rest are read again each time.

    Item: (3, size, size) in [0, 1].
    """

    def __init__(self, folders: list[str], size: int, seed: int = 0, downscale: tuple[float, float] = (0.5, 1.0), keep: float = 0):
        self.paths = [path for folder in folders for path in find(folder)]
        self.size, self.seed, self.downscale = size, seed, downscale
        self.kept: dict[Path, Image.Image] = {}
        self.room = keep

    def __len__(self) -> int:
        return torch.iinfo(torch.int64).max

    def __getitem__(self, k: int) -> Tensor:
        rng = np.random.default_rng([self.seed, k])
        image = self._open(int(rng.integers(len(self.paths))))
        # a window of size / factor pixels, scaled to size: cheaper than scaling the whole picture
        window = min(self.size / rng.uniform(*self.downscale), *image.size)
        left = rng.uniform(0, image.width - window)
        top = rng.uniform(0, image.height - window)
        if window >= self.size:  # whole pixels where nothing needs to move between them
            left, top, window = int(left), int(top), int(window)
        crop = image.resize((self.size, self.size), Image.Resampling.BICUBIC, (left, top, left + window, top + window))
        x = images.to_tensor(crop)
        return x.flip(-1) if rng.random() < 0.5 else x

    def _open(self, index: int) -> Image.Image:
        """Picture ``index``, or the next one that can be read; a broken file is announced and passed over."""
        for further in range(len(self.paths)):
            path = self.paths[(index + further) % len(self.paths)]
            if path in self.kept:
                return self.kept[path]
            try:
                image = images.open_rgb(path)
            except ImageError as error:
                warnings.warn(f"skipped in training: {error}", stacklevel=2)
                continue
            size = 3 * image.width * image.height
            if size <= self.room:
                self.kept[path] = image
                self.room -= size
            return image
        raise ImageError("none of the training pictures can be read")
