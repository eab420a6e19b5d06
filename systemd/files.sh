# shellcheck shell=bash
# The files of files.txt: read by install.sh, uninstall.sh and the package's rules.

FILES_FROM=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Lines FILE TARGET MODE of what a version of systemd gets. usage: files_list LIB SYSTEMD
files_list() {
	local file target mode oldest
	while read -r file target mode oldest; do
		case $file in '#'* | '') continue ;; esac
		[ "$2" -ge "${oldest:-0}" ] || continue
		printf '%s\t%s\t%s\n' "$file" "${target/@LIB@/$1}" "$mode"
	done <"$FILES_FROM/files.txt"
}

# Install them under a root, / or a package's. usage: files_install ROOT LIB SYSTEMD
files_install() {
	local file target mode
	while IFS=$'\t' read -r file target mode; do
		install -D -m "$mode" "$FILES_FROM/$file" "${1%/}$target"
	done < <(files_list "$2" "$3")
}

# Remove them, and the folders that become empty, up to LIB. usage: files_remove LIB
files_remove() {
	local target
	while IFS=$'\t' read -r _ target _; do
		rm -f "$target"
		target=${target#"$1/"}
		(cd "$1" && rmdir --parents --ignore-fail-on-non-empty "${target%/*}") 2>/dev/null || :
	done < <(files_list "$1" 9999)
}
