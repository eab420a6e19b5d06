#!/bin/sh
# Hash the password of the user pi-detector, and start the broker. No password in any command line.
set -eu

passwords=/tmp/passwords
# Asked twice. (-U, which hashes a file, cuts a password at a colon.)
{ cat /run/secrets/mqtt_password && echo && cat /run/secrets/mqtt_password && echo; } |
	grep . | mosquitto_passwd -c "$passwords" pi-detector >/dev/null
exec mosquitto -c /mosquitto/config/mosquitto.conf
