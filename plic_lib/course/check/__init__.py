"""Exercises that check themselves: ``check.gain_2(through)`` in a notebook cell, ``check.gain_2.hint()`` before a try.

A check tries the learner's function on random inputs and beside the solution. If it is wrong and does what a known slip
does, the check names the slip; else it says the rule that is broken. It never raises, so Run All stays green while stubs
are unsolved. How an exercise is written: :mod:`plic_lib.course.check.exercise`.
"""

import importlib
import pkgutil

from plic_lib.course.check.exercise import FAILED, NOT_ATTEMPTED, PASSED, Exercise, Result

__all__ = ["FAILED", "NOT_ATTEMPTED", "PASSED", "Exercise", "Result", "exercises"]

#: One module a notebook: ``gain`` holds ``gain_1``, ``gain_2`` …
_CHAPTERS = [module.name for module in pkgutil.iter_modules(__path__) if module.name != "exercise"]


def exercises(notebook: str | None = None) -> dict[str, Exercise]:
    """All exercises by name, or those of one notebook, as in ``exercises("07_gain_units")``, in its order."""
    modules = [importlib.import_module(f"{__name__}.{chapter}") for chapter in _CHAPTERS]
    return {
        name: value
        for module in sorted(modules, key=lambda module: module.NOTEBOOK)
        for name, value in vars(module).items()
        if isinstance(value, Exercise) and notebook in (None, module.NOTEBOOK)
    }


def __getattr__(name: str) -> Exercise:
    chapter = name.rpartition("_")[0]
    if chapter in _CHAPTERS:
        return getattr(importlib.import_module(f"{__name__}.{chapter}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, *exercises()]
