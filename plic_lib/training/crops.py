"""Random crops of training pictures, each a function of its number."""

import hashlib
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from plic_lib import images
from plic_lib.datasets import find
from plic_lib.errors import ImageError

#: Bytes of decoded pictures that a training keeps in memory, in all its loading processes together.
KEEP = 4 * 2**30


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
        smooth: share of the items that are no crops but smooth surfaces, which photographs hardly ever hold.

    Item: (3, size, size) in [0, 1].
    """

    def __init__(
        self,
        folders: list[str],
        size: int,
        seed: int = 0,
        downscale: tuple[float, float] = (0.5, 1.0),
        keep: float = 0,
        smooth: float = 0.0,
    ):
        self.paths = [path for folder in folders for path in find(folder)]
        self.size, self.seed, self.downscale, self.smooth = size, seed, downscale, smooth
        self.kept: dict[Path, Image.Image] = {}
        self.room = keep

    def listing(self) -> dict:
        """Of the pictures: how many, and a hash of their names and sizes in bytes, in order. What item k is depends on that too."""
        lines = (f"{path.name} {path.stat().st_size}\n" for path in self.paths)
        return {"pictures": len(self.paths), "sha256": hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()}

    def __len__(self) -> int:
        return torch.iinfo(torch.int64).max

    def __getitem__(self, k: int) -> Tensor:
        rng = np.random.default_rng([self.seed, k])
        if self.smooth and rng.random() < self.smooth:
            return self._surface(rng)
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

    def _surface(self, rng: np.random.Generator) -> Tensor:
        """Colours that run from corner to corner; half of the surfaces are grey, half of them even."""
        corners = rng.integers(256, size=(2, 2, 3), dtype=np.uint8)
        if rng.random() < 0.5:
            corners[...] = corners[..., :1]
        if rng.random() < 0.5:
            corners[...] = corners[:1, :1]
        return images.to_tensor(Image.fromarray(corners).resize((self.size, self.size), Image.Resampling.BILINEAR))

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
