"""Settings changed on the page, stored as ``page.toml`` in the state folder.

A service cannot write its settings in ``/etc``, and a program that edits a user's file loses what
the user meant by its layout. So these are a layer of their own, above the settings file and below
the environment and the command line. Only settings of ``OWNED`` are allowed in it: none that runs a
program, opens a port, or names a file.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import tomli_w

from pi_detector.config.changes import SECTIONS
from pi_detector.config.drawn import drawn_in_force
from pi_detector.config.settings import Settings
from pi_detector.util.paths import state_home

PAGE_NAME = "page.toml"
OWNED: Mapping[str, tuple[str, ...]] = {
    "web": ("name",),
    "detection": ("min_score", "min_scores", "labels", "max_fps", "schedules"),
    "motion": ("enabled",),
    "recording": (
        *("enabled", "clips", "snapshots", "pre_s", "post_s", "max_age_days", "keep_days"),
        *("max_gb", "min_free_mb", "schedules"),
    ),
    "notify": (
        *("enabled", "urls", "labels", "zones", "lines", "when", "hours", "days", "min_score"),
        *("cooldown_s", "group_s", "image"),
    ),
    "schedule": ("days", "start", "end"),
    "location": ("latitude", "longitude"),
    "source": ("rotate", "hflip", "vflip", "crop", "controls"),
}
"""The settings that may be changed on the page: names by section."""
NAMED = frozenset({"notify", "schedule"})
"""The sections that are tables of tables, whose names the user chooses."""

_HEADER = """\
# Settings changed on the page of pi-detector. They override those of the settings file; delete this
# file, or a line of it, to use those again.

"""
Path_ = tuple[str, ...]


class Check(Protocol):
    """Reads all settings as a start would, with other texts in the place of files."""

    def __call__(self, drawn: str | None = None, page: str | None = None) -> Settings:
        """The settings.

        Args:
            drawn: in the place of ``drawn.toml``; None reads that file.
            page: in the place of ``page.toml``; None reads that file.

        Raises:
            ConfigError: they are wrong.
        """
        ...


def page_file(environ: Mapping[str, str]) -> Path | None:
    """The path of the file, whether it exists or not; None without a home folder."""
    folder = state_home(environ)
    return None if folder is None else folder / PAGE_NAME


def notices(environ: Mapping[str, str]) -> list[str]:
    """Notices of the files that the page wrote, as far as they exist."""
    file, drawn = page_file(environ), drawn_in_force(environ)
    found = [] if drawn is None else [drawn]
    if file is not None and file.exists():
        found.append(f"settings changed on the page come from {file}")
    return found


def is_owned(path: Path_) -> bool:
    """Whether the setting of a path, or what is in it, may be changed on the page."""
    if not path or path[0] not in OWNED or path[0] not in SECTIONS:
        return False
    at = 2 if path[0] in NAMED else 1
    return len(path) > at and path[at] in OWNED[path[0]]


def not_owned(tree: Mapping[str, Any]) -> Iterator[Path_]:
    """Yield the paths of settings in a tree that may not be changed on the page."""
    for section, table in tree.items():
        if not isinstance(table, Mapping) or section not in OWNED:
            yield (section,)
            continue
        for name, value in table.items():
            if section not in NAMED:
                if not is_owned((section, name)):
                    yield section, name
            elif isinstance(value, Mapping):
                yield from ((section, name, key) for key in value if key not in OWNED[section])
            else:
                yield section, name


def page_toml(tree: Mapping[str, Any]) -> str:
    """Return the text of the file. Raises TypeError where TOML cannot represent a value."""
    return _HEADER + tomli_w.dumps(tree)


def changed(tree: Mapping[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    """A copy of a tree, with one setting set."""
    copied = copy.deepcopy(dict(tree))
    node = copied
    for name in path[:-1]:
        inner = node.get(name)
        if not isinstance(inner, dict):
            inner = node[name] = {}
        node = inner
    node[path[-1]] = value
    return copied


def without(tree: Mapping[str, Any], path: Sequence[str]) -> dict[str, Any]:
    """A copy of a tree, without one setting or table, nor the tables that are empty then."""
    copied = copy.deepcopy(dict(tree))
    nodes = [copied]
    for name in path[:-1]:
        inner = nodes[-1].get(name)
        if not isinstance(inner, dict):
            return copied
        nodes.append(inner)
    nodes[-1].pop(path[-1], None)
    for node, name in zip(nodes[-2::-1], path[-2::-1], strict=True):
        if not node[name]:
            del node[name]
    return copied


def version_of_text(text: str) -> str:
    """A short text that differs between different files."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
