"""Failures beside the connection: the disk of the outbox, and what a broker refuses."""

from __future__ import annotations

import logging
from collections.abc import Callable

from pi_detector.core.records import StatusRecord, status_record
from pi_detector.errors import SinkError
from pi_detector.sinks.outbox import Outbox

log = logging.getLogger(__name__)

LINK = "mqtt"
"""Name of the connection in records and logs."""


class Disk:
    """Stores events, and reports once when the disk refuses them; they stay in memory then.

    Args:
        outbox: outbox of the events.
        report: receives status records.
        is_down: whether the connection has failed, so that it is not reported as live.

    Attributes:
        failure: why the disk refuses, or None.
    """

    def __init__(
        self, outbox: Outbox, report: Callable[[StatusRecord], None], is_down: Callable[[], bool]
    ) -> None:
        self.failure: str | None = None
        self._outbox = outbox
        self._report = report
        self._is_down = is_down

    def store(self) -> None:
        """Put on disk what is not there yet; a success ends a failure."""
        if self.do(self._outbox.store) and self.failure is not None:
            self.failure = None
            if not self._is_down():
                self._report(status_record("sink", LINK, "live"))

    def do(self, work: Callable[[], None]) -> bool:
        """Do what the disk may refuse. Returns whether it did not."""
        try:
            work()
        except SinkError as error:
            self.failed(error)
            return False
        return True

    def failed(self, error: SinkError) -> None:
        """Log and report a failure, unless it is the one before."""
        if str(error) == self.failure:
            return
        self.failure = str(error)
        log.error("mqtt: %s; events are kept in memory, up to a limit", error)
        self._report(status_record("sink", LINK, "failed", reason=str(error)))

    def give_up(self, reported: int) -> None:
        """Say at the end what is lost, beside what was reported so far."""
        if lost := self._outbox.lost - reported:
            log.error("mqtt: %d events were lost for lack of space", lost)


class Refusals:
    """Reports once each what fails although the connection works.

    Args:
        report: receives status records.
    """

    def __init__(self, report: Callable[[StatusRecord], None]) -> None:
        self._report = report
        self._said: set[str] = set()

    def topic(self, topic: str, reason: str) -> None:
        """A topic that is not published."""
        self.say(f"{topic}: not published: {reason}")

    def say(self, words: str) -> None:
        """Anything else."""
        if words not in self._said:
            self._said.add(words)
            log.error("mqtt: %s", words)
            self._report(status_record("sink", LINK, "refused", reason=words))
