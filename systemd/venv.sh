# shellcheck shell=bash
# The virtual environment of the service: made beside the old one, then put in its place.
# Read by install.sh and by the package's postinst.
#
# /opt/pi-detector is a link to a folder with an accidental name. A virtual environment holds its
# own path and cannot be moved, but a link can be: an installation that fails half-way leaves the
# old one working, and going back is one step.

VENV=/opt/pi-detector

# Make an environment, and set VENV_MADE to its folder.
venv_make() {
	local made
	umask 022
	made=$(mktemp --directory "$VENV.XXXXXXXX")
	# shellcheck disable=SC2034 # for the caller
	VENV_MADE=$made
	chmod 755 "$made"
	/usr/bin/python3 -m venv --system-site-packages "$made"
}

# Install wheels into the environment that was made, as pip's arguments name them. Nothing is built:
# that would run code of others as root. numpy is apt's, against which picamera2 was compiled, and
# in no list of ours.
venv_install() {
	"$VENV_MADE/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir \
		--root-user-action=ignore --only-binary=:all: "$@"
}

# See that what was made runs.
venv_try() { "$VENV_MADE/bin/pi-detector" --version >/dev/null; }

# Let the link point to the folder.
venv_use() {
	ln -sfn "$1" "$VENV.link"
	mv -T "$VENV.link" "$VENV"
}

# The folder in use; nothing where there is none.
venv_current() { readlink "$VENV" || :; }

# Remove all environments but the one in use.
venv_tidy() {
	local folder current
	current=$(venv_current)
	for folder in "$VENV".????????; do
		[ ! -d "$folder" ] || [ "$folder" = "$current" ] || rm -rf "$folder"
	done
}

# Remove all environments.
venv_remove() { rm -rf "$VENV" "$VENV.link" "$VENV".????????; }
