# shellcheck shell=bash
# What the scripts of tests/system share. They set `label`, the start of their messages. PYTHON is
# the interpreter of the tests.

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
python=${PYTHON:-$checkout/.venv/bin/python}

say() { echo "${label:?}: $*" >&2; }

# Install packages, with sudo unless root. usage: install_packages PACKAGE...
install_packages() {
    say "installing $*"
    local sudo=()
    [ "$(id -u)" -eq 0 ] || sudo=(sudo)
    "${sudo[@]}" apt-get -qq update
    "${sudo[@]}" apt-get -qq install -y --no-install-recommends "$@"
}

# Install the packages of tools that are missing. usage: need_tools TOOL:PACKAGE...
need_tools() {
    local pair missing=()
    for pair in "$@"; do
        PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
    done
    [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
}

# Run tests instead of this script. usage: run_pytest PYTEST-ARGUMENT...
run_pytest() {
    cd "$checkout" || exit
    exec "$python" -m pytest "$@"
}
