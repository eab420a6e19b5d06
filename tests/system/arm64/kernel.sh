#!/usr/bin/env bash
# Confinement on a real aarch64 kernel: Debian's, in QEMU, with what run.sh installed.
# README.md beside this file explains; usage: run.sh, then kernel.sh
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/system/qemu.sh
. "$here/../qemu.sh"
suite=${SUITE:-bookworm}
site=${WORK:-$checkout/build/arm64-$suite}/site
linux=$cache/arm64-$suite
qemu_machine=(qemu-system-aarch64 -M virt -cpu cortex-a72)
qemu_console=ttyAMA0
[ -d "$site/pi_detector" ] || { say "no $site: run.sh beside this file makes it"; exit 66; }

need_tools qemu-system-aarch64:qemu-system-arm mmdebstrap:mmdebstrap cpio:cpio modprobe:kmod
if [ ! -e "$linux/.made" ]; then
    say "extracting Debian arm64 with its kernel"
    rm -rf "$linux"
    mkdir -p "$cache"
    mmdebstrap --quiet --arch=arm64 --variant=extract \
        --include=python3,libstdc++6,libgcc-s1,zlib1g,linux-image-arm64,busybox-static "$suite" "$linux"
    [ -e "$linux/lib" ] || ln -s usr/lib "$linux/lib"
    /sbin/depmod -b "$linux" "$(ls "$linux/lib/modules")"
    # Empty folders to mount on, and a shell.
    mkdir -p "$linux"/{proc,sys,dev,tmp,opt}
    [ -e "$linux/bin/sh" ] || ln -s busybox "$linux/bin/sh"
    touch "$linux/.made"
fi
rm -rf "$linux/opt/site"
cp -a "$site" "$linux/opt/site"
cp "$here/confined.py" "$linux/opt/confined.py"
cat > "$linux/opt/init" <<'INIT'
#!/bin/busybox sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LANG=C.UTF-8 PYTHONPATH=/opt/site
export PYTHONDONTWRITEBYTECODE=1
busybox mkdir -p /dev/shm
busybox mount -t tmpfs -o mode=1777 shm /dev/shm
busybox mount -t tmpfs -o mode=1777 tmp /tmp
busybox ip link set lo up
/usr/bin/python3 /opt/confined.py
echo o > /proc/sysrq-trigger
while :; do :; done
INIT
BUSYBOX=$linux/bin/busybox make_initramfs "$linux" ROOT=share CHECKOUT=/ INIT="/bin/busybox sh /opt/init"
boot "$linux" "$linux" "" -m 1024
judge
