#!/usr/bin/env bash
# A USB webcam with the kernel's driver uvcvideo: a program that is one, in QEMU, running this
# checkout. README.md beside this file explains; usage: [CHECKS="NAME ..."] run.sh
set -euo pipefail
# shellcheck source=tests/system/qemu.sh
. "$(dirname "$0")/../qemu.sh"

[ -x "$python" ] || { say "no $python: 'make run' makes it, or name one in PYTHON"; exit 66; }
need_tools "${qemu_tools[@]}"
get_kernel
make_initramfs "$cache/linux" ROOT=share CHECKOUT="$checkout" PYTHON="$python" \
    MODULES="$cache/linux" DRIVERS="vhci-hcd; uvcvideo" \
    TEST=uvc/guest.py CHECKS="${CHECKS:-}" INIT="/bin/sh $system/guest/guest.sh"
boot "$cache/linux" / "" -m 1536
judge
