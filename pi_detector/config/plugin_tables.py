"""The tables ``[plugins.NAME]``: a sink of a plugin, with settings of a type that is the plugin's.

A table makes the sink. Its settings are checked like ours: by the section that the sink's class
names as ``Settings``. A plugin that cannot be imported is not a mistake in the settings: its table
waits as ``Unusable``, and the sink that is made from it fails as sinks do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from pi_detector.config.section import Reload, Section
from pi_detector.errors import PluginError
from pi_detector.util.plugins import Plugin, find_plugin

Path = tuple[str, ...]
RESERVED = frozenset(
    {
        "collect",
        "events",
        "images",
        "log",
        "meter",
        "metrics",
        "mqtt",
        "notify",
        "recordings",
        "snapshots",
        "socket",
        "stdout",
        "textfile",
        "video",
        "web",
    }
)
"""Names of the built-in sinks, which identify them in logs, records and metrics."""
_RELOADS = ("sinks", "restart")
_METHODS = ("start", "handle", "close")


class Unusable(Section, frozen=True):
    """The settings of a plugin that cannot be used.

    Attributes:
        values: as they were read.
        reason: why, and what to do.
    """

    RELOAD: ClassVar[Reload] = "sinks"

    values: dict[str, Any]
    reason: str


def sink_class(plugin: Plugin) -> Any:
    """The class of a plugin's sink.

    Raises:
        PluginError: it cannot be imported, or is not the class of a sink.
    """
    found = plugin.load()
    kind = getattr(found, "Settings", None)
    if not isinstance(found, type) or not all(hasattr(found, name) for name in _METHODS):
        fault = f"is not a class with the methods {', '.join(_METHODS)}"
    elif not (isinstance(kind, type) and issubclass(kind, Section)):
        fault = "has no class Settings, a pi_detector.Section"
    elif vars(kind).get("RELOAD") not in _RELOADS:
        fault = f"has Settings whose RELOAD is not one of {', '.join(_RELOADS)}"
    else:
        return found
    raise PluginError(f"{plugin}: {plugin.target} {fault}; repair it")


def unusable(sections: Mapping[str, Section]) -> dict[str, str]:
    """Why the plugins of some tables cannot be used, by their name."""
    return {
        name: section.reason for name, section in sections.items() if isinstance(section, Unusable)
    }


def section_type(name: str) -> type[Section] | None:
    """The type of the settings of a sink, or None where no package brings that sink.

    Raises:
        PluginError: the plugin cannot be used.
    """
    plugin = find_plugin("sink", name)
    if plugin is None:
        return None
    kind: type[Section] = sink_class(plugin).Settings
    return kind


def typed(tables: Mapping[str, Any]) -> tuple[dict[str, Section], list[tuple[Path, str]]]:
    """The tables as sections, and what is wrong with those that are none.

    Args:
        tables: plain values, each checked.
    """
    sections: dict[str, Section] = {}
    wrong: list[tuple[Path, str]] = []
    for name, table in tables.items():
        try:
            kind = section_type(name)
            assert kind is not None, "its table was checked"
            sections[name] = msgspec.convert(table, kind)
        except PluginError as error:
            sections[name] = Unusable(values=table, reason=str(error))
        except msgspec.ValidationError as error:
            wrong.append((("plugins", name), f"plugins.{name}: {error}"))
    return sections, wrong


def plain(sections: Mapping[str, Section]) -> dict[str, Any]:
    """The tables that ``typed`` made the sections from."""
    return {
        name: section.values if isinstance(section, Unusable) else msgspec.to_builtins(section)
        for name, section in sections.items()
    }


def is_confidential(kind: object) -> bool:
    """Whether a setting of this type is declared as ``Secret``."""
    metadata = getattr(kind, "__metadata__", ())
    return any((meta.extra or {}).get("confidential", False) for meta in metadata)


def confidential_names(section: Section) -> list[str]:
    """Names of the settings of a plugin that are never shown."""
    return [
        field.name for field in msgspec.structs.fields(type(section)) if is_confidential(field.type)
    ]
