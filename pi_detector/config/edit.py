"""Change settings in a file, and leave the rest of it alone."""

from __future__ import annotations

import copy
import re
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pi_detector.errors import ConfigError, SettingsUnwritableError
from pi_detector.util.whole_files import sync_folder, write_aside

Values = Mapping[str, str | int]


def change_settings(file: Path, section: str, values: Values) -> None:
    """Set values of a section; the file's comments and formatting stay.

    The file is replaced atomically and keeps its owner, group and mode; if it is a link, the target
    is replaced.

    Args:
        file: a settings file that ``load_settings`` accepts.
        section: name of a table.
        values: values by name of the setting.

    Raises:
        SettingsUnwritableError: the file cannot be replaced.
        ConfigError: its formatting cannot be kept.
    """
    path = file.resolve()
    with path.open(encoding="utf-8", newline="") as opened:
        text = opened.read()
    bom = "\ufeff" if text.startswith("\ufeff") else ""
    changed = with_values(text.removeprefix(bom), section, values)
    try:
        _replace(path, (bom + changed).encode())
    except OSError as error:
        raise unwritable(file, error) from error


def check_changeable(file: Path) -> None:
    """Check that the file can be replaced.

    Raises:
        SettingsUnwritableError: it cannot.
    """
    try:
        with tempfile.TemporaryFile(dir=file.resolve().parent):
            return
    except OSError as error:
        raise unwritable(file, error) from error


def unwritable(file: Path, error: OSError) -> SettingsUnwritableError:
    """The error of a settings file that cannot be replaced."""
    return SettingsUnwritableError(
        f"{file}: cannot be changed ({error.strerror}); run the command with sudo, or name another "
        "file with --config"
    )


def with_values(text: str, section: str, values: Values) -> str:
    """Return the text with values of a section set.

    An existing value is replaced. A new one replaces its comment (``#name = ...``, as ``config
    init`` writes it), else it follows the header of its section, else the end of the text.

    Raises:
        ConfigError: the change would affect something else, for example because a multi-line string
            looks like a header.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    before: dict[str, Any] = tomllib.loads(text)
    wanted = copy.deepcopy(before)
    wanted.setdefault(section, {}).update(values)
    for name in values.keys() - before.get(section, {}).keys():
        text = _with_line(text, section, name, values[name])
    try:
        document = tomlkit.parse(text)
        table: Any = document.setdefault(section, tomlkit.table())
        for name, value in values.items():
            if table.get(name) != value:
                table[name] = value
        changed = tomlkit.dumps(document)
        is_right = tomllib.loads(changed) == wanted
    except (TOMLKitError, ValueError):
        is_right = False
    if not is_right:
        lines = ", ".join(_line(name, value) for name, value in values.items())
        raise ConfigError(f"[{section}]: cannot be edited automatically; write by hand: {lines}")
    return changed


def _line(name: str, value: str | int) -> str:
    import tomlkit

    return f"{name} = {tomlkit.item(value).as_string()}"


def _with_line(text: str, section: str, name: str, value: str | int) -> str:
    """The text with a line for a setting, under the header of its section if there is one."""
    line = _line(name, value)
    header = re.search(rf"(?m)^[ \t]*\[[ \t]*{section}[ \t]*\][ \t]*(#.*?)?(?=\r?$)", text)
    if header is None:
        return text
    following = re.compile(r"(?m)^[ \t]*\[").search(text, header.end())
    end = len(text) if following is None else following.start()
    comment = re.compile(rf"(?m)^#[ \t]?{name}[ \t]*=.*?(?=\r?$)").search(text, header.end(), end)
    if comment is not None:
        return f"{text[: comment.start()]}{line}{text[comment.end() :]}"
    newline = "\r\n" if text.startswith("\r", header.end()) else "\n"
    return f"{text[: header.end()]}{newline}{line}{text[header.end() :]}"


def _replace(path: Path, data: bytes) -> None:
    status = path.stat()
    write_aside(
        path,
        lambda file: file.write(data),
        mode=status.st_mode & 0o7777,
        owner=(status.st_uid, status.st_gid),
    )
    sync_folder(path.parent)
