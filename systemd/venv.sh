# shellcheck shell=bash
# The virtual environment of the service: made beside the old one, then put in its place.
# Read by install.sh and by the package's postinst.
#
# /opt/pi-detector is a link to a folder with an accidental name. A virtual environment holds its
# own path and cannot be moved, but a link can be: an installation that fails half-way leaves the
# old one working, and going back is one step.

VENV=/opt/pi-detector

# Make an environment from what pip's arguments name, and set VENV_MADE to its folder.
venv_make() {
	local python=/usr/bin/python3 made
	umask 022
	made=$(mktemp --directory "$VENV.XXXXXXXX")
	# shellcheck disable=SC2034 # for the caller
	VENV_MADE=$made
	chmod 755 "$made"
	"$python" -m venv --system-site-packages "$made"
	# apt's picamera2 was compiled against apt's numpy: pip must not put another one over it.
	"$python" -c 'import numpy; print("numpy==" + numpy.__version__)' >"$made/constraints.txt" \
		2>/dev/null || : >"$made/constraints.txt"
	"$made/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir \
		--root-user-action=ignore --constraint "$made/constraints.txt" "$@"
	"$made/bin/pi-detector" --version >/dev/null
}

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
