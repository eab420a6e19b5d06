#!/usr/bin/env bash
# The page in a real browser. usage: run.sh [PYTEST_ARG...]
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/system/lib.sh
. "$here/../lib.sh"
label=web

need_tools chromium:chromium

run_pytest -q -s "$here" "$@"
