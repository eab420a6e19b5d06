"""All settings as one file: the texts of the settings file and of those that the page wrote."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping

import tomli_w

from pi_detector.config.drawn import DRAWN_NAME
from pi_detector.config.owned import PAGE_NAME
from pi_detector.errors import ConfigError

CONFIG_NAME = "config.toml"
NAMES = (CONFIG_NAME, DRAWN_NAME, PAGE_NAME)
"""What a backup may hold: the settings file, what was drawn, what was changed on the page."""

_HEADER = """\
# A backup of the settings of pi-detector, each file with its comments. 'pi-detector config restore'
# puts them back. Secrets in files of their own (${secret:NAME}) are not in it.

"""
_VERSION = 1


def backup_toml(files: Mapping[str, str]) -> str:
    """The text of a backup.

    Args:
        files: texts by name, of ``NAMES``.
    """
    return _HEADER + tomli_w.dumps(
        {"backup": _VERSION, "files": dict(files)}, multiline_strings=True
    )


def files_of(text: str) -> dict[str, str]:
    """The texts in a backup, by name.

    Raises:
        ConfigError: it is no backup, or one of a later version.
    """
    try:
        tree = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"backup: not valid TOML: {error}; choose another file") from error
    if tree.get("backup") != _VERSION:
        raise ConfigError(
            f"backup: not a backup of settings in version {_VERSION}; choose a file that "
            "'pi-detector config backup' wrote"
        )
    files = tree.get("files")
    if not isinstance(files, dict) or not all(
        name in NAMES and isinstance(content, str) for name, content in files.items()
    ):
        raise ConfigError(f"backup: holds other files than {', '.join(NAMES)}; choose another one")
    return files
