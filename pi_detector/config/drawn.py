"""Zones, lines and masks drawn on the page, stored as ``drawn.toml`` in the state folder.

A service cannot write its settings in ``/etc``. Drawn outlines are a layer above the settings file
and replace all zones, lines and motion masks of that file. Drawn privacy masks add to those of the
settings file, and replace those of the same name: what is private there never becomes visible
because something was drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from pi_detector.config.section import Section
from pi_detector.config.settings import (
    LineSettings,
    Polygon,
    PrivacySettings,
    Settings,
    ZoneSettings,
)
from pi_detector.util.paths import state_home

DRAWN_NAME = "drawn.toml"

_HEADER = """\
# Zones, lines and masks drawn on the page of pi-detector. They replace all zones, lines and motion
# masks of the settings file, and add to its privacy masks; delete this file to use those again.

"""


class Places(Section, frozen=True):
    """Outlines drawn on the frame.

    Attributes:
        zones: zones by name.
        lines: lines by name.
        masks: motion masks by name.
        privacy: privacy masks by name.
    """

    zones: dict[str, ZoneSettings] = {}
    lines: dict[str, LineSettings] = {}
    masks: dict[str, Polygon] = {}
    privacy: dict[str, PrivacySettings] = {}


def places_of(settings: Settings) -> Places:
    """Return the zones, lines and masks of the settings."""
    return Places(
        zones=settings.zones,
        lines=settings.lines,
        masks=settings.motion.masks,
        privacy=settings.privacy,
    )


def drawn_toml(tree: Mapping[str, Any]) -> str:
    """Return the text of the file.

    Args:
        tree: plain values of ``Places``, not checked.

    Raises:
        TypeError: TOML cannot represent a value.
    """
    zones, lines = (_without_unset(tree.get(kind, {})) for kind in ("zones", "lines"))
    written = {"zones": zones, "lines": lines, "motion": {"masks": tree.get("masks", {})}}
    if privacy := tree.get("privacy", {}):
        written["privacy"] = privacy
    return _HEADER + tomli_w.dumps(written)


def _without_unset(tables: Any) -> Any:
    if not isinstance(tables, Mapping):
        return tables
    return {
        name: {key: value for key, value in table.items() if value is not None}
        if isinstance(table, Mapping)
        else table
        for name, table in tables.items()
    }


def drawn_file(environ: Mapping[str, str]) -> Path | None:
    """The path of the file, whether it exists or not; None without a home folder."""
    folder = state_home(environ)
    return None if folder is None else folder / DRAWN_NAME


def drawn_in_force(environ: Mapping[str, str]) -> str | None:
    """A notice if the file exists, else None."""
    file = drawn_file(environ)
    if file is None or not file.exists():
        return None
    return f"zones, lines, motion masks and drawn privacy masks come from {file}"


def clear_places(tree: dict[str, Any]) -> None:
    """Remove all zones, lines and motion masks from a tree of settings; privacy masks stay."""
    tree.pop("zones", None)
    tree.pop("lines", None)
    if isinstance(tree.get("motion"), dict):
        tree["motion"].pop("masks", None)


def foreign(tree: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield the paths of settings in a tree that are not zones, lines or masks."""
    for name, value in tree.items():
        if name == "motion" and isinstance(value, Mapping):
            yield from (("motion", inner) for inner in value if inner != "masks")
        elif name not in {"zones", "lines", "privacy"}:
            yield (name,)


def version_of(places: Places) -> str:
    """A text that differs between different sets of zones, lines and masks."""
    import hashlib

    encoded = msgspec.json.encode(places, order="deterministic")
    return hashlib.sha256(encoded).hexdigest()[:16]
