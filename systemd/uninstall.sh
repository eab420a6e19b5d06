#!/usr/bin/env bash
# Remove the service that install.sh installed, with its user, settings, secrets, logs and state.
# usage: sudo systemd/uninstall.sh [--keep-data]
#
# --keep-data leaves settings, secrets, logs, state, own drop-ins, and the user who owns them.
# Packages that came with apt stay.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=systemd/files.sh
. "$here/files.sh"
# shellcheck source=systemd/venv.sh
. "$here/venv.sh"

lib=/usr/local/lib
command=/usr/local/bin/pi-detector
keep_data=

say() { echo "uninstall.sh: $*" >&2; }

case ${1:-} in
	'') ;;
	--keep-data) keep_data=1 ;;
	*)
		say "usage: sudo systemd/uninstall.sh [--keep-data]"
		exit 64
		;;
esac
[ "$(id -u)" -eq 0 ] || {
	say "needs root: sudo $0"
	exit 77
}
if [ "$(dpkg-query -W -f '${db:Status-Status}' pi-detector 2>/dev/null)" = installed ]; then
	say "the Debian package is installed: sudo apt purge pi-detector"
	exit 69
fi

units() { systemctl list-units --all --plain --no-legend 'pi-detector.service' 'pi-detector@*.service' | cut -d ' ' -f 1; }
enabled() { find /etc/systemd/system -type l -name 'pi-detector@*.service' -printf '%f\n'; }

mapfile -t all < <({ echo pi-detector.service; units; enabled; } | sort -u)
systemctl --quiet disable --now "${all[@]}" 2>/dev/null || :
systemctl --quiet stop "${all[@]}" 2>/dev/null || :
files_remove "$lib"
[ "$(readlink "$command" || :)" != "$VENV/bin/pi-detector" ] || rm "$command"
venv_remove
if [ -z "$keep_data" ]; then
	rm -rf /etc/pi-detector /var/lib/pi-detector /var/log/pi-detector /run/pi-detector* \
		/etc/systemd/system/pi-detector.service.d /etc/systemd/system/pi-detector@*.service.d
	! getent passwd pi-detector >/dev/null || userdel pi-detector
	! getent group pi-detector >/dev/null || groupdel pi-detector
fi
systemctl daemon-reload
systemctl reset-failed "${all[@]}" 2>/dev/null || :
! systemctl --quiet is-active systemd-udevd || udevadm control --reload
say "removed"
