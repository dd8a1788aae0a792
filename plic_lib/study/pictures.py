"""The pictures of a folder, all of them looked at before anything is measured."""

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tqdm.auto import tqdm

from plic_lib import datasets, files, images
from plic_lib.errors import ImageError, PlicError


@dataclass(frozen=True)
class Pictures:
    """What figures over a folder are of."""

    folder: Path
    paths: list[Path]
    sizes: list[tuple[int, int]]  #: (height, width) of each

    @property
    def names(self) -> list[str]:
        """As the figures name them: below the folder."""
        return [path.relative_to(self.folder).as_posix() for path in self.paths]

    @property
    def pixels(self) -> list[int]:
        """Of each."""
        return [height * width for height, width in self.sizes]

    @functools.cached_property
    def content(self) -> str:
        """A hash that tells these pictures from any others, whatever the files are called."""
        return files.sha256_of_all(self.paths)

    def rows(self) -> list[dict]:
        """Name, width and height of each."""
        return [{"picture": name, "width": width, "height": height} for name, (height, width) in zip(self.names, self.sizes)]


def look_at(folder: str | Path) -> Pictures:
    """All pictures below a folder. Each is read once, so that a bad one is known at the start and not after hours.

    Raises ImageError where there are none, or with the names of those that cannot be read.
    """
    paths, sizes, bad = datasets.find(folder), [], []
    for path in tqdm(paths, desc="looking at the pictures", delay=2):
        try:
            width, height = images.open_rgb(path).size
            sizes.append((height, width))
        except ImageError as error:
            bad.append(str(error))
    if bad:
        more = f"; and {len(bad) - 3} more" if len(bad) > 3 else ""
        raise ImageError(f"nothing was measured, since of {len(paths)} pictures {len(bad)} cannot be used: {'; '.join(bad[:3])}{more}")
    return Pictures(Path(folder), paths, sizes)


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Our errors that come of a picture say of which."""
    try:
        yield
    except PlicError as error:
        if str(path) in str(error):
            raise
        raise type(error)(f"{path}: {error}") from error
