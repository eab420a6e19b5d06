"""A sink that is retried when it fails."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

from pi_detector.config.settings import RecoverySettings
from pi_detector.core.current import CurrentState
from pi_detector.core.outage import Outage, words_of
from pi_detector.core.records import (
    EventRecord,
    PerformanceRecord,
    Publication,
    StatusRecord,
)
from pi_detector.errors import PiDetectorError, ReaderGoneError
from pi_detector.sinks.base import CatchesUp, Sink

log = logging.getLogger(__name__)

MOST_KEPT = 1000
"""Most events and status records that wait for a failed sink; beyond that, the oldest are lost."""


class SupervisedSink:
    """Keeps detection running when a sink fails, for example because its disk is full.

    After a failure, be it a SinkError or any other exception, the sink is left alone for a delay;
    then it is started again and gets the next item. Events and status records wait for that;
    results are lost, and counted. The outage ends when the sink has written something.

    Args:
        sink: the sink.
        recovery: mode and delays.
        report: receives the status records; called from the sink's thread.
    """

    def __init__(
        self, sink: Sink, recovery: RecoverySettings, report: Callable[[StatusRecord], None]
    ) -> None:
        self.name = sink.name
        self.lossless = sink.lossless
        self._sink = sink
        self._mode = recovery.mode
        self._outage = Outage(
            "sink",
            sink.name,
            report,
            first_s=recovery.first_delay_s,
            longest_s=recovery.longest_delay_s,
        )
        self._started = False
        self._worked = False
        self._kept: deque[Publication] = deque()
        self._lost = 0

    def start(self) -> None:
        """Start the sink. Raises PiDetectorError if it must not be retried."""
        try:
            self._start()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this sink's failure
            self._failed(error)

    def catch_up(self, now: CurrentState) -> None:
        """Hand over what holds now, where the sink asks for that."""
        if not isinstance(self._sink, CatchesUp):
            return
        try:
            self._sink.catch_up(now)
        except Exception as error:  # noqa: BLE001 - it may do well with what comes
            self._started = False
            self._outage.failed(error)

    def handle(self, item: Publication) -> bool:
        """Publish one item, unless the sink has failed and its retry is not due.

        Raises:
            PiDetectorError: the sink never worked and must not be retried.
            ReaderGoneError: the run has lost its reader.
        """
        if self._outage.left_s:
            self._set_aside(item)
            return False
        self._kept.append(item)
        wrote = False
        try:
            self._start()
            while self._kept:
                item = self._kept.popleft()
                wrote = self._sink.handle(item) or wrote
        except ReaderGoneError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this sink's failure
            self._count(item)
            rest, self._kept = self._kept, deque()
            for each in rest:
                self._set_aside(each)
            self._failed(error)
            return False
        self._worked = True
        if wrote:
            lost, self._lost = self._lost, 0
            self._outage.worked(lost)
        return wrote

    def close(self) -> None:
        """Close the sink, which ends an outage too. What it cannot finish is logged."""
        try:
            if self._kept:  # the last chance of the events that wait
                self._start()
            while self._kept:
                self._sink.handle(self._kept[0])
                self._kept.popleft()
        except Exception as error:  # noqa: BLE001 - it was down before
            log.debug("%s: %s", self.name, words_of(error))
        try:
            self._sink.close()
        except Exception as error:
            log.error(
                "%s: %s",
                self.name,
                words_of(error),
                exc_info=None if isinstance(error, PiDetectorError) else error,
                extra={"DETECTOR_EVENT": "sink_failed", "DETECTOR_SINK": self.name},
            )
        for item in self._kept:
            self._count(item)
        self._outage.stopped(self._lost)

    def _start(self) -> None:
        if not self._started:
            self._sink.start()
            self._started = True

    def _set_aside(self, item: Publication) -> None:
        """Keep an event or a status for the next try; a result would be old by then."""
        if not isinstance(item, EventRecord | StatusRecord):
            self._count(item)
            return
        self._kept.append(item)
        if len(self._kept) > MOST_KEPT:
            self._count(self._kept.popleft())

    def _count(self, item: Publication) -> None:
        if not isinstance(item, StatusRecord | PerformanceRecord):
            self._lost += 1

    def _failed(self, error: Exception) -> None:
        """Wait for the next try, or raise what is not to be waited for."""
        foreseen = isinstance(error, PiDetectorError)
        if foreseen and not (self._worked or self._mode == "always"):
            raise error
        self._started = False
        self._outage.failed(error)
