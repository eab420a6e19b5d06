#!/usr/bin/env bash
# Finishes the Debian of trixie.sh; mmdebstrap calls it.
# usage: trixie-hook.sh ROOT REQUIREMENTS OUT
# shellcheck disable=SC2016 # the quoted programs are for the other root
set -euo pipefail

root=$1 requirements=$2 out=$3

# The network's own certificates, if there are such, are this machine's.
install -m 644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
install -m 644 "$requirements" "$root/tmp/requirements"
# pip must not put another numpy over apt's.
chroot "$root" sh -euc '
    python3 -m venv --system-site-packages /opt/venv
    python3 -c "import numpy; print(\"numpy==\" + numpy.__version__)" > /opt/venv/constraints.txt
    export PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_DISABLE_PIP_VERSION_CHECK=1
    /opt/venv/bin/pip install -qq --no-cache-dir --constraint /opt/venv/constraints.txt \
        --requirement /tmp/requirements'

# Of the kernel nothing is installed, which would make an initramfs; its modules go into the root.
chroot "$root" sh -euc '
    cd /tmp
    apt-get -qq download "$(apt-cache depends linux-image-amd64 \
        | sed -n "s/.*Depends: \(linux-image-[0-9]\)/\1/p")"
    dpkg-deb -x linux-image-*.deb linux
    rm linux-image-*.deb'
mv "$root/tmp/linux" "$out/linux"
[ -e "$out/linux/lib" ] || ln -s usr/lib "$out/linux/lib"
cp -r "$out/linux/lib/modules" "$root/usr/lib/modules"
chroot "$root" depmod "$(ls "$out/linux/lib/modules")"
rm -rf "$root"/tmp/* "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*

# A second look at the root, without what is mounted in it.
mkdir "$out/root"
mount --bind "$root" "$out/root"
size_mib=$(($(du -sm --one-file-system "$out/root" | cut -f1) * 5 / 4 + 100))
PATH=$PATH:/usr/sbin:/sbin mke2fs -q -t ext4 -O ^has_journal -m 0 -d "$out/root" \
    "$out/root.ext4" "${size_mib}M" >/dev/null
umount "$out/root"
rmdir "$out/root"
