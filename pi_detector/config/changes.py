"""Compare two trees of settings, and sort the differences by when they take effect."""

from __future__ import annotations

import typing
from collections.abc import Mapping

import msgspec

from pi_detector.config.section import Reload, Section
from pi_detector.config.settings import Settings


def _section_of(kind: object) -> type[Section]:
    """The section of a field: its type, or the value type of a table of tables."""
    found = typing.get_args(kind)[-1] if typing.get_origin(kind) is dict else kind
    assert isinstance(found, type), kind
    assert issubclass(found, Section), kind
    return found


RELOADS: Mapping[str, Reload] = {
    field.name: _section_of(field.type).RELOAD for field in msgspec.structs.fields(Settings)
}
"""When a change takes effect, by the name of its section."""


def at_reload(old: Settings, new: Settings) -> Settings:
    """Return the new settings, with the old values of sections that need a restart."""
    kept = {name: getattr(old, name) for name, reload in RELOADS.items() if reload == "restart"}
    return msgspec.structs.replace(new, **kept)


def at_restart(old: Settings, new: Settings) -> list[str]:
    """Return the dotted names of changed settings that need a restart."""
    return [
        f"{section}.{name}"
        for section, reload in RELOADS.items()
        if reload == "restart"
        for name, value in msgspec.structs.asdict(getattr(new, section)).items()
        if value != getattr(getattr(old, section), name)
    ]
