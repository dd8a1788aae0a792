"""The port beside the original, in one process. `make test-mindspore` makes the environment for it and runs it."""

import importlib.util

import pytest

if importlib.util.find_spec("mindspore") is None:
    pytest.skip(
        "MindSpore is not installed here; `make test-mindspore` installs it into an environment of its own", allow_module_level=True
    )
