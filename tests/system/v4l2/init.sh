#!/bin/busybox sh
# First program of the guest, in its initramfs: mounts this machine's root over 9p, read-only, with
# a layer in memory on top of it, and goes there.
/bin/busybox --install -s /bin
. /settings
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
while read -r module; do
    insmod "/modules/$module"
done < /modules/order
mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=524288,cache=loose root /lower
mount -t tmpfs upper /upper
mkdir /upper/files /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work root /root
for folder in proc sys dev; do
    mount -o move "/$folder" "/root/$folder"
done
exec switch_root /root /bin/sh "$CHECKOUT/tests/system/v4l2/guest.sh"
