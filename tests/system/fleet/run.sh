#!/usr/bin/env bash
# The roll-out with Ansible, over ssh, to two machines with a real systemd.
# README.md beside this file explains; usage: run.sh [PYTEST-ARGUMENTS]
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
name=fleet
# shellcheck source=tests/system/lib.sh
. "$here/../lib.sh"
# shellcheck source=tests/system/machines/debian.sh
. "$here/../machines/debian.sh"

prepare "$0" "$@"
need_tools ssh:openssh-client mosquitto:mosquitto mosquitto_sub:mosquitto-clients
make_root systemd-sysv dbus procps ca-certificates python3 python3-venv python3-systemd \
    python3-numpy python3-apt openssh-server sudo
make_package
FLEET_VENV=${FLEET_VENV:-$checkout/.venv-fleet} run_tests "$here" "$@"
