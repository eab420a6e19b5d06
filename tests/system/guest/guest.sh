#!/bin/sh
# Runs the checks in a guest and switches it off. Settings:
#   CHECKOUT, PYTHON  the code, and what runs it
#   MODULES           where lib/modules is, if not in the root
#   DRIVERS           kernel modules to load, each with its options, separated by semicolons
#   TEST              the checks, relative to the checkout's tests/system
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LANG=C.UTF-8
export PYTHONPATH="$CHECKOUT:$CHECKOUT/tests/system/guest"
export PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
if ! mountpoint -q /dev/shm; then
    mkdir -p /dev/shm
    mount -t tmpfs -o mode=1777 shm /dev/shm
fi
cd /
echo "up after $(cut -d' ' -f1 /proc/uptime) s"
load() {
    echo "$DRIVERS" | tr ';' '\n' | while read -r driver; do
        # shellcheck disable=SC2086 # words
        modprobe -d "${MODULES:-/}" $driver || return 1
    done
}
if load; then
    "$PYTHON" "$CHECKOUT/tests/system/$TEST"
fi
echo o > /proc/sysrq-trigger
# As the first process it must not end, and has nothing left to run programs from.
while :; do :; done
