#!/usr/bin/env bash
# Install pi-detector as a service, from this checkout, or upgrade it: run it again after
# `git pull`. usage: sudo systemd/install.sh
#
# An installation that fails leaves the version before it running. Settings are never overwritten.
# docs/install.md says what comes where.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
checkout=$(dirname "$here")
# shellcheck source=systemd/files.sh
. "$here/files.sh"
# shellcheck source=systemd/venv.sh
. "$here/venv.sh"

lib=/usr/local/lib
folder=/etc/pi-detector
settings=$folder/config.toml
command=/usr/local/bin/pi-detector
# kill, of ExecReload, is in procps.
packages=(python3-venv python3-systemd python3-numpy procps)
version= # of Python
wheels= # a folder with those that were built
backup= # an archive with the files of the version before
previous=
replaced= # 1 from the moment on at which going back takes work

say() { echo "install.sh: $*" >&2; }
refuse() {
	say "$1"
	exit "${2:-69}"
}

check_machine() {
	[ $# -eq 0 ] || refuse "takes no arguments; usage: sudo systemd/install.sh" 64
	[ "$(uname -s)" = Linux ] || refuse "the service needs Linux; 'make run' tries it out anywhere"
	[ "$(id -u)" -eq 0 ] || refuse "needs root: sudo $0" 77
	[ -d /run/systemd/system ] || refuse "systemd does not run this device; 'make run' needs none"
	case $(/usr/bin/python3 -c 'import struct; print(struct.calcsize("P"))' 2>/dev/null) in
		8) ;;
		4) refuse "this system is 32-bit, for which there is no LiteRT: use 64-bit Raspberry Pi OS" ;;
		*) refuse "no /usr/bin/python3: sudo apt install python3" ;;
	esac
	version=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
	case $version in
		3.11 | 3.12 | 3.13) ;;
		*) refuse "Python $version: needs 3.11 to 3.13 (Raspberry Pi OS bookworm or trixie)" ;;
	esac
	if [ "$(dpkg-query -W -f '${db:Status-Status}' pi-detector 2>/dev/null)" = installed ]; then
		refuse "the Debian package is installed; upgrade that, or first: sudo apt remove pi-detector"
	fi
}

# Whether one of the settings files records clips, which PyAV writes: FFmpeg comes along with it, so
# it is not installed where nobody needs it.
wants_clips() {
	/usr/bin/python3 - "$@" <<-'END'
		import sys, tomllib
		def records(path):
		    try:
		        with open(path, "rb") as file:
		            recording = tomllib.load(file).get("recording", {})
		        return recording.get("enabled", False) and recording.get("clips", True)
		    except (OSError, ValueError, AttributeError):  # whoever reads it next says what is wrong
		        return False
		sys.exit(not any(map(records, sys.argv[1:])))
	END
}

need_packages() {
	local package missing=()
	if grep -qs '^Raspberry Pi' /proc/device-tree/model; then
		packages+=(python3-picamera2)
	fi
	if wants_clips "$folder"/*.toml; then
		packages+=(python3-av)
	fi
	for package in "${packages[@]}"; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
			missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	say "installing ${missing[*]}"
	apt-get -qq update || say "the package lists could not be updated; trying with those that are here"
	if [[ " ${missing[*]} " == *" python3-picamera2 "* ]] && ! apt-cache show python3-picamera2 >/dev/null 2>&1; then
		say "apt knows no python3-picamera2: cameras on the Pi's connector will not work"
		missing=("${missing[@]/python3-picamera2/}")
	fi
	# shellcheck disable=SC2068 # an emptied name must vanish
	DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends ${missing[@]} >&2
}

# Build our wheel and those that no index has, as a user of the moment, in a sandbox: a build runs
# code of others. It gets the sources by a pipe, and gives the wheels by another.
build_wheels() {
	local name variables=()
	for name in $(compgen -e); do
		case $name in PIP_* | *_proxy | *_PROXY | SSL_CERT_FILE) variables+=("--setenv=$name") ;; esac
	done
	wheels=$(mktemp --directory)
	tar --create --directory "$checkout" --exclude __pycache__ --exclude 'models/*.pt' \
		LICENSE README.md models pi_detector pyproject.toml systemd |
		systemd-run --quiet --pipe --wait --collect "${variables[@]}" \
			--setenv=HOME=/var/tmp --setenv=TMPDIR=/var/tmp \
			--property DynamicUser=yes --property ProtectHome=yes --property PrivateDevices=yes \
			--property CapabilityBoundingSet= \
			bash -euc 'cd "$(mktemp --directory)"
				tar --extract --no-same-owner
				systemd/build_wheels.sh /usr/bin/python3 . wheels >&2
				tar --create --directory wheels .' >"$wheels/built.tar" ||
		refuse "the wheels could not be built (see above)"
	tar --extract --file "$wheels/built.tar" --directory "$wheels" --no-same-owner --wildcards './*.whl'
}

make_environment() {
	build_wheels
	venv_make
	venv_install --require-hashes --requirement "$here/requirements/python$version.txt"
	venv_install --no-index --no-deps "$wheels"/*.whl
	venv_try
}

# A new version that does not understand the old settings is not put in their place.
check_settings() {
	[ -e "$settings" ] || return 0
	"$VENV_MADE/bin/pi-detector" config check "$settings" >/dev/null ||
		refuse "the new version does not accept $settings (see above): change it, and try again" 78
}

keep_previous() {
	previous=$(venv_current)
	backup=$(mktemp)
	files_list "$lib" "$systemd" | cut -f 2 |
		tar --create --file "$backup" --absolute-names --ignore-failed-read --files-from - 2>/dev/null
}

put_in_place() {
	replaced=1
	files_install / "$lib" "$systemd"
	[ -e "$settings" ] || install -D -m 644 "$here/config.toml" "$settings"
	systemd-sysusers "$lib/sysusers.d/pi-detector.conf"
	systemd-tmpfiles --create "$lib/tmpfiles.d/pi-detector.conf"
	venv_use "$VENV_MADE"
	mkdir -p "$(dirname "$command")"
	ln -sfn "$VENV/bin/pi-detector" "$command"
	reload_managers
}

reload_managers() {
	systemctl daemon-reload
	! systemctl --quiet is-active systemd-udevd || udevadm control --reload
}

# A service that was switched off stays off.
start() {
	systemctl reset-failed 'pi-detector*' 2>/dev/null || :
	[ -n "$previous" ] || systemctl --quiet enable pi-detector.service
	if systemctl --quiet is-enabled pi-detector.service; then
		systemctl restart pi-detector.service
	fi
	systemctl try-restart 'pi-detector@*.service'
}

# Leave the machine as it was, or what is there for a look where nothing was before.
at_exit() {
	local code=$?
	if [ "$code" -ne 0 ]; then
		if [ -n "$replaced" ] && [ -n "$previous" ]; then
			say "going back to the version before"
			tar --extract --file "$backup" --absolute-names --no-overwrite-dir
			venv_use "$previous"
			reload_managers
			start || say "the version before does not start either"
		fi
		if [ -n "$replaced" ] && [ -z "$previous" ]; then
			say "installed, but the service does not start: journalctl -u pi-detector"
		else
			[ -z "${VENV_MADE:-}" ] || rm -rf "$VENV_MADE"
			say "failed; the machine is as it was"
		fi
	fi
	[ -z "$backup" ] || rm "$backup"
	[ -z "$wheels" ] || rm -rf "$wheels"
}

check_machine "$@"
trap at_exit EXIT
systemd=$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
need_packages
say "making the virtual environment; takes minutes on a Pi Zero"
make_environment
check_settings
keep_previous
put_in_place
start
venv_tidy
say "done: systemctl status pi-detector; settings are in $settings"
if [[ " ${packages[*]} " != *" python3-av "* ]] && ! /usr/bin/python3 -c 'import av' 2>/dev/null; then
	say "to record clips of events: sudo apt install python3-av, and recording.enabled = true"
fi
