#!/usr/bin/env bash
# Set up what the tests of plic_mindspore need, then run them: `make test-mindspore`.
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
    touch $own/.ready
fi
$own/bin/python -m pytest tests/mindspore
$own/bin/python -m tests.mindspore.seconds
