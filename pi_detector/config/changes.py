"""Compare two trees of settings, and sort the differences by when they take effect."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from typing import TypeAlias

import msgspec

from pi_detector.config.section import Part, Reload, Section
from pi_detector.config.settings import PrivacySettings, Settings


def _section_of(kind: object) -> type[Section] | None:
    """The section of a field: its type, or the value type of a table of tables.

    None for the table of plugins, each of which has a section of its own.
    """
    found = typing.get_args(kind)[-1] if typing.get_origin(kind) is dict else kind
    return found if isinstance(found, type) and issubclass(found, Section) else None


SECTIONS: Mapping[str, type[Section]] = {
    field.name: section
    for field in msgspec.structs.fields(Settings)
    if (section := _section_of(field.type)) is not None
}
"""The sections of the settings by their name; those of plugins are not among them."""

Masks: TypeAlias = Mapping[str, PrivacySettings]
"""Privacy masks by name."""
_VIEW = ("uri", "width", "height", "rotate", "hflip", "vflip", "crop", "sensor_mode")
"""Settings of the source that decide which part of the world is where in the frame."""

RELOADS: Mapping[str, Reload] = {name: section.RELOAD for name, section in SECTIONS.items()}
"""When a change takes effect, by the name of its section."""


def parts_changed(old: Settings, new: Settings) -> frozenset[Part]:
    """The parts of the machine that are made from sections which are not the same."""
    return frozenset().union(
        *(
            section.PARTS
            for name, section in SECTIONS.items()
            if getattr(old, name) != getattr(new, name)
        )
    )


def at_reload(old: Settings, new: Settings) -> Settings:
    """Return the new settings, with the old values of sections that need a restart."""
    kept = {name: getattr(old, name) for name, reload in RELOADS.items() if reload == "restart"}
    plugins = {name: new.plugins[name] for name in new.plugins if not _waits(old, new, name)}
    plugins |= {name: old.plugins[name] for name in old.plugins if _waits(old, new, name)}
    return msgspec.structs.replace(new, **kept, plugins=plugins)


def at_restart(old: Settings, new: Settings) -> list[str]:
    """Return the dotted names of changed settings that need a restart."""
    return [
        *(
            each
            for section, reload in RELOADS.items()
            if reload == "restart"
            for each in _unlike(section, getattr(old, section), getattr(new, section))
        ),
        *(
            each
            for name in {**old.plugins, **new.plugins}
            if _waits(old, new, name)
            for each in _unlike(f"plugins.{name}", old.plugins.get(name), new.plugins.get(name))
        ),
    ]


def masks_of_view(held: Masks, old: Settings, wanted: Settings) -> Masks:
    """The privacy masks for what the frames of a run show, which a reload may not take away.

    A new view of the camera waits for a restart: until then frames show the old one, and what was
    hidden there stays so, whatever the new masks are.

    Args:
        held: those so far.
        old: settings whose source the run has.
        wanted: settings of which some wait for the restart.
    """
    waits = any(getattr(old.source, name) != getattr(wanted.source, name) for name in _VIEW)
    return held if waits else wanted.privacy


def masks_to_go(held: Masks, wanted: Settings) -> list[str]:
    """The dotted names of masks that a restart changes or removes, see ``masks_of_view``."""
    return [f"privacy.{name}" for name in held if held[name] != wanted.privacy.get(name)]


def _waits(old: Settings, new: Settings, name: str) -> bool:
    """Whether a change of a plugin's section takes a restart."""
    sections = (old.plugins.get(name), new.plugins.get(name))
    return any(section.RELOAD == "restart" for section in sections if section is not None)


def _unlike(name: str, old: Section | None, new: Section | None) -> Iterator[str]:
    if type(old) is not type(new):
        yield name
    elif old is not None and new is not None:
        for field in old.__struct_fields__:
            if getattr(old, field) != getattr(new, field):
                yield f"{name}.{field}"
