# The Debian trixie of the guests that have their own system; sourced by their run.sh after qemu.sh.
# shellcheck shell=bash
#
# It has systemd, libcamera, and a virtual environment with what pyproject.toml asks for, picamera2
# included. It is made once and kept in the cache until pyproject.toml or these scripts ask for
# another. QEMU mounts it read-only; what a guest writes is gone when it ends.
: "${system:?}" "${checkout:?}" "${cache:?}" "${work:?}" # of qemu.sh

# Set `trixie` to a folder with root.ext4 and linux, as get_kernel's, made if need be.
get_trixie() {
    local python=$1 requirements=$work/requirements key
    "$python" - "$checkout/pyproject.toml" > "$requirements" <<-'END'
	import sys, tomllib
	project = tomllib.load(open(sys.argv[1], "rb"))["project"]
	print(*project["dependencies"], *project["optional-dependencies"]["picamera"], sep="\n")
	END
    key=$(cat "$requirements" "$system/trixie.sh" "$system/trixie-hook.sh" | sha256sum | cut -c1-12)
    trixie=$cache/trixie-$key
    [ -e "$trixie" ] && return
    need_tools mmdebstrap:mmdebstrap mke2fs:e2fsprogs
    say "making Debian trixie with picamera2; takes minutes, once"
    rm -rf "$cache"/trixie-*
    mkdir -p "$work/trixie" "$cache"
    # What pip compiles needs a compiler. python3-systemd, python3-numpy and procps are packages
    # that the installation of the service asks for.
    mmdebstrap --quiet --variant=minbase --format=null \
        --include=systemd-sysv,dbus,udev,kmod,procps,v4l-utils,ca-certificates \
        --include=python3-venv,python3-systemd,python3-numpy,python3-libcamera \
        --include=gcc,libc6-dev,python3-dev,libcap-dev \
        --customize-hook="'$system/trixie-hook.sh' \"\$1\" '$requirements' '$work/trixie'" trixie -
    /sbin/depmod -b "$work/trixie/linux" "$(ls "$work/trixie/linux/lib/modules")"
    mv "$work/trixie" "$trixie"
}

# Boot it under systemd, and run checks there. See boot and guest/guest.sh.
#
# Usage: boot_trixie TEST DRIVERS [SETTING=VALUE...]
boot_trixie() {
    local test=$1 drivers=$2 setting settings=() unit
    shift 2
    for setting in CHECKOUT=/checkout PYTHON=/opt/venv/bin/python "TEST=$test" "DRIVERS=$drivers" "$@"; do
        settings+=("Environment=\"$setting\"")
    done
    unit=$(printf '%s\n' '[Unit]' 'Description=Checks' 'After=multi-user.target' '[Service]' \
        Type=oneshot StandardOutput=tty StandardError=tty TTYPath=/dev/ttyS0 "${settings[@]}" \
        'ExecStart=/bin/sh /checkout/tests/system/guest/guest.sh')
    make_initramfs "$trixie/linux" ROOT=/dev/vda CHECKOUT=/checkout INIT=/sbin/init
    boot "$trixie/linux" "$checkout" "systemd.wants=checks.service systemd.show_status=no \
systemd.mask=serial-getty@ttyS0.service \
systemd.set_credential_binary=systemd.extra-unit.checks.service:$(base64 -w0 <<< "$unit")" \
        -m 2048 -drive "file=$trixie/root.ext4,format=raw,if=virtio,readonly=on"
    judge
}
