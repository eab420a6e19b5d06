#!/bin/busybox sh
# shellcheck shell=dash
#
# First program of a guest, in its initramfs: mounts the root, read-only, with a layer in memory on
# top of it, and goes there. In /settings:
#   ROOT      share: the root of the machine that runs QEMU, over 9p; or a disk, such as /dev/vda
#   CHECKOUT  folder of the checkout. With a disk as the root, it is what the machine shares.
#   INIT      program that runs next, with its arguments
# The other settings are for that program.
/bin/busybox --install -s /bin
# shellcheck disable=SC1091 # in the initramfs
. /settings
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
while read -r module; do
    insmod "/modules/$module"
done < /modules/order
share() {
    mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=524288,cache=loose share "$1"
}
if [ "$ROOT" = share ]; then
    share /lower
else
    mount -t ext4 -o ro "$ROOT" /lower
fi
mount -t tmpfs upper /upper
mkdir /upper/files /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work root /root
if [ "$ROOT" != share ]; then
    mkdir -p "/root$CHECKOUT"
    share "/root$CHECKOUT"
fi
for folder in proc sys dev; do
    mount -o move "/$folder" "/root/$folder"
done
# shellcheck disable=SC2086 # words
exec switch_root /root $INIT
