"""Resolve secrets that settings refer to: ``rtsp://admin:${secret:camera}@10.0.0.5/live``."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from pi_detector.config.check import conflicts
from pi_detector.config.plugin_tables import plain, typed
from pi_detector.config.settings import Settings
from pi_detector.errors import ConfigError, NoPermissionError

_REFERENCE = re.compile(r"\$\{secret:([^}]*)\}")
IS_REFERENCE = re.compile(r"\$\{secret:[A-Za-z0-9_.-]{1,200}\}")
"""A setting that consists of a reference to a secret only."""
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}")
_MOST_BYTES = 64 * 1024
# With LoadCredential= of a folder, systemd names its files "secret_NAME".
_PREFIXES = ("secret_", "")
SYSTEM_SECRETS = Path("/etc/pi-detector/credentials")
"""Secrets that systemd passes to the service; only root may enter the folder."""


def with_secrets(
    settings: Settings, environ: Mapping[str, str], *, section: str | None = None
) -> Settings:
    """Return the settings with each ``${secret:NAME}`` replaced by the secret of that name.

    A secret is a file in one of ``secret_folders``; a line break at its end is ignored. In a URI it
    is percent-encoded, so that a password may contain any character, unless it is the whole URI.
    Secrets of disabled features (a broker without a host, a disabled page, disabled rules) are not
    read.

    Args:
        settings: settings with references.
        environ: environment variables.
        section: the only section to resolve; None resolves all.

    Raises:
        ConfigError: the secret does not exist or is not one line of UTF-8 text, or the settings are
            invalid with it, for example because a token is too short.
        NoPermissionError: this user may not read it.
    """
    unused = {name for name, used in _in_use(settings).items() if not used}
    tables = plain(settings.plugins)
    tree = msgspec.to_builtins(msgspec.structs.replace(settings, plugins=tables))
    wanted = tree.keys() - unused if section is None else {section}
    for name in wanted:
        tree[name] = _replaced(tree[name], (name,), environ)
    replaced = msgspec.convert(tree, Settings)
    plugins, problems = typed(replaced.plugins)
    replaced = msgspec.structs.replace(replaced, plugins=plugins)
    problems += conflicts(replaced)
    if wrong := [message for _, message in problems]:
        raise ConfigError("\n".join(wrong))
    return replaced


def secret_folders(environ: Mapping[str, str]) -> list[Path]:
    """Return the folders to search for secrets; the first that has one wins.

    A service only has the folder of its credentials, which systemd creates for it and hides from
    everybody else (``CREDENTIALS_DIRECTORY``, systemd.exec(5)). A run by hand has the user's own
    folder, then the one from which systemd passes the service's secrets.
    """
    if given := environ.get("CREDENTIALS_DIRECTORY"):
        return [Path(given)]
    home = environ.get("HOME")
    base = environ.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else None)
    own = [Path(base, "pi-detector", "credentials")] if base else []
    return [*own, SYSTEM_SECRETS]


def references(settings: Settings) -> set[str]:
    """Return the names of the sections whose secrets a run with these settings reads."""
    used = _in_use(settings)
    return {
        name
        for name, value in msgspec.to_builtins(settings).items()
        if used.get(name, True) and _REFERENCE.search(str(value))
    }


def without_references(text: str) -> str:
    """Return a setting without its references: the part that is in the settings file itself."""
    return _REFERENCE.sub("", text)


def _in_use(settings: Settings) -> dict[str, bool]:
    return {
        "mqtt": bool(settings.mqtt.host),
        "web": settings.web.enabled,
        "notify": any(rule.enabled for rule in settings.notify.values()),
    }


def _replaced(value: Any, path: tuple[str, ...], environ: Mapping[str, str]) -> Any:
    match value:
        case dict():
            return {name: _replaced(item, (*path, name), environ) for name, item in value.items()}
        case list() | tuple():
            return [_replaced(item, path, environ) for item in value]
        case str():
            whole = bool(IS_REFERENCE.fullmatch(value))
            in_uri = path[-1] in {"uri", "record_uri"} or (path[-1] == "urls" and not whole)
            return _REFERENCE.sub(
                lambda found: _secret(found[1], path, environ, in_uri=in_uri), value
            )
        case _:
            return value


def _secret(name: str, path: tuple[str, ...], environ: Mapping[str, str], *, in_uri: bool) -> str:
    place = f"{'.'.join(path)}: ${{secret:{name}}}"
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{place}: invalid secret name; use only letters, digits, '_', '.' and '-'"
        )
    folders = secret_folders(environ)
    for folder, prefix in itertools.product(folders, _PREFIXES):
        try:
            with Path(folder, prefix + name).open("rb") as file:
                data = file.read(_MOST_BYTES)
        except FileNotFoundError:
            continue
        except PermissionError as error:
            raise NoPermissionError(
                f"{place}: this user may not read secrets in {folder}; run the command with sudo, "
                f"or put a copy that only you can read in {folders[0]}"
            ) from error
        except OSError as error:
            raise ConfigError(f"{place}: cannot read the secret: {error.strerror}") from error
        return _decoded(data, place, in_uri=in_uri)
    if environ.get("CREDENTIALS_DIRECTORY"):
        raise ConfigError(
            f"{place}: no such secret; write it to {SYSTEM_SECRETS / name} and restart"
        )
    raise ConfigError(
        f"{place}: no such secret in {' or '.join(map(str, folders))}; write it to a file {name} "
        "there that only its owner can read"
    )


def _decoded(data: bytes, place: str, *, in_uri: bool) -> str:
    try:
        text = data.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{place}: the secret is not UTF-8 text; save it as UTF-8") from error
    if not text:
        raise ConfigError(f"{place}: the secret is empty; write it to its file and restart")
    if not text.isprintable():
        raise ConfigError(
            f"{place}: the secret is not one line of printable text; correct its file"
        )
    return quote(text, safe="") if in_uri else text
