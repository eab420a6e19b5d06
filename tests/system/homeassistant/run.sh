#!/usr/bin/env bash
# A real Home Assistant, a real broker, and the daemon between them. usage: run.sh [PYTEST_ARG...]
#
# Home Assistant wants a newer Python than most machines have, so it is installed in a Debian trixie
# of its own, in build/: some minutes and 1.5 GB, once. Needs root. README.md beside this file.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
name=homeassistant
SUITE=trixie
# shellcheck source=tests/system/lib.sh
. "$here/../lib.sh"
# shellcheck source=tests/system/machines/debian.sh
. "$here/../machines/debian.sh"

version=${HOMEASSISTANT:-2026.2.3}

[ "$(id -u)" -eq 0 ] || exec sudo --preserve-env=PYTHON,HOMEASSISTANT,XDG_CACHE_HOME,HOME "$0" "$@"
need_tools mmdebstrap:mmdebstrap unshare:util-linux mosquitto:mosquitto mosquitto_passwd:mosquitto
mkdir -p "$work"
# Some of what it needs has no wheels for this Python.
make_root ca-certificates python3 python3-venv python3-dev gcc g++ libc6-dev

root=$work/root
made=$root/opt/homeassistant-$version-camera
if [ ! -e "$made" ]; then
    say "installing Home Assistant $version; takes minutes"
    rm -rf "$root"/opt/homeassistant*
    install -m 644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
    install -m 644 /etc/resolv.conf "$root/etc/resolv.conf"
    # The integrations' own packages in the versions that this Home Assistant is made for.
    # shellcheck disable=SC2016 # for the other root's shell
    chroot "$root" sh -euc '
        export PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_DISABLE_PIP_VERSION_CHECK=1
        python3 -m venv /opt/homeassistant
        cd /opt/homeassistant
        bin/pip install -qq --no-cache-dir "homeassistant==$1"
        bin/pip install -qq --no-cache-dir \
            --constraint lib/python3*/site-packages/homeassistant/package_constraints.txt \
            paho-mqtt home-assistant-frontend hassil home-assistant-intents \
            numpy av pyturbojpeg
        ' sh "$version"
    touch "$made"
fi

HOMEASSISTANT_ROOT=$root run_pytest -q -s --timeout 600 "$here" "$@"
