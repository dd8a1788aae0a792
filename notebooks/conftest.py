"""nbval: cells tagged ``slow`` run only where PLIC_FULL=1, a notebook about a package only where that is installed."""

import os

import plic_lib  # noqa: F401  (the kernels inherit its passive waiting)
from plic_lib.course import optional


def pytest_collection_modifyitems(items):
    for item in items:
        cell = getattr(item, "cell", None)
        if cell is not None and "slow" in cell.metadata.get("tags", []) and os.environ.get("PLIC_FULL") != "1":
            item.options["skip"] = True
        if cell is not None and optional.missing(item.parent.nb.metadata):
            if "optional.require(" in cell.source:  # which stops the notebook, with a sentence
                item.options["check_exception"] = True
            else:
                item.options["skip"] = True
