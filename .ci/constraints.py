"""Write constraints.txt: the versions that .venv has of every package that plic names, and of some that those lean on.

Run it where all tests have passed: ``make constraints``.
"""

import importlib.metadata
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Not named by plic, but what broke courses before, or would.
OTHERS = ("ipykernel", "jupyter-client", "jupyter-server", "kiwisolver", "pandas", "torch-geometric")
HEADER = "# What the tests passed with; setup.sh falls back to it when the newest do not install. Written by `make constraints`.\n"


def named() -> set[str]:
    """Names in pyproject.toml, through the installed package, and in requirements.txt."""
    lines = importlib.metadata.requires("plic") + (ROOT / "requirements.txt").read_text().splitlines()
    lines = [line for line in lines if line[:1].isalpha() and not re.search('extra == "(jxl|mindspore|site)"', line)]  # not by make setup
    return {re.match(r"[\w-]+", line)[0] for line in lines} - {"plic"}


def pin(name: str) -> str:
    """``name==version``; for the Pythons that this version knows, where it has left the oldest behind."""
    found = importlib.metadata.metadata(name)
    oldest = re.search(r">=\s*(3\.\d+)", found.get("Requires-Python", ""))
    marker = f'; python_version >= "{oldest[1]}"' if oldest and int(oldest[1][2:]) > 10 else ""
    return f"{name}=={found['Version'].partition('+')[0]}{marker}\n"


if __name__ == "__main__":
    (ROOT / "constraints.txt").write_text(HEADER + "".join(pin(name) for name in sorted(named() | set(OTHERS))))
