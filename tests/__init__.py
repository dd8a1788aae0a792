"""Tests of plic. The package is imported here, before any test imports torch, so that waiting threads sleep."""

import plic_lib  # noqa: F401
