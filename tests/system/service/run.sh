#!/usr/bin/env bash
# The service under a real systemd: installation, package, hardening, faults, in containers.
# README.md beside this file explains; usage: run.sh [PYTEST-ARGUMENTS]
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
checkout=$(cd "$here/../../.." && pwd)
# shellcheck source=tests/system/lib.sh
. "$here/../lib.sh"
suite=${SUITE:-bookworm}
label="service $suite"
python=${PYTHON:-$checkout/.venv/bin/python}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/pi-detector-tests
work=$checkout/build/service-$suite
packages=systemd-sysv,dbus,udev,kmod,procps,ca-certificates,python3,python3-venv,python3-systemd,python3-numpy,iproute2
tarball=$cache/service-$suite-$(cksum <<<"$packages" | cut -d ' ' -f 1).tar
root=$work/root

# The lists of packages stay in it, so that apt works inside.
make_root() {
    if [ ! -e "$tarball" ]; then
        say "making a Debian"
        mkdir -p "$cache"
        mmdebstrap --quiet --variant=minbase --skip=cleanup/apt/lists --include="$packages" \
            "$suite" "$work/root.tar"
        mv "$work/root.tar" "$tarball"
    fi
    [ "$tarball" -ot "$root" ] && return
    rm -rf "$root"
    mkdir "$root"
    tar --extract --file "$tarball" --directory "$root"
    touch "$root"
}

# The wheels of the package serve the installation from a checkout as well, which builds its own
# and needs the build backend for that.
make_package() {
    say "building the package"
    deb=$checkout/$(PYTHON=$python "$checkout/systemd/deb.sh" "$suite" "$(dpkg --print-architecture)")
    rm -rf "$work/wheels" "$work/package"
    dpkg-deb --extract "$deb" "$work/package"
    mv "$work/package/usr/lib/pi-detector/wheels" "$work/wheels"
    rm -rf "$work/package" "$work"/wheels/pi_detector-*.whl
    "$python" -m pip download -q --only-binary=:all: -d "$work/wheels" 'hatchling>=1.25'
}

[ "$(id -u)" -eq 0 ] || exec sudo --preserve-env=SUITE,PYTHON,XDG_CACHE_HOME,HOME "$0" "$@"
[ -x "$python" ] || { say "no $python: 'make lint' makes it, or name one in PYTHON"; exit 66; }
need_tools mmdebstrap:mmdebstrap systemd-nspawn:systemd-container dpkg-buildpackage:dpkg-dev \
    dh:debhelper lintian:lintian setpriv:util-linux
mkdir -p "$work"
make_root
make_package
cd "$checkout"
SUITE=$suite SERVICE_TEST_WORK=$work SERVICE_TEST_DEB=$deb \
    "$python" -m pytest --timeout 600 --durations 10 "$here" "$@"
