#!/usr/bin/env bash
# The service under a real systemd: installation, package, hardening, faults, in containers.
# README.md beside this file explains; usage: run.sh [PYTEST-ARGUMENTS]
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
name=service
# shellcheck source=tests/system/lib.sh
. "$here/../lib.sh"
# shellcheck source=tests/system/machines/debian.sh
. "$here/../machines/debian.sh"

prepare "$0" "$@"
make_root systemd-sysv dbus udev kmod procps ca-certificates python3 python3-venv python3-systemd \
    python3-numpy iproute2
make_package
run_tests "$here" "$@"
