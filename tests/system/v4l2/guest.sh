#!/bin/sh
# The guest's only program: a camera, the checks, and power off.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LANG=C.UTF-8
export PYTHONPATH="$CHECKOUT" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
mkdir -p /dev/shm
mount -t tmpfs -o mode=1777 shm /dev/shm
cd /
echo "up after $(cut -d' ' -f1 /proc/uptime) s"
if modprobe -d "$MODULES" vivid n_devs=1 node_types=0x1 input_types=0x00; then
    "$PYTHON" "$CHECKOUT/tests/system/v4l2/guest.py"
fi
echo o > /proc/sysrq-trigger
# The first process must not end, and has nothing left to run programs from.
while :; do :; done
