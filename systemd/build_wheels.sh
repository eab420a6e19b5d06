#!/usr/bin/env bash
# Build the wheels that no index has: pi-detector's own, and those of requirements/source.txt. They
# are pure Python, for any machine. usage: build_wheels.sh PYTHON CHECKOUT OUT
#
# A build runs code of others: what it builds with and from is locked, and root has no business here.
set -euo pipefail

python=$1
checkout=$2
out=$3
locks=$(cd "$(dirname "$0")" && pwd)/requirements
work=$(mktemp --directory)
trap 'rm -rf "$work"' EXIT

pip() {
	local command=$1
	shift
	"$work/venv/bin/python" -m pip "$command" --quiet --disable-pip-version-check --no-cache-dir "$@"
}

"$python" -m venv "$work/venv"
pip install --require-hashes --only-binary=:all: --requirement "$locks/build.txt"
# --use-pep517: the pip of bookworm would call setup.py in a way that needs the package wheel.
pip wheel --use-pep517 --no-build-isolation --no-deps --wheel-dir "$out" \
	--require-hashes --requirement "$locks/source.txt"
pip wheel --no-build-isolation --no-deps --wheel-dir "$out" "$checkout"
