#!/usr/bin/env bash
# The page in a real browser. usage: run.sh [PYTEST_ARG...]
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
checkout=$(cd "$here/../../.." && pwd)
# shellcheck source=tests/system/lib.sh
. "$here/../lib.sh"
label=web
python=${PYTHON:-$checkout/.venv/bin/python}

need_tools chromium:chromium

cd "$checkout"
exec "$python" -m pytest -q -s "$here" "$@"
