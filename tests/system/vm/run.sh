#!/usr/bin/env bash
# The service on a machine of its own: real systemd, kernel, udev and cameras, in QEMU.
# README.md beside this file explains; usage: run.sh
set -euo pipefail
# shellcheck source=tests/system/qemu.sh
. "$(dirname "$0")/../qemu.sh"
# shellcheck source=tests/system/trixie.sh
. "$(dirname "$0")/../trixie.sh"

[ -x "$python" ] || { say "no $python: 'make run' makes it, or name one in PYTHON"; exit 66; }
need_tools "${qemu_tools[@]}"
get_trixie "$python"
# The guest sees the checkout alone.
rm -rf "$checkout/build/vm"
"$python" -m pip wheel -q --no-deps -w "$checkout/build/vm" "$checkout"
boot_trixie vm/guest.py "vhci-hcd; uvcvideo"
