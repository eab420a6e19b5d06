#!/usr/bin/env bash
# A true V4L2 camera: Debian's kernel with its test driver vivid, in QEMU, running this checkout.
# README.md beside this file explains; usage: [CHECKS="NAME ..."] run.sh
set -euo pipefail
# shellcheck source=tests/system/qemu.sh
. "$(dirname "$0")/../qemu.sh"

[ -x "$python" ] || { say "no $python: 'make run' makes it, or name one in PYTHON"; exit 66; }
need_tools "${qemu_tools[@]}" v4l2-ctl:v4l-utils setpriv:util-linux
get_kernel
make_initramfs "$cache/linux" ROOT=share CHECKOUT="$checkout" PYTHON="$python" \
    MODULES="$cache/linux" DRIVERS="vivid n_devs=1 node_types=0x1 input_types=0x00" \
    TEST=v4l2/guest.py CHECKS="${CHECKS:-}" INIT="/bin/sh $system/guest/guest.sh"
boot "$cache/linux" / "" -m 1536
judge
