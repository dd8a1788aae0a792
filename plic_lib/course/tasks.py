"""Tasks: parts of the library that a student edition asks for.

In the cell after a task stands ``part = or_library(part, "plic_lib.…")``: who has not written it goes on with the library's.
"""

import inspect
from importlib import import_module


def _stub():
    raise NotImplementedError


def unwritten(part) -> bool:
    """Whether a function, or a method of a class, does nothing but raise NotImplementedError, as in a task.

    >>> def later(x):
    ...     '''What it shall do.'''
    ...     raise NotImplementedError
    >>> unwritten(later), unwritten(abs), unwritten(lambda x: x)
    (True, False, False)
    """
    members = list(vars(part).values()) if inspect.isclass(part) else [part]
    functions = [member for member in members if inspect.isfunction(member)]
    return any(f.__code__.co_code == _stub.__code__.co_code and f.__code__.co_names == ("NotImplementedError",) for f in functions)


def or_library(part, path: str):
    """``part``, or the library's at ``path`` where it is unwritten, which is said."""
    if not unwritten(part):
        return part
    module, _, name = path.rpartition(".")
    print(f"{name} is not written yet: from here on it is the library's, {path}")
    return getattr(import_module(module), name)
