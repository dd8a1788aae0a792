#!/bin/sh
# Make .venv with everything that requirements.txt names. Quick when there is nothing to do.
#   PYTHON=python3.12 ./setup.sh   uses that interpreter
#   TORCH=cpu ./setup.sh           takes PyTorch's CPU-only build (Linux: without NVIDIA's libraries, which are some GB)
set -eu
cd "$(dirname "$0")"

stop() { echo "plic: $1" >&2; exit 1; }

fits() { "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; }

ready=.venv/.ready
if [ -x .venv/bin/python ] && [ -f $ready ] && [ ! requirements.txt -nt $ready ] && [ ! pyproject.toml -nt $ready ]; then
    exit 0
fi

python=
if [ -n "${PYTHON:-}" ] && ! fits "$PYTHON"; then stop "PYTHON=$PYTHON is not a Python 3.10, 3.11 or 3.12"; fi
for candidate in "${PYTHON:-}" python3 python3.12 python3.11 python3.10; do
    if [ -n "$candidate" ] && fits "$candidate"; then python=$candidate; break; fi
done
[ -n "$python" ] || stop "no Python 3.10, 3.11 or 3.12 was found (CompressAI has no wheels for others); install one, or name it as in: PYTHON=/path/to/python3.12 make lab"

case "$(uname -s)" in
    Linux | Darwin) ;;
    *) stop "this system is $(uname -s); CompressAI has wheels for Linux and macOS only. On Windows use WSL2, see docs/running.md" ;;
esac
"$python" - <<'EOF' || stop "this Linux has a C library older than glibc 2.34 (or another one, as Alpine does), which CompressAI's wheel needs; use a newer distribution, such as Ubuntu 22.04 or Debian 12"
import platform, sys
if platform.system() == "Linux":
    name, version = platform.libc_ver()
    sys.exit(not (name == "glibc" and tuple(map(int, version.split(".")[:2])) >= (2, 34)))
EOF

if [ ! -x .venv/bin/python ] || ! fits .venv/bin/python; then
    rm -rf .venv
    "$python" -m venv .venv || stop "'$python -m venv' failed; on Debian and Ubuntu: apt install python3-venv"
fi

echo "plic: installing into .venv; the first time takes a few minutes"
pip=".venv/bin/python -m pip --disable-pip-version-check install --quiet"
# the newest versions, or else those that the tests passed with
install() { $pip "$@" || { echo "plic: the newest versions do not install; taking those of constraints.txt"; $pip "$@" -c constraints.txt; }; }
if [ "${TORCH:-}" = cpu ] && [ "$(uname -s)" = Linux ]; then
    install torch torchvision --index-url https://download.pytorch.org/whl/cpu || stop "PyTorch's CPU build could not be installed; see the messages above"
fi
install -r requirements.txt || stop "pip could not install requirements.txt; see the messages above"
# LPIPS needs the weights of AlexNet and SqueezeNet. Without a network everything else works and says that LPIPS is left out.
for net in alex squeeze; do
    .venv/bin/plic doctor --fetch $net >/dev/null 2>&1 || echo "plic: weights for LPIPS-$net could not be downloaded, so it is left out for now; '.venv/bin/plic doctor --fetch $net' tries again"
done
touch $ready
