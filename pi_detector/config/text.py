"""Settings as text: the effective settings, and an example that explains each one."""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from typing import Any, get_args, get_origin

import msgspec
import tomli_w
from msgspec.structs import FieldInfo

from pi_detector.config.check import describe
from pi_detector.config.notify import shown_url
from pi_detector.config.plugin_tables import confidential_names, plain, section_type
from pi_detector.config.secrets import IS_REFERENCE
from pi_detector.config.settings import CONFIDENTIAL, Settings
from pi_detector.errors import PluginError
from pi_detector.util.plugins import installed
from pi_detector.util.text import one_line
from pi_detector.util.uri import redact, redact_within

_HEADER = """\
# Settings of pi-detector.
#
# Lines such as '#fps = 0.0' show a setting with its default. To change a setting, delete the '#'
# and edit the value. 'pi-detector config check' finds mistakes; 'pi-detector config show' prints
# the current settings. Environment variables (PI_DETECTOR__SOURCE__URI=demo:) and the command line
# (--set source.uri=demo:) override this file.
#
# A header that starts with '#', such as '#[zones.driveway]', shows a table with a name that you
# choose; there may be several. Delete the '#' of the header too.
"""

EXAMPLES: dict[str, tuple[str, dict[str, object]]] = {
    "filters": ("person", {"min_area": 0.002}),
    "zones": ("driveway", {"polygon": ((0.1, 0.5), (0.6, 0.5), (0.8, 1.0), (0.0, 1.0))}),
    "privacy": ("neighbour", {"polygon": ((0.7, 0.0), (1.0, 0.0), (1.0, 0.4), (0.7, 0.4))}),
    "schedule": ("night", {"start": "22:00", "end": "06:00"}),
    "lines": ("gate", {"points": ((0.2, 0.6), (0.8, 0.6))}),
    "notify": ("phone", {"urls": ("${secret:phone}",)}),
}
"""A name and example settings for each kind of named table."""


def settings_toml(settings: Settings) -> str:
    """All settings as TOML, without passwords and the secrets in URIs.

    An unset setting has no value in TOML and is left out.
    """
    tables = plain(settings.plugins)
    tree = msgspec.to_builtins(msgspec.structs.replace(settings, plugins=tables))
    if not tables:
        del tree["plugins"]
    for section, name in CONFIDENTIAL:
        tree[section][name] = _hidden(tree[section][name])
    for plugin, section_of_plugin in settings.plugins.items():
        for name in confidential_names(section_of_plugin):
            tree["plugins"][plugin][name] = _hidden(tree["plugins"][plugin][name])
    shown = _plain(tree)
    for name, rule in settings.notify.items():
        shown["notify"][name]["urls"] = [shown_url(url) for url in rule.urls]
        shown["notify"][name]["secret"] = _hidden(rule.secret)
    for name, camera in settings.web.cameras.items():
        shown["web"]["cameras"][name]["token"] = _hidden(camera.token)
    return tomli_w.dumps(shown)


def commented_example() -> str:
    """Return a settings file that explains every setting and sets none.

    It is generated from the types and docstrings in ``settings``; each setting is a comment with
    its default.
    """
    lines = [_HEADER]
    for section in msgspec.structs.fields(Settings):
        if section.name == "plugins":
            lines += _plugin_tables()
            continue
        if get_origin(section.type) is dict:
            lines.append(_named_tables(section.name, get_args(section.type)[1]))
            continue
        summary, about = documentation(section.type)
        lines.append(f"# {summary}\n[{section.name}]\n")
        lines += [_explained(field, about) for field in msgspec.structs.fields(section.type)]
    return "\n".join(lines)


def _named_tables(name: str, kind: type[msgspec.Struct]) -> str:
    """The part of the example about tables that the user names."""
    summary, about = documentation(kind)
    table, values = EXAMPLES[name]
    fields = msgspec.structs.fields(kind)
    explained = [_explained(field, about, values.get(field.name)) for field in fields]
    return "\n".join([*_comment(summary), f"#[{name}.{table}]\n", *explained])


def _plugin_tables() -> list[str]:
    """The part of the example about the sinks of plugins that are installed."""
    lines = []
    for plugin in installed("sink"):
        try:
            kind = section_type(plugin.name)
        except PluginError as error:
            lines.append("\n".join(_comment(one_line(str(error)))) + "\n")
            continue
        if kind is not None:
            summary, about = documentation(kind)
            heading = f"{summary} A {plugin}."
            explained = [_explained(field, about) for field in msgspec.structs.fields(kind)]
            lines += [*_comment(heading), f"#[plugins.{plugin.name}]\n", *explained]
    return lines


def documentation(section: type[msgspec.Struct]) -> tuple[str, dict[str, str]]:
    """Return the first line of a section's docstring, and the text of each attribute."""
    lines = (inspect.getdoc(section) or "").splitlines()
    about: dict[str, str] = {}
    name = ""
    for line in lines[lines.index("Attributes:") + 1 :] if "Attributes:" in lines else []:
        entry = re.match(r" {4}(\w+): (.*)", line)
        if entry:
            name = entry[1]
            about[name] = entry[2]
        elif name and line.strip():
            about[name] += f" {line.strip()}"
    return lines[0] if lines else "", about


def _explained(field: FieldInfo, about: dict[str, str], example: object = None) -> str:
    expected = describe(msgspec.inspect.type_info(field.type))
    default: object = None
    if field.default is not msgspec.NODEFAULT:
        default = field.default
    elif field.default_factory is not msgspec.NODEFAULT:
        default = field.default_factory()
    if example is not None:
        default = example
    if field.required:
        expected += "; must be set"
    elif default is None:
        expected += "; unset by default"
    words = about.get(field.name, "").rstrip(".")
    text = f"{words[:1].upper()}{words[1:]} ({expected})."
    return "\n".join([*_comment(text), f"#{_assignment(field.name, default)}\n"])


def _comment(text: str) -> list[str]:
    return textwrap.wrap(
        text, 98, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
    )


def _assignment(name: str, value: object) -> str:
    if value is None:
        return f"{name} ="
    if value == {}:
        return f"{name} = {{}}"
    if isinstance(value, tuple) and value:  # on one line, like every setting of the example
        return f"{name} = {json.dumps(value)}"
    return tomli_w.dumps({name: value}).rstrip()


def _hidden(value: str) -> str:
    """A confidential setting as it may be shown: only its reference to a secret."""
    return value if not value or IS_REFERENCE.fullmatch(value) else "***"


def _plain(value: Any, name: str = "") -> Any:
    """A tree that TOML can hold: no unset values, no passwords."""
    match value:
        case dict():
            return {key: _plain(item, key) for key, item in value.items() if item is not None}
        case list() | tuple():
            return [_plain(item) for item in value]
        case str():
            return redact(value) if name in {"uri", "record_uri"} else redact_within(value)
        case _:
            return value
