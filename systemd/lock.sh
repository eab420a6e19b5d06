#!/usr/bin/env bash
# Lock what install.sh and the Debian package install, in requirements/: versions, and hashes of the
# files that the index has of them. usage: lock.sh UV [--upgrade]
#
# Versions stay as they are where they satisfy pyproject.toml; --upgrade takes the newest.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
checkout=$(dirname "$here")
uv=$1
shift
locks=$here/requirements
work=$(mktemp --directory)
trap 'rm -rf "$work"' EXIT

# What the variables of uv say must not find its way into the files.
compile() {
	"$uv" pip compile --quiet --no-config --no-annotate --generate-hashes \
		--custom-compile-command "make lock" "$@" >/dev/null
}

# The packages of a Python, beside the numpy that apt has of it: bookworm's, Ubuntu 24.04's, trixie's.
lock_device() {
	local version=$1 numpy=$2 machine file
	shift 2
	# backports-strenum 1.3 is for Python below 3.11: uv does not heed such an upper limit, pip does.
	printf '%s\n' "numpy==$numpy" "backports-strenum<1.3" >"$work/constraints.txt"
	for machine in aarch64 x86_64; do
		file=$work/python$version-$machine.txt
		[ ! -e "$locks/python$version.txt" ] || cp "$locks/python$version.txt" "$file"
		compile --python-version "$version" --python-platform "$machine-manylinux_2_36" \
			--extra web --constraint "$work/constraints.txt" \
			--only-binary :all: --no-binary imutils --no-emit-package imutils --no-emit-package numpy \
			--output-file "$file" "$@" "$checkout/pyproject.toml"
	done
	cmp "$work/python$version-aarch64.txt" "$file" || {
		echo "lock.sh: aarch64 and x86-64 would need different versions for Python $version" >&2
		exit 1
	}
	cp "$file" "$locks/python$version.txt"
}

# What build_wheels.sh builds with, and from.
lock_build() {
	python3 -c '
import sys, tomllib
print(*tomllib.load(sys.stdin.buffer)["build-system"]["requires"], "setuptools", sep="\n")
' <"$checkout/pyproject.toml" >"$work/build.in"
	compile --python-version 3.11 --only-binary :all: \
		--output-file "$locks/build.txt" "$@" "$work/build.in"
	echo imutils >"$work/source.in"
	compile --python-version 3.11 --no-binary :all: --no-deps \
		--output-file "$locks/source.txt" "$@" "$work/source.in"
}

mkdir -p "$locks"
lock_device 3.11 1.24.2 "$@"
lock_device 3.12 1.26.4 "$@"
lock_device 3.13 2.2.4 "$@"
lock_build "$@"
! grep -n :// "$locks"/*.txt # no address of an index
