"""Checks of plugins: which packages bring some, and whether those that are used can be."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from pi_detector.cli.findings import Finding, Level, ok, warn
from pi_detector.errors import PluginError
from pi_detector.util.plugins import KINDS, Kind, find_plugin, installed
from pi_detector.util.uri import split_uri

if TYPE_CHECKING:
    from pi_detector.config.settings import Settings


def plugin_findings(settings: Settings) -> Iterator[Finding]:
    """The plugins that are installed; those that the settings use are imported."""
    from pi_detector.config.plugin_tables import RESERVED, unusable
    from pi_detector.detector.decoders import DECODERS
    from pi_detector.sources.registry import SCHEMES

    ours: Mapping[Kind, Collection[str]] = {
        "source": SCHEMES,
        "sink": RESERVED,
        "decoder": DECODERS,
    }
    for kind in KINDS:
        for plugin in installed(kind):
            what = f"plugin {kind} {plugin.name}"
            if plugin.name in ours[kind]:
                taken = f"{plugin.package} {plugin.version}, never used: its name is built in"
                yield warn(what, taken, f"uninstall {plugin.package}")
            else:
                yield ok(what, f"{plugin.package} {plugin.version} ({plugin.target})")
    for name, reason in unusable(settings.plugins).items():
        yield Finding(Level.FAIL, f"plugins.{name}", reason)
    scheme = split_uri(settings.source.uri)[0]
    if scheme and scheme not in SCHEMES:
        yield from _source(scheme)


def _source(scheme: str) -> Iterator[Finding]:
    try:
        plugin = find_plugin("source", scheme)
        if plugin is not None:
            plugin.load()
    except PluginError as error:
        yield Finding(Level.FAIL, "source.uri", str(error))
