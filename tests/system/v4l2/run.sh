#!/usr/bin/env bash
# A true V4L2 camera: Debian's kernel with its test driver vivid, in QEMU, running this checkout.
# README.md beside this file explains; usage: run.sh
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
checkout=$(cd "$here/../../.." && pwd)
# shellcheck source=tests/system/lib.sh
. "$here/../lib.sh"
label=v4l2
python=${PYTHON:-$checkout/.venv/bin/python}
accel=${ACCEL:-tcg}
timeout_s=${TIMEOUT_S:-1500}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/pi-detector-tests
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Nothing of the package is installed: its kernel and modules are taken out of it.
get_kernel() {
    compgen -G "$cache/linux/boot/vmlinuz-*" >/dev/null && return
    local package
    package=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9]\)/\1/p')
    [ -n "$package" ] || { say "apt knows no linux-image-amd64: use an x86-64 Debian"; exit 69; }
    say "downloading $package"
    mkdir -p "$cache"
    (cd "$work" && apt-get -qq download "$package" 2>/dev/null && dpkg -x ./*.deb linux)
    rm -rf "$cache/linux"
    # Since trixie the package holds usr/lib.
    [ -e "$work/linux/lib" ] || ln -s usr/lib "$work/linux/lib"
    /sbin/depmod -b "$work/linux" "$(ls "$work/linux/lib/modules")"
    mv "$work/linux" "$cache/linux"
}

# A kernel without a disk needs a first root, which mounts the true one: this machine's, over 9p.
make_initramfs() {
    local root=$work/initramfs module file
    mkdir -p "$root"/{bin,proc,sys,dev,lower,upper,root,modules}
    cp "$(command -v busybox)" "$root/bin/busybox"
    for module in virtio_pci 9pnet_virtio 9p overlay; do
        /sbin/modprobe -d "$cache/linux" -S "$version" --show-depends "$module"
    done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' > "$work/modules"
    while read -r file; do
        module=$(basename "${file%.xz}")
        case $file in
            *.xz) xz -dc "$file" > "$root/modules/$module" ;;
            *) cp "$file" "$root/modules/$module" ;;
        esac
        echo "$module" >> "$root/modules/order"
    done < "$work/modules"
    printf 'export %s=%q\n' PYTHON "$python" CHECKOUT "$checkout" MODULES "$cache/linux" \
        > "$root/settings"
    install -m 755 "$here/init.sh" "$root/init"
    (cd "$root" && find . | cpio -o -H newc --quiet) > "$work/initramfs.cpio"
}

boot() {
    timeout "$timeout_s" qemu-system-x86_64 -M q35 -accel "$accel" -cpu max -smp 2 -m 1536 \
        -nodefaults -nographic -no-reboot -serial stdio \
        -kernel "$cache/linux/boot/vmlinuz-$version" -initrd "$work/initramfs.cpio" \
        -append "console=ttyS0 quiet loglevel=3 panic=-1" \
        -fsdev local,id=root,path=/,security_model=none,readonly=on,multidevs=remap \
        -device virtio-9p-pci,fsdev=root,mount_tag=root </dev/null \
        | sed -u 's/\r//g; s/\x1b\[[0-9;?]*[A-Za-z]//g; s/\x1bc//g' | tee "$work/console"
}

[ -x "$python" ] || { say "no $python: 'make run' makes it, or name one in PYTHON"; exit 66; }
need_tools qemu-system-x86_64:qemu-system-x86 busybox:busybox-static cpio:cpio \
    v4l2-ctl:v4l-utils modprobe:kmod setpriv:util-linux xz:xz-utils
get_kernel
version=$(ls "$cache/linux/lib/modules")
make_initramfs
say "booting Linux $version"
boot || { say "the guest did not end within $timeout_s s"; exit 1; }
last=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$work/console" | tail -n 1)
[[ $last =~ ^[1-9][0-9]*\ passed,\ 0\ failed$ ]] || { say "failed: ${last:-no result}"; exit 1; }
