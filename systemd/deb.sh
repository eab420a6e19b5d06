#!/usr/bin/env bash
# Build the Debian package, with all wheels that it needs to be installed without a network, into
# dist/. usage: deb.sh [SUITE] [ARCH]: bookworm or trixie, arm64 or amd64; default this device's
#
# Any architecture is built on any: nothing is compiled, and the wheels are the index's.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
checkout=$(dirname "$here")
suite=${1:-$(. /etc/os-release && echo "${VERSION_CODENAME:-}")}
arch=${2:-$(dpkg --print-architecture)}
python=${PYTHON:-$checkout/.venv/bin/python}
work=$checkout/build/deb/$suite-$arch

say() { echo "deb.sh: $*" >&2; }

# What the suite has: its Python, and its systemd.
case $suite in
	bookworm) version=3.11 next=3.12 systemd=252 release=deb12 ;;
	trixie) version=3.13 next=3.14 systemd=257 release=deb13 ;;
	*) say "SUITE=$suite: use bookworm or trixie"; exit 64 ;;
esac
case $arch in
	arm64) machine=aarch64 ;;
	amd64) machine=x86_64 ;;
	*) say "ARCH=$arch: use arm64 or amd64"; exit 64 ;;
esac
for tool in dpkg-buildpackage:dpkg-dev dh:debhelper; do
	command -v "${tool%%:*}" >/dev/null || { say "no ${tool%%:*}: sudo apt install ${tool##*:}"; exit 69; }
done

# Markers of the requirements would be those of this device; the locked ones have none.
get_wheels() {
	local platforms=() glibc
	for glibc in 2_17 2_24 2_26 2_27 2_28 2_31 2_34 2_35 2_36; do
		platforms+=(--platform "manylinux_${glibc}_$machine")
	done
	"$here/build_wheels.sh" "$python" "$checkout" "$work/wheels"
	"$python" -m pip download -q -d "$work/wheels" --only-binary=:all: --no-deps --require-hashes \
		--requirement "$here/requirements/python$version.txt" \
		--python-version "$version" --implementation cp \
		"${platforms[@]}" --platform "manylinux2014_$machine"
}

make_tree() {
	local wheel date
	wheel=$(basename "$work"/wheels/pi_detector-*.whl)
	wheel=${wheel#pi_detector-}
	full=${wheel%%-*}+$release
	date=$(git -C "$checkout" log -1 --format=%aD 2>/dev/null || date -R)
	tree=$work/pi-detector-$full
	mkdir "$tree" "$tree/systemd"
	cp -r "$here/debian" "$tree/debian"
	cp -rL "$here"/*.service "$here"/*.service.d "$here"/*.{conf,sysusers,tmpfiles,rules,toml,txt} \
		"$here"/{files,venv}.sh "$tree/systemd/"
	cp -r "$checkout/README.md" "$checkout/docs" "$tree/"
	mv "$work/wheels" "$tree/wheels"
	printf 'pi-detector (%s) %s; urgency=medium\n\n  * See CHANGELOG.md of the source.\n\n -- %s  %s\n' \
		"$full" "$suite" "$(sed -n 's/^Maintainer: //p' "$here/debian/control")" "$date" \
		>"$tree/debian/changelog"
}

rm -rf "$work"
mkdir -p "$work" "$checkout/dist"
say "getting wheels for Python $version on $machine"
get_wheels
make_tree
say "building"
(cd "$tree" && SYSTEMD=$systemd PYTHON_DEPENDS="python3 (>= $version~), python3 (<< $next~)" \
	dpkg-buildpackage --build=binary --no-sign --no-check-builddeps --host-arch "$arch" >"$work/log" 2>&1) ||
	{ tail -n 30 "$work/log" >&2; exit 1; }
mv "$work/pi-detector_${full}_$arch.deb" "$checkout/dist/"
rm -rf "$tree"
echo "dist/pi-detector_${full}_$arch.deb"
