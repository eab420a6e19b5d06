"""Sinks of plugins: made when they start, so that what is wrong with one is its own failure."""

from __future__ import annotations

from collections.abc import Mapping

from pi_detector.config.plugin_tables import Unusable, sink_class
from pi_detector.config.section import Section
from pi_detector.core.current import CurrentState
from pi_detector.core.records import Publication
from pi_detector.errors import PiDetectorError, PluginError
from pi_detector.sinks.base import CatchesUp, Sink
from pi_detector.util.plugins import Plugin, find_plugin


def make_plugin_sinks(sections: Mapping[str, Section]) -> list[Sink]:
    """The sinks of the tables ``[plugins.NAME]``, not started.

    Raises:
        PluginError: a package was uninstalled since the settings were read.
    """
    return [PluginSink(name, section) for name, section in sections.items()]


class PluginSink:
    """A sink that a plugin brings.

    Args:
        name: of the plugin's entry point.
        section: its settings.
    """

    def __init__(self, name: str, section: Section) -> None:
        self.name = name
        self.setup = (name, section)
        self.lossless = False
        self._section = section
        self._sink: Sink | None = None
        if not isinstance(section, Unusable):
            self._plugin = _plugin(name)
            self._class = sink_class(self._plugin)
            self.lossless = bool(getattr(self._class, "lossless", False))

    def start(self) -> None:
        """Make the sink the first time, and start it.

        Raises:
            PluginError: the plugin cannot be used, or its sink cannot be made.
        """
        if isinstance(self._section, Unusable):
            raise PluginError(self._section.reason)
        if self._sink is None:
            try:
                self._sink = self._class(self._section)
            except PiDetectorError:
                raise
            except Exception as error:
                raise PluginError(f"{self._plugin}: {self._plugin.failure(error)}") from error
        self._sink.start()

    def catch_up(self, now: CurrentState) -> None:
        """Hand over what holds now, where the sink asks for that."""
        if isinstance(self._sink, CatchesUp):
            self._sink.catch_up(now)

    def handle(self, item: Publication) -> bool:
        """Publish what concerns the sink. Raises whatever it raises."""
        assert self._sink is not None, "it was started"
        return bool(self._sink.handle(item))

    def close(self) -> None:
        """Close the sink, if it was made."""
        if self._sink is not None:
            self._sink.close()


def _plugin(name: str) -> Plugin:
    plugin = find_plugin("sink", name)
    if plugin is None:
        raise PluginError(f"sink '{name}': its package was uninstalled; install it again")
    return plugin
