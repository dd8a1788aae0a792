"""Train notebook 02's toy codecs with all seeds and record them: ``python notebooks/record.py``.

The toys are defined in the notebook, for the reader; its cells are executed here. Two of the five seeds are trained live in the notebook,
which draws the others from the record, ``data/results/toy_codecs.json``.
"""

from pathlib import Path

import plic_lib  # noqa: F401  (before anything that loads torch)
from plic_lib import files
from plic_lib.study import compare, record

import nbformat

NOTEBOOK = Path(__file__).resolve().parent / "02_gdn_autoencoder.ipynb"
RECORD = compare.FOLDER / "toy_codecs.json"
CELLS = ("gdn-01", "gdn-28", "gdn-31", "gdn-34", "gdn-43", "gdn-44")  #: imports, rounding and noise, the toy, its training
SEEDS = 5


def toys() -> dict:
    """The names that the notebook's cells define."""
    sources = {cell.id: cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells}
    names: dict = {}
    for cell in CELLS:
        exec(compile(sources[cell], f"{NOTEBOOK.name}, {cell}", "exec"), names)
    return names


if __name__ == "__main__":
    names, runs = toys(), {}
    for kind in names["KINDS"]:
        runs[kind] = []
        for seed in range(SEEDS):
            _, losses, on_the_cat = names["train_toy"](kind, seed)
            runs[kind].append({"seed": seed, "losses": [round(loss, 3) for loss in losses], "on the cat": round(on_the_cat, 4)})
            print(kind, seed, runs[kind][-1]["on the cat"], flush=True)
    about = {"made_by": "python notebooks/record.py", "versions": record.versions(), "cpu": record.cpu()}
    files.write_json(RECORD, about | {"runs": runs}, indent=None)
    print(RECORD)
