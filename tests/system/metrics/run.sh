#!/usr/bin/env bash
# Metrics with the real Prometheus, node_exporter and broker. usage: run.sh [PYTEST_ARG...]
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/system/lib.sh
. "$here/../lib.sh"
label=metrics

need_tools prometheus:prometheus promtool:prometheus \
	prometheus-node-exporter:prometheus-node-exporter \
	mosquitto:mosquitto mosquitto_passwd:mosquitto

run_pytest -q "$here" "$@"
