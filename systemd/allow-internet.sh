#!/usr/bin/env bash
# Let the service reach the internet, for messages to services there; or forbid it again.
# usage: sudo allow-internet.sh [--forbid]
#
# The unit allows the local network alone. This writes a drop-in of systemd for it and for all
# instances; uninstalling removes that too. docs/notify.md says what it costs.
set -euo pipefail

folders=(/etc/systemd/system/pi-detector.service.d /etc/systemd/system/pi-detector@.service.d)
name=30-internet.conf

say() { echo "allow-internet.sh: $*" >&2; }

forbid=
case ${1:-} in
	'') ;;
	--forbid) forbid=1 ;;
	*)
		say "usage: sudo $0 [--forbid]"
		exit 64
		;;
esac
[ "$(id -u)" -eq 0 ] || {
	say "needs root: sudo $0"
	exit 77
}
[ -d /run/systemd/system ] || {
	say "systemd does not run this machine, so nothing is forbidden"
	exit 69
}

for folder in "${folders[@]}"; do
	if [ -n "$forbid" ]; then
		rm -f "$folder/$name"
		[ ! -d "$folder" ] || rmdir --ignore-fail-on-non-empty "$folder"
	else
		mkdir -p "$folder"
		cat >"$folder/$name" <<-'END'
			# Written by allow-internet.sh, which also removes it (--forbid).
			[Service]
			IPAddressAllow=any
		END
		chmod 644 "$folder/$name"
	fi
done
systemctl daemon-reload
# Instances and services that do not run stay so.
systemctl try-restart pi-detector.service 'pi-detector@*.service'
if [ -n "$forbid" ]; then
	say "done: the service reaches the local network alone"
else
	say "done: the service reaches the internet; to forbid it again: sudo $0 --forbid"
fi
