#!/usr/bin/env bash
# A real broker and its faults. usage: run.sh [PYTEST_ARG...]
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
checkout=$(cd "$here/../../.." && pwd)
# shellcheck source=tests/system/lib.sh
. "$here/../lib.sh"
label=mqtt
python=${PYTHON:-$checkout/.venv/bin/python}

need_tools mosquitto:mosquitto mosquitto_passwd:mosquitto openssl:openssl

cd "$checkout"
exec "$python" -m pytest -q -s "$here" "$@"
