"""What is not the same in two trees of settings, by when it takes effect."""

from __future__ import annotations

import typing
from collections.abc import Mapping

import msgspec

from pi_detector.config.section import Reload, Section
from pi_detector.config.settings import Settings


def _section_of(kind: object) -> type[Section]:
    """The section of a field: its type, or that of the values of a table of tables."""
    found = typing.get_args(kind)[-1] if typing.get_origin(kind) is dict else kind
    assert isinstance(found, type), kind
    assert issubclass(found, Section), kind
    return found


RELOADS: Mapping[str, Reload] = {
    field.name: _section_of(field.type).RELOAD for field in msgspec.structs.fields(Settings)
}
"""When a change of a section takes effect, by its name."""


def at_reload(old: Settings, new: Settings) -> Settings:
    """The new settings, but for the sections that take a restart."""
    kept = {name: getattr(old, name) for name, reload in RELOADS.items() if reload == "restart"}
    return msgspec.structs.replace(new, **kept)


def at_restart(old: Settings, new: Settings) -> list[str]:
    """Dotted names of the settings that are not the same, and take a restart."""
    return [
        f"{section}.{name}"
        for section, reload in RELOADS.items()
        if reload == "restart"
        for name, value in msgspec.structs.asdict(getattr(new, section)).items()
        if value != getattr(getattr(old, section), name)
    ]
