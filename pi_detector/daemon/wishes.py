"""Settings that commands changed, until the next start."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import msgspec

from pi_detector.config.settings import Settings


@dataclass(slots=True)
class Wishes:
    """What was wished by commands such as ``motion=off``; applied at each reload. For any thread.

    A setting that nobody wished for is as the settings have it.
    """

    _values: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, command: str) -> None:
        """Note a command, in place of an earlier one about the same setting."""
        name, _, value = command.partition("=")
        with self._lock:
            self._values[name] = value

    def recording(self) -> bool:
        """Whether events that begin now may be recorded."""
        with self._lock:
            return self._values.get("recording") != "off"

    def applied(self, settings: Settings) -> Settings:
        """The settings with the wishes in them, but for recording, which no reload changes."""
        with self._lock:
            values = dict(self._values)
        replace = msgspec.structs.replace
        if score := values.get("min_score"):
            detection = replace(settings.detection, min_score=float(score))
            settings = replace(settings, detection=detection)
        if motion := values.get("motion"):
            settings = replace(settings, motion=replace(settings.motion, enabled=motion == "on"))
        if values.get("notifications") == "off":
            quiet = {name: replace(rule, enabled=False) for name, rule in settings.notify.items()}
            settings = replace(settings, notify=quiet)
        return settings
