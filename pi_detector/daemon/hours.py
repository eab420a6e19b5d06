"""The hours of a service: which schedules are on, and whether detection is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from pi_detector.config.settings import Settings
from pi_detector.core.records import StatusRecord, status_record
from pi_detector.core.schedule import Schedules

log = logging.getLogger(__name__)

_OFF = "outside the hours of detection.schedules"


class Hours:
    """Watches the schedules, and reports when one of them begins or ends.

    Args:
        settings: at the start.
        publish: takes a status record for each schedule that changes.
    """

    def __init__(self, settings: Settings, publish: Callable[[StatusRecord], None]) -> None:
        self._publish = publish
        self._states: dict[str, bool] = {}
        self._settings = settings
        self._schedules = Schedules(settings.schedule, settings.location)

    def apply(self, settings: Settings) -> None:
        """Use other settings from now on; all schedules are reported again, also those removed."""
        for name in self._settings.schedule:
            if name not in settings.schedule:
                self._publish(status_record("schedule", name, "stopped"))
        self._settings = settings
        self._schedules = Schedules(settings.schedule, settings.location)
        self._states = {}

    def is_on(self, names: Sequence[str]) -> bool:
        """Whether what names these schedules is on now. From any thread.

        What a restart has yet to bring may name a schedule that a reload removed: it is on then.
        """
        schedules, known = self._schedules, self._settings.schedule
        return schedules.is_on([name for name in names if name in known])

    def step(self) -> str | None:
        """Report what changed. Returns why detection is off, in words, or None if it is on."""
        states = self._schedules.states()
        for name, is_on in states.items():
            if self._states.get(name) != is_on:
                log.info("schedule %s: %s", name, "on" if is_on else "off")
                self._publish(status_record("schedule", name, "live" if is_on else "paused"))
        self._states = states
        return None if self.is_on(self._settings.detection.schedules) else _OFF
