"""Plugins: sources, sinks and decoders that other packages bring, found by their entry points.

The names of ours are looked up first, so that a plugin never takes the place of one of them, and
a run that needs no plugin does not search for any.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from pi_detector.errors import PluginError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Kind: TypeAlias = Literal["source", "sink", "decoder"]
KINDS: tuple[Kind, ...] = ("source", "sink", "decoder")


def group_of(kind: Kind) -> str:
    """The group of entry points in which plugins of a kind are found."""
    return f"pi_detector.{kind}s"


@dataclass(frozen=True, slots=True)
class Plugin:
    """A source, sink or decoder of another package.

    Attributes:
        kind: which of them.
        name: of the entry point: a scheme, a table of the settings, an architecture.
        package: that brings it.
        version: of the package.
        target: module and attribute, ``package.module:name``.
    """

    kind: Kind
    name: str
    package: str
    version: str
    target: str
    _entry: EntryPoint

    def __str__(self) -> str:
        return f"{self.kind} '{self.name}' of the package {self.package} {self.version}"

    def load(self) -> object:
        """Import what the entry point names.

        Raises:
            PluginError: the import fails, for whatever reason: the code is not ours.
        """
        try:
            return self._entry.load()
        except Exception as error:
            raise PluginError(f"{self}: {self.failure(error)}") from error

    def failure(self, error: BaseException) -> str:
        """What an exception of the plugin's code says, on one line, with the fix."""
        words = " ".join(f"{type(error).__name__}: {error}".split())
        return f"{words}; repair or uninstall {self.package}"


def installed(kind: Kind) -> list[Plugin]:
    """The plugins of a kind, by name; none of them is imported."""
    return list(_installed(kind))


def find_plugin(kind: Kind, name: str) -> Plugin | None:
    """The plugin of a name, or None.

    Raises:
        PluginError: two packages bring one of that name.
    """
    found = [plugin for plugin in _installed(kind) if plugin.name == name]
    if len(found) > 1:
        raise PluginError(
            f"{kind} '{name}': the packages {found[0].package} and {found[1].package} both bring "
            "it; uninstall one of them"
        )
    return found[0] if found else None


def search_again() -> None:
    """Forget what is installed: the next question searches again."""
    _installed.cache_clear()


@functools.cache
def _installed(kind: Kind) -> tuple[Plugin, ...]:
    # Not at the top: it costs more than all of this package's ground, and reads every package.
    from importlib.metadata import entry_points

    plugins = [
        Plugin(
            kind=kind,
            name=entry.name,
            package=entry.dist.name if entry.dist else "unknown",
            version=entry.dist.version if entry.dist else "",
            target=entry.value,
            _entry=entry,
        )
        for entry in entry_points(group=group_of(kind))
    ]
    return tuple(sorted(plugins, key=lambda plugin: (plugin.name, plugin.package)))
