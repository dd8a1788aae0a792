"""Execute notebooks in place and save them with their outputs: ``python notebooks/run.py [NOTEBOOK ...]``.

Widget state and timing metadata are stripped, so that a second run changes only what
really changed. Without arguments all notebooks and solutions are run. The seconds of each
go to ``data/results/notebook_seconds.json``. A notebook about a package that is not installed
is left as it is.
"""

import json
import os
import sys
import time
from pathlib import Path

import plic_lib  # noqa: F401  (the kernels inherit its passive waiting)
from plic_lib.course import optional

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent
SECONDS = HERE.parent / "data" / "results" / "notebook_seconds.json"


#: Put behind the last cell of a notebook, and not kept: the most memory that its kernel had, in megabytes.
PEAK = "import resource, sys\nprint(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == 'darwin' else 1e3))"


def record(path: Path, seconds: float, megabytes: float) -> None:
    """Note how long a notebook took, on how many cores, and with how much memory."""
    known = json.loads(SECONDS.read_text()) if SECONDS.exists() else {}
    known[str(path.resolve().relative_to(HERE))] = {"seconds": round(seconds, 1), "cores": os.cpu_count(), "megabytes": round(megabytes)}
    SECONDS.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n")


def run(path: Path) -> None:
    """Execute one notebook from top to bottom and write it back."""
    start = time.monotonic()
    notebook = nbformat.read(path, as_version=4)
    if package := optional.missing(notebook.metadata):
        print(f"    left as it is: {package} is not installed here")
        return
    notebook.cells.append(nbformat.v4.new_code_cell(PEAK))
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}).execute()
    megabytes = float(notebook.cells.pop().outputs[0].text)
    notebook.metadata.pop("widgets", None)
    notebook.metadata.kernelspec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata.language_info = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if "outputs" in cell:  # a progress bar draws only where it is watched
            cell.outputs = [o for o in cell.outputs if not (o.output_type == "stream" and o.name == "stderr")]
    nbformat.write(notebook, path)
    record(path, time.monotonic() - start, megabytes)


if __name__ == "__main__":
    for path in [Path(a) for a in sys.argv[1:]] or sorted(HERE.glob("*.ipynb")) + sorted(HERE.glob("solutions/*.ipynb")):
        print(path.name, flush=True)
        run(path)
