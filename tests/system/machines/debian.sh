# shellcheck shell=bash
# What the tests on machines with a real systemd need: a Debian, the package, pytest. Read by their
# run.sh after lib.sh; it sets `name`, of the tests. SUITE is bookworm (default) or trixie.

: "${checkout:?}" "${python:?}" # of lib.sh
suite=${SUITE:-bookworm}
work=$checkout/build/${name:?}-$suite
# shellcheck disable=SC2034 # for say
label="$name $suite"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/pi-detector-tests

# Become root, and have the tools. usage: prepare SCRIPT [ARGUMENT...]
prepare() {
    [ "$(id -u)" -eq 0 ] || exec sudo --preserve-env=SUITE,PYTHON,FLEET_VENV,XDG_CACHE_HOME,HOME "$@"
    [ -x "$python" ] || { say "no $python: 'make lint' makes it, or name one in PYTHON"; exit 66; }
    need_tools mmdebstrap:mmdebstrap systemd-nspawn:systemd-container dpkg-buildpackage:dpkg-dev \
        dh:debhelper lintian:lintian setpriv:util-linux
    mkdir -p "$work"
}

# Make the file system $work/root. The lists of packages stay in it, so that apt works inside.
# usage: make_root PACKAGE...
make_root() {
    local packages tarball root=$work/root
    packages=$(IFS=, && echo "$*")
    tarball=$cache/service-$suite-$(cksum <<<"$packages" | cut -d ' ' -f 1).tar
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

# Build the package, and name it in `deb`. Its wheels, in $work/wheels, serve the installation from
# a checkout as well, which builds some itself: it gets what these are built with and from.
make_package() {
    say "building the package"
    deb=$checkout/$(PYTHON=$python "$checkout/systemd/deb.sh" "$suite" "$(dpkg --print-architecture)")
    rm -rf "$work/wheels" "$work/package"
    dpkg-deb --extract "$deb" "$work/package"
    mv "$work/package/usr/lib/pi-detector/wheels" "$work/wheels"
    rm -rf "$work/package" "$work"/wheels/{pi_detector,imutils}-*.whl
    "$python" -m pip download -q -d "$work/wheels" --no-deps --require-hashes \
        -r "$checkout/systemd/requirements/build.txt"
    "$python" -m pip download -q -d "$work/wheels" --no-deps --require-hashes --no-binary :all: \
        -r "$checkout/systemd/requirements/source.txt"
}

# usage: run_tests FOLDER [PYTEST-ARGUMENT...]
run_tests() {
    cd "$checkout" || exit
    SUITE=$suite MACHINES_WORK=$work MACHINES_DEB=$deb PYTHONPATH=$checkout/tests/system/machines \
        "$python" -m pytest -p given --timeout 600 --durations 10 "$@"
}
