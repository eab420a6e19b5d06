#!/usr/bin/env bash
# A network camera's faults, with a real RTSP server. usage: run.sh [PYTEST_ARG...]
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/system/lib.sh
. "$here/../lib.sh"
label=rtsp

packages=(python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base
	gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly)

dpkg --status "${packages[@]}" >/dev/null 2>&1 || install_packages "${packages[@]}"

run_pytest -q -s "$here" "$@"
