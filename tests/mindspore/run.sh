#!/usr/bin/env bash
# Set up what plic_mindspore needs, with a kernel for JupyterLab; then run its tests and its notebook: `make test-mindspore`.
# Leaves with 3 where MindSpore cannot be installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
own=.venv-mindspore
packages() { "$1" -c "import sysconfig; print(sysconfig.get_path('purelib'))"; }
if [ ! -e $own/.ready ] || [ pyproject.toml -nt $own/.ready ]; then
    echo "plic: installing MindSpore into $own; a download of 800 MB"
    .venv/bin/python -m venv $own
    packages .venv/bin/python > "$(packages $own/bin/python)/plic.pth" # what is not in this environment is found in .venv
    if ! $own/bin/python -m pip --disable-pip-version-check install --quiet -e '.[mindspore]'; then
        echo "MindSpore could not be installed; there are wheels of it for Linux and macOS, on PyPI. See the messages above." >&2
        exit 3
    fi
    JUPYTER_PATH=$PWD/.venv/share/jupyter $own/bin/python -m ipykernel install --prefix .venv --name plic-mindspore --display-name "plic with MindSpore" > /dev/null
    touch $own/.ready
fi
$own/bin/python -m pytest tests/mindspore || exit 1 # and not pytest's own 3
$own/bin/python -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout=300 notebooks/14_mindspore.ipynb || exit 1
$own/bin/python -m tests.mindspore.seconds
