"""Secrets that settings name and do not hold: ``rtsp://admin:${secret:camera}@10.0.0.5/live``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from pi_detector.config.settings import Settings
from pi_detector.errors import ConfigError

_REFERENCE = re.compile(r"\$\{secret:([^}]*)\}")
IS_REFERENCE = re.compile(r"\$\{secret:[A-Za-z0-9_.-]{1,200}\}")
"""A setting that is a secret's name and nothing else."""
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}")
_MOST_BYTES = 64 * 1024
# systemd names the files of a folder that LoadCredential= takes "secret_NAME".
_PREFIXES = ("secret_", "")


def with_secrets(settings: Settings, environ: Mapping[str, str]) -> Settings:
    """The settings with each ``${secret:NAME}`` replaced by the secret of that name.

    A secret is a file in the folder that ``CREDENTIALS_DIRECTORY`` names, which systemd makes for
    a service and shows to nobody else; a line break at its end does not count. In ``uri`` settings
    it is percent-encoded, so that a password may hold any character.

    Source: systemd.exec(5), LoadCredential=.

    Raises:
        ConfigError: there is no such secret, or it is not a line of UTF-8 text.
    """
    tree = msgspec.to_builtins(settings)
    return msgspec.convert(_replaced(tree, (), environ), Settings)


def _replaced(value: Any, path: tuple[str, ...], environ: Mapping[str, str]) -> Any:
    match value:
        case dict():
            return {name: _replaced(item, (*path, name), environ) for name, item in value.items()}
        case list() | tuple():
            return [_replaced(item, path, environ) for item in value]
        case str():
            return _REFERENCE.sub(lambda found: _secret(found[1], path, environ), value)
        case _:
            return value


def _secret(name: str, path: tuple[str, ...], environ: Mapping[str, str]) -> str:
    place = f"{'.'.join(path)}: ${{secret:{name}}}"
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{place}: a secret's name has letters, digits, '_', '.' and '-' only")
    if not folder:
        raise ConfigError(
            f"{place}: no secrets here, CREDENTIALS_DIRECTORY is not set: start pi-detector by "
            "systemd, or set the variable to a folder with a file of that name"
        )
    for prefix in _PREFIXES:
        try:
            with Path(folder, prefix + name).open("rb") as file:
                data = file.read(_MOST_BYTES)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ConfigError(f"{place}: cannot read the secret: {error.strerror}") from error
        return _decoded(data, place, in_uri=path[-1] == "uri")
    raise ConfigError(
        f"{place}: no such secret; write it to /etc/pi-detector/credentials/{name} and restart"
    )


def _decoded(data: bytes, place: str, *, in_uri: bool) -> str:
    try:
        text = data.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{place}: the secret is not UTF-8 text") from error
    if not text.isprintable():
        raise ConfigError(f"{place}: the secret is not one line of printable text")
    return quote(text, safe="") if in_uri else text
