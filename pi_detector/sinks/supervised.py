"""A sink that is tried again when it fails."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress

from pi_detector.config.settings import RecoverySettings
from pi_detector.core.records import (
    EventRecord,
    PerformanceRecord,
    Publication,
    StatusRecord,
    status_record,
)
from pi_detector.errors import SinkError
from pi_detector.sinks.base import Sink
from pi_detector.util.backoff import Backoff

log = logging.getLogger(__name__)


class SupervisedSink:
    """Keeps a run going whose disk is full or whose folder is gone: detection never stops for that.

    After a failure the sink is left alone for a delay, and what comes meanwhile is counted as
    lost; then the next item is the next try. Events reach it all the same: it may remember what it
    cannot write, and would wait for ever for an end that it missed. An item whose try failed counts
    as well, although some sinks keep it. Both ends of the outage are logged and reported as
    ``status`` records.

    Args:
        sink: the sink.
        recovery: mode and delays.
        report: takes the status records; called from the sink's thread.
    """

    def __init__(
        self, sink: Sink, recovery: RecoverySettings, report: Callable[[StatusRecord], None]
    ) -> None:
        self.name = sink.name
        self.lossless = sink.lossless
        self._sink = sink
        self._mode = recovery.mode
        self._backoff = Backoff(recovery.first_delay_s, recovery.longest_delay_s)
        self._report = report
        self._started = False
        self._worked = False
        self._down = False
        self._due_s = 0.0
        self._lost = 0

    def start(self) -> None:
        """Start the sink. Raises SinkError where that is not to be tried again."""
        try:
            self._start()
        except SinkError as error:
            if self._mode != "always":
                raise
            self._failed(error)

    def handle(self, item: Publication) -> None:
        """Publish one item, unless the sink is down and not due to be tried again.

        Raises SinkError where the sink never worked and is not to be waited for.
        """
        if self._down and time.monotonic() < self._due_s:
            self._count(item)
            if self._started and isinstance(item, EventRecord):
                with suppress(SinkError):
                    self._sink.handle(item)
            return
        try:
            self._start()
            self._sink.handle(item)
        except SinkError as error:
            if not (self._worked or self._mode == "always"):
                raise
            self._count(item)
            self._failed(error)
        else:
            self._worked = True
            if self._down:
                self._recovered()

    def close(self) -> None:
        """Close the sink, which ends an outage too. What it cannot finish is logged."""
        try:
            self._sink.close()
        except SinkError as error:
            log.error("%s: %s", self.name, error, extra=self._fields("sink_failed"))
        if self._down:
            self._report(status_record("sink", self.name, "stopped", lost=self._lost))

    def _start(self) -> None:
        if not self._started:
            self._sink.start()
            self._started = True

    def _count(self, item: Publication) -> None:
        if not isinstance(item, StatusRecord | PerformanceRecord):
            self._lost += 1

    def _failed(self, error: SinkError) -> None:
        delay_s = self._backoff.next_s()
        self._due_s = time.monotonic() + delay_s
        if self._down:
            log.debug("%s: %s; trying again in %.1f s", self.name, error, delay_s)
            return
        self._down = True
        log.error(
            "%s: %s; trying again in %.1f s, and until it works; detection goes on",
            self.name,
            error,
            delay_s,
            extra=self._fields("sink_failed"),
        )
        self._report(status_record("sink", self.name, "failed", reason=str(error), retry_s=delay_s))

    def _recovered(self) -> None:
        lost, self._lost = self._lost, 0
        self._down = False
        self._backoff.reset()
        log.warning(
            "%s: works again; at most %d results were lost",
            self.name,
            lost,
            extra=self._fields("sink_live"),
        )
        self._report(status_record("sink", self.name, "live", lost=lost))

    def _fields(self, event: str) -> dict[str, str]:
        return {"DETECTOR_EVENT": event, "DETECTOR_SINK": self.name}
