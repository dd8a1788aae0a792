"""Notebooks about a package that not everybody has.

Such a notebook names the package in its metadata, ``"package": "mindspore"``, and calls ``require`` in its first cell. Where
the package is missing, nothing of it is run: its recorded outputs are what there is to read.
"""

from collections.abc import Mapping
from importlib.util import find_spec


class Missing(Exception):
    """Stops a notebook; what it shows is its sentence alone."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def require(package: str, how: str) -> None:
    """Stop the notebook where a package is not installed; ``how`` says what to do.

    >>> require("numpy", "pip install numpy")
    """
    if find_spec(package) is None:
        raise Missing(f"{package} is not installed here, so the outputs below are recorded ones, to be read and not run: {how}.")


def missing(metadata: Mapping) -> str:
    """The package that a notebook with this metadata is about, where it is not installed; else empty."""
    package = metadata.get("package", "")
    return package if package and find_spec(package) is None else ""
