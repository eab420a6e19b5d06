"""Load the settings: defaults, file, drawn outlines, page, environment, command line.

An environment variable ``PI_DETECTOR__SECTION__NAME`` sets ``section.name``: two underscores
replace the dot, and case is ignored. Its value, like that of ``--set section.name=value``, is read
as TOML if it is TOML that the setting accepts (``10``, ``true``, ``["person"]``, ``{ person = 0.4
}``), else as a string.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import msgspec

from pi_detector.config import check
from pi_detector.config.drawn import clear_places, drawn_file, foreign
from pi_detector.config.lines import line_index, line_of
from pi_detector.config.notify import shown_url
from pi_detector.config.owned import not_owned, page_file
from pi_detector.config.plugin_tables import typed
from pi_detector.config.secrets import IS_REFERENCE
from pi_detector.config.settings import SIZE_FOR_LOOKS, Settings
from pi_detector.errors import ConfigError
from pi_detector.util.plugins import search_again

CONFIG_VARIABLE = "PI_DETECTOR_CONFIG"
SETTING_PREFIX = "PI_DETECTOR__"
SYSTEM_CONFIG = Path("/etc/pi-detector/config.toml")

_MOST_BYTES = 256 * 1024  # a settings file has a few KiB; a larger one was named by mistake
_MOST_PROBLEMS = 10

_Tree = dict[str, Any]


@dataclass(frozen=True)
class _Layer:
    """Settings from one origin.

    Attributes:
        tree: the values.
        place: returns the origin of a setting, for messages.
        drawn: the layer replaces all zones, lines and motion masks of the layers below.
    """

    tree: _Tree
    place: Callable[[check.Path], str]
    drawn: bool = False


def load_settings(
    path: str | Path | None,
    environ: Mapping[str, str],
    overrides: Sequence[str],
    drawn: str | None = None,
    *,
    page: str | None = None,
    beneath: Mapping[str, Mapping[str, object]] | None = None,
) -> Settings:
    """Load and check the settings.

    Args:
        path: the settings file; None searches for one, see ``find_config``.
        environ: environment variables.
        overrides: ``section.name=value``, from the command line; the last one wins.
        drawn: text to use instead of the file of drawn outlines; None reads that file.
        page: text to use instead of the file of settings changed on the page; None reads that file.
        beneath: valid values by section and name that replace the defaults.

    Raises:
        ConfigError: the file cannot be read, or a setting is unknown or has a bad value. The
            message has one line per problem, at most ten.
    """
    search_again()  # a package that was installed since then counts at a reload
    file = Path(path) if path is not None else find_config(environ)
    layers = [_file_layer(file, _read(file))] if file is not None else []
    layers += _drawn_layers(drawn_file(environ), drawn)
    layers += _page_layers(page_file(environ), page)
    layers += [
        _environment_layer(name, environ[name])
        for name in sorted(environ)
        if name.startswith(SETTING_PREFIX)
    ]
    layers += [_override_layer(override) for override in overrides]

    found = [
        f"{layer.place(where)}: {message}"
        for layer in layers
        for where, message in check.problems(layer.tree)
    ]
    _complain(found)
    merged: _Tree = {section: dict(values) for section, values in (beneath or {}).items()}
    for layer in layers:
        if layer.drawn:
            clear_places(merged)
        _merge(merged, layer.tree)
    _widen_for_looks(merged)
    settings = msgspec.convert(merged, Settings)
    plugins, wrong = typed(settings.plugins)
    wrong += check.conflicts(settings)
    _complain([f"{_place(layers, where)}: {message}" for where, message in wrong])
    return msgspec.structs.replace(settings, plugins=plugins)


def _widen_for_looks(tree: _Tree) -> None:
    """Ask cameras for larger frames where looks need them, and nothing else was asked for."""
    source = tree.setdefault("source", {})
    if tree.get("detection", {}).get("looks", 0) != 0 and not {"width", "height"} & source.keys():
        source["width"], source["height"] = SIZE_FOR_LOOKS


def _complain(found: Sequence[str]) -> None:
    """Raise ConfigError if problems were found."""
    if found:
        more = [f"and {len(found) - _MOST_PROBLEMS} more"] if len(found) > _MOST_PROBLEMS else []
        raise ConfigError("\n".join([*found[:_MOST_PROBLEMS], *more]))


def _place(layers: Sequence[_Layer], where: check.Path) -> str:
    """The last origin that sets ``where``, or else the nearest table around it."""
    for depth in range(len(where), 0, -1):
        for layer in reversed(layers):
            if _has(layer.tree, where[:depth]):
                return layer.place(where)
    return "settings"


def _has(tree: _Tree, path: check.Path) -> bool:
    node: Any = tree
    for name in path:
        if not isinstance(node, dict) or name not in node:
            return False
        node = node[name]
    return True


def find_config(environ: Mapping[str, str]) -> Path | None:
    """Return the settings file to read when none is named, or None if there is none.

    ``$PI_DETECTOR_CONFIG`` if it is set, else the first existing file of
    ``/etc/pi-detector/config.toml`` and ``~/.config/pi-detector/config.toml``.

    Raises:
        ConfigError: ``$PI_DETECTOR_CONFIG`` names a file that does not exist.
    """
    named = environ.get(CONFIG_VARIABLE)
    if named:
        if not _present(Path(named)):
            raise ConfigError(
                f"{named}: settings file of the environment variable {CONFIG_VARIABLE} does not "
                "exist; write one with 'pi-detector config init', or unset the variable"
            )
        return Path(named)
    candidates = (SYSTEM_CONFIG, user_config(environ))
    return next((file for file in candidates if file is not None and _present(file)), None)


def user_config(environ: Mapping[str, str]) -> Path | None:
    """The user's own settings file, whether it exists or not; None without a home folder."""
    home = environ.get("HOME")
    base = environ.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else None)
    return Path(base, "pi-detector", "config.toml") if base else None


def _present(file: Path) -> bool:
    try:
        return file.exists()
    except PermissionError:  # do not skip it: reading it reports the error
        return True


def _drawn_layers(file: Path | None, text: str | None) -> list[_Layer]:
    """The layer of the outlines drawn on the page; empty if there are none."""
    layers = _own_layers(
        file,
        text,
        foreign,
        "only zones, lines, motion.masks and privacy are allowed here",
    )
    return [replace(layer, drawn=True) for layer in layers]


def _page_layers(file: Path | None, text: str | None) -> list[_Layer]:
    """The layer of the settings changed on the page; empty if there are none."""
    return _own_layers(file, text, not_owned, "cannot be changed on the page")


def _own_layers(
    file: Path | None,
    text: str | None,
    refused: Callable[[_Tree], Iterator[check.Path]],
    reason: str,
) -> list[_Layer]:
    """The layer of a file that the page writes, or of a text for it; empty if there is none."""
    if file is None or (text is None and not _present(file)):
        return []
    layer = _file_layer(file, _read(file) if text is None else text)
    _complain(
        [
            f"{layer.place(where)}: {check.dotted(where)}: {reason}; move it to the settings file"
            for where in refused(layer.tree)
        ]
    )
    return [layer]


def _file_layer(file: Path, text: str) -> _Layer:
    try:
        tree = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        line, message = _syntax(text, error)
        raise ConfigError(f"{file}:{line}: not valid TOML: {message}") from error

    index = cache(lambda: line_index(text))
    return _Layer(tree, lambda where: f"{file}:{line_of(index(), where)}")


def _read(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            data = opened.read(_MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise ConfigError(
            f"{file}: settings file does not exist; write one with 'pi-detector config init'"
        ) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"{file}: cannot read the settings file: {reason}") from error
    if len(data) > _MOST_BYTES:
        raise ConfigError(f"{file}: larger than {_MOST_BYTES // 1024} KiB; not a settings file")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{file}:{line}: not UTF-8; save the settings file as UTF-8") from error


def _syntax(text: str, error: Exception) -> tuple[int, str]:
    """The line and message of an error of ``tomllib``."""
    if isinstance(error, RecursionError):
        return 1, "nested too deeply"
    message = str(error)
    at = re.search(r" \(at line (\d+), column (\d+)\)$", message)
    if at:
        return int(at[1]), f"{message[: at.start()]}, column {at[2]}"
    return text.rstrip("\n").count("\n") + 1, message


def _environment_layer(name: str, value: str) -> _Layer:
    path = tuple(name.removeprefix(SETTING_PREFIX).lower().split("__"))
    # A name may contain anything but '=' and NUL; an error stays one line of text.
    place = f"environment variable {name if name.isprintable() else ascii(name)}"
    return _Layer(_typed(path, value), lambda _: place)


def _override_layer(override: str) -> _Layer:
    key, equals, value = override.partition("=")
    if not equals:
        raise ConfigError(
            f"command line: --set {override!r}: expected NAME=VALUE, as in --set source.fps=10"
        )
    path = _key_path(key.strip())
    tree = _typed(path, value.strip())
    if _is_secret(path, value.strip(), tree):
        raise ConfigError(
            f"command line: {check.dotted(path)}: all users of this device can see it; put it in "
            "the settings file, preferably as ${secret:NAME}"
        )
    return _Layer(tree, lambda _: "command line")


def _is_secret(path: check.Path, text: str, tree: _Tree) -> bool:
    """Whether an override says a secret itself, or what may be one, such as an ntfy topic."""
    if path[-1] in {"password", "token", "secret"}:
        return not IS_REFERENCE.fullmatch(text)
    if path[0] == "notify" and path[-1] == "urls":
        urls: Any = tree
        for name in path:
            urls = urls[name]
        return any(
            shown_url(str(url)) != url for url in (urls if isinstance(urls, list) else [urls])
        )
    return False


def _key_path(key: str) -> check.Path:
    """The path of a dotted key, whose parts may be quoted as in TOML."""
    try:
        node: Any = tomllib.loads(f"{key} = 0")
    except (ValueError, RecursionError):
        return tuple(key.split("."))
    path: list[str] = []
    while isinstance(node, dict) and len(node) == 1:
        ((name, node),) = node.items()
        path.append(name)
    return tuple(path) or (key,)


def _typed(path: check.Path, text: str) -> _Tree:
    """The tree with one setting, whose value is read as TOML if the setting accepts that."""
    nest = partial(_nested, path)
    try:
        document = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return nest(text)
    if len(document) > 1:  # more than one value: a text of several lines
        return nest(text)
    typed, plain = nest(document["value"]), nest(text)
    takes_only_text = any(check.problems(typed)) and not any(check.problems(plain))
    return plain if takes_only_text else typed


def _nested(path: check.Path, value: Any) -> _Tree:
    tree: Any = value
    for name in reversed(path):
        tree = {name: tree}
    return dict(tree)


def _merge(below: _Tree, above: _Tree) -> None:
    for name, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(name), dict):
            _merge(below[name], value)
        else:
            below[name] = value
