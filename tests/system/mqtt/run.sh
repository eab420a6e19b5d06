#!/usr/bin/env bash
# A real broker and its faults. usage: run.sh [PYTEST_ARG...]
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/system/lib.sh
. "$here/../lib.sh"
label=mqtt

need_tools mosquitto:mosquitto mosquitto_passwd:mosquitto openssl:openssl

run_pytest -q -s "$here" "$@"
