#!/usr/bin/env bash
# Detection on Debian arm64, with the aarch64 wheels of our dependencies, under user-mode QEMU.
# README.md beside this file explains; usage: run.sh [PICTURE]
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/system/lib.sh
. "$here/../lib.sh"
suite=${SUITE:-bookworm}
label="arm64 $suite"
python=${PYTHON:-python3}
work=${WORK:-$checkout/build/arm64-$suite}
root=$work/root
site=$work/site
picture=${1:+$(realpath "$1")}
model=${MODEL:+$(realpath "$MODEL")}
labels=${LABELS:+$(realpath "$LABELS")}

case $suite in
    bookworm) version=3.11 ;;
    trixie) version=3.13 ;;
    *) echo "SUITE=$suite: use bookworm or trixie" >&2; exit 64 ;;
esac

make_root() {
    [ -e "$root/.made" ] && return
    say "extracting Debian"
    rm -rf "$root"
    mmdebstrap --quiet --arch=arm64 --variant=extract \
        --include=python3,libstdc++6,libgcc-s1,zlib1g "$suite" "$root"
    [ -e "$root/lib" ] || ln -s usr/lib "$root/lib"
    # QEMU looks for a file under its -L folder before it takes the host's.
    mkdir -p "$root/proc"
    "$python" "$here/cpuinfo.py" "$(nproc --all)" > "$root/proc/cpuinfo"
    touch "$root/.made"
}

# All but what build_wheels.sh builds must come as aarch64 wheels, as on a Raspberry Pi.
install_wheels() {
    local platforms=() glibc
    for glibc in 2_17 2_24 2_26 2_27 2_28 2_31 2_34 2_35 2_36; do
        platforms+=(--platform "manylinux_${glibc}_aarch64")
    done
    say "installing aarch64 wheels for Python $version"
    rm -rf "$site" "$work/wheels"
    "$checkout/systemd/build_wheels.sh" "$python" "$checkout" "$work/wheels"
    "$python" -m pip install -q --no-warn-conflicts --target "$site" --only-binary=:all: \
        --python-version "$version" --implementation cp \
        "${platforms[@]}" --platform manylinux2014_aarch64 \
        --find-links "$work/wheels" "$work"/wheels/pi_detector-*.whl
}

on_arm64() {
    PYTHONPATH=$site PYTHONDONTWRITEBYTECODE=1 \
        qemu-aarch64 -cpu cortex-a72 -L "$root" "$root/usr/bin/python3" "$@"
}

need_tools mmdebstrap:mmdebstrap qemu-aarch64:qemu-user arch-test:arch-test
mkdir -p "$work"
cd "$work" # away from the checkout, whose package Python would find first
make_root
install_wheels
say "$(on_arm64 -c 'import platform as p; print(p.machine(), "Python", p.python_version())')"

options=(${model:+--model "$model"} ${labels:+--labels "$labels"})
if [ -n "$picture" ]; then
    on_arm64 -m pi_detector detect "$picture" --format jsonl "${options[@]}" > "$work/records.jsonl"
    "$python" "$here/check.py" < "$work/records.jsonl"
else
    on_arm64 -m pi_detector run --source demo: --frames 3 "${options[@]}" > "$work/records.jsonl"
    "$python" "$here/check.py" person < "$work/records.jsonl"
fi
say "passed; records are in $work/records.jsonl"
