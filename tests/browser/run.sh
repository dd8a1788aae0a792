#!/usr/bin/env bash
# Set up what the browser tests need, then run them: `make test-browser`.
set -euo pipefail
cd "$(dirname "$0")/../.."
find_browser() { .venv/bin/python -c "from tests.browser.lab import browser_path; import sys; sys.exit(browser_path() is None)"; }
.venv/bin/python -m pip install -q playwright
if ! find_browser; then
    if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
        apt-get update -qq > /dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium > /dev/null || true  # then the message below
    fi
fi
if ! find_browser; then
    echo "The browser tests need Chromium or Chrome, and none was found. Install one (Debian, Ubuntu: sudo apt install chromium;" >&2
    echo "macOS: brew install --cask google-chrome), or name one that is elsewhere: CHROMIUM=/path/to/it make test-browser" >&2
    exit 3
fi
PLIC_BROWSER=1 .venv/bin/python -m pytest tests/browser
