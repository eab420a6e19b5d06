"""Failures: of the connection, of the outbox's disk, and what a broker refuses."""

from __future__ import annotations

import logging
from collections.abc import Callable

from pi_detector.config.settings import RecoverySettings
from pi_detector.core.records import StatusRecord, status_record
from pi_detector.errors import SinkError
from pi_detector.sinks.failure import Failure
from pi_detector.sinks.mqtt.link import rival_advice
from pi_detector.sinks.outbox import Outbox
from pi_detector.util.backoff import Backoff

log = logging.getLogger(__name__)

LINK = "mqtt"
"""Name of the connection in records and logs."""
_STEADY_S = 10.0
"""A connection that lasted this long was none of a series of failures."""
_SUSPICIOUS = 3
"""After so many connections that were lost early, a rival is the likely cause."""


class LinkOutage:
    """Logs and reports once that the connection fails, again if the reason changes, and its end.

    Args:
        recovery: delays between tries; its mode does not matter, a broker is always waited for.
        client_id: of the connection, for advice.
        report: receives status records.

    Attributes:
        reported_lost: lost events that were reported so far.
    """

    def __init__(
        self, recovery: RecoverySettings, client_id: str, report: Callable[[StatusRecord], None]
    ) -> None:
        self.reported_lost = 0
        self._failure = Failure(LINK, report)
        self._backoff = Backoff(recovery.first_delay_s, recovery.longest_delay_s)
        self._client_id = client_id
        self._traced = ""
        self._early_losses = 0

    @property
    def failure(self) -> str | None:
        """Why the connection fails, or None."""
        return self._failure.reason

    def words_of_loss(self, reason: str, lasted_s: float) -> str:
        """Why a connection was lost that had worked for so long; a rival is a cause of many."""
        if lasted_s >= _STEADY_S:
            self._backoff.reset()
            self._early_losses = 0
        self._early_losses += 1
        advice = rival_advice(self._client_id)
        if self._early_losses >= _SUSPICIOUS and advice not in reason:
            reason += f", again and again; {advice}"
        return reason

    def failed(self, reason: str, error: Exception | None = None) -> float:
        """The connection failed.

        Args:
            reason: in words.
            error: unexpected, logged with its traceback.

        Returns:
            After how many seconds to retry.
        """
        delay_s = self._backoff.next_s()
        if reason == self._traced:
            error = None
        elif error is not None and reason != self.failure:
            self._traced = reason
        outlook = f"retrying in {delay_s:.1f} s, and until it recovers; events are kept"
        self._failure.failed(reason, outlook, retry_s=delay_s, error=error)
        return delay_s

    def over(self, broker: str, outbox: Outbox) -> None:
        """The connection works again, or for the first time."""
        lost = outbox.lost - self.reported_lost
        self.reported_lost = outbox.lost
        waiting = outbox.waiting
        after = f"; {waiting} events waiting, {lost} lost" if waiting or lost else ""
        self._failure.over(f"connected to {broker}{after}", lost=lost)


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
