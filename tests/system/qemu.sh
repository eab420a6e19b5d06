# Functions of the tests that boot a guest in QEMU; sourced by their run.sh, after `set -euo pipefail`.
# shellcheck shell=bash
#
# The guest runs this checkout. Its kernel is Debian's, its first program guest/init.sh. Variables
# that a user may set: ACCEL, QEMU's accelerator (default tcg, emulation); TIMEOUT_S, the limit for
# all that the guest does.

system=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/system/lib.sh
. "$system/lib.sh"
label=$(basename "$(cd "$(dirname "$0")" && pwd)")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/pi-detector-tests
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# shellcheck disable=SC2034
qemu_machine=(qemu-system-x86_64 -M q35 -cpu max)
# shellcheck disable=SC2034
qemu_console=ttyS0
# shellcheck disable=SC2034
qemu_tools=(qemu-system-x86_64:qemu-system-x86 busybox:busybox-static cpio:cpio modprobe:kmod
    xz:xz-utils)

# Fetch the kernel of this machine's Debian into $cache/linux, once. Nothing of the package is
# installed: its kernel and modules are taken out of it.
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

# Make $work/initramfs.cpio: a kernel without drivers for its disk needs a first root, which mounts
# the true one.
#
# Usage: make_initramfs LINUX SETTING=VALUE...
#   LINUX     folder with boot/vmlinuz-VERSION and lib/modules/VERSION
#   settings  exported by guest/init.sh, which explains them
make_initramfs() {
    local linux=$1 root=$work/initramfs module file version setting
    shift
    version=$(ls "$linux/lib/modules")
    mkdir -p "$root"/{bin,proc,sys,dev,lower,upper,root,modules}
    cp "${BUSYBOX:-$(command -v busybox)}" "$root/bin/busybox"
    for module in virtio_pci virtio_blk ext4 9pnet_virtio 9p overlay; do
        /sbin/modprobe -d "$linux" -S "$version" --show-depends "$module"
    done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' > "$work/modules"
    while read -r file; do
        module=$(basename "${file%.xz}")
        case $file in
            *.xz) xz -dc "$file" > "$root/modules/$module" ;;
            *) cp "$file" "$root/modules/$module" ;;
        esac
        echo "$module" >> "$root/modules/order"
    done < "$work/modules"
    for setting in "$@"; do
        printf 'export %s=%q\n' "${setting%%=*}" "${setting#*=}"
    done > "$root/settings"
    install -m 755 "$system/guest/init.sh" "$root/init"
    (cd "$root" && find . | cpio -o -H newc --quiet) > "$work/initramfs.cpio"
}

# Boot a guest and pass its console on.
#
# Usage: boot LINUX SHARE APPEND [QEMU ARGUMENT...]
#   SHARE   folder of this machine that the guest sees, read-only, as 9p tag "share"
#   APPEND  words for the kernel's command line
boot() {
    local linux=$1 share=$2 append=$3 timeout_s=${TIMEOUT_S:-1800}
    shift 3
    say "booting Linux $(ls "$linux/lib/modules")"
    timeout "$timeout_s" "${qemu_machine[@]}" -accel "${ACCEL:-tcg,thread=multi}" -smp 2 \
        -nodefaults -nographic -no-reboot -serial stdio \
        -kernel "$(echo "$linux"/boot/vmlinuz-*)" -initrd "$work/initramfs.cpio" \
        -append "console=$qemu_console quiet loglevel=3 panic=-1 $append" \
        -fsdev "local,id=share,path=$share,security_model=none,readonly=on,multidevs=remap" \
        -device virtio-9p-pci,fsdev=share,mount_tag=share "$@" </dev/null \
        | sed -u 's/\r//g; s/\x1b\[[0-9;?]*[A-Za-z]//g; s/\x1bc//g' | tee "$work/console" \
        || { say "the guest did not end within $timeout_s s"; exit 1; }
}

# Fail unless the last line of the guest's checks says that all passed.
judge() {
    local last
    last=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$work/console" | tail -n 1)
    [[ $last =~ ^[1-9][0-9]*\ passed,\ 0\ failed$ ]] || { say "failed: ${last:-no result}"; exit 1; }
}
