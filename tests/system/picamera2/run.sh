#!/usr/bin/env bash
# The true picamera2 and libcamera, without a camera on a connector, in QEMU, running this checkout.
# README.md beside this file explains; usage: [CHECKS="NAME ..."] run.sh
set -euo pipefail
# shellcheck source=tests/system/qemu.sh
. "$(dirname "$0")/../qemu.sh"
# shellcheck source=tests/system/trixie.sh
. "$(dirname "$0")/../trixie.sh"

need_tools "${qemu_tools[@]}"
get_trixie "${PYTHON:-python3}"
boot_trixie picamera2/guest.py "vhci-hcd; uvcvideo" "CHECKS=${CHECKS:-}"
