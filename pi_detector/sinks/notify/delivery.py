"""The way of messages to one service: a queue on disk, and a thread that waits for the service."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec

from pi_detector.config.settings import RecoverySettings
from pi_detector.core.outage import words_of
from pi_detector.core.records import StatusRecord, status_record
from pi_detector.core.states import State
from pi_detector.errors import PiDetectorError, SinkError
from pi_detector.sinks.failure import Failure
from pi_detector.sinks.notify.message import Message, Note, packed, unpacked
from pi_detector.sinks.notify.queue import queue_at
from pi_detector.sinks.notify.services import NotSentError, RefusedError, Service
from pi_detector.sinks.outbox import Entry
from pi_detector.sinks.turns import turn
from pi_detector.util.backoff import Backoff
from pi_detector.util.worker import Worker

log = logging.getLogger(__name__)

_FAREWELL_S = 3.0
_MINUTE_S = 60.0
_MOST_TOGETHER = 100
"""Notes of one message; what is more becomes another message."""
_MOST_AHEAD = 200
"""Notes in memory, of messages that are not complete."""

_Taken: TypeAlias = tuple[Entry, Note]


class Delivery:
    """Gives messages to one service, in order, each until it is taken or too old.

    A note is on disk before ``add`` returns, and is deleted once the service took its message: a
    process that is killed loses nothing, and at most sends one message again, under the same id.
    The thread sleeps while there is nothing to send. After a reload, two deliveries may share the
    queue; one at a time sends.

    Args:
        rule: name of the rule.
        service: takes the messages.
        path: of the queue.
        most_bytes: of the queue; beyond, the oldest are dropped.
        render: makes the message of a group of notes.
        expire_s: a note that waited for longer is dropped.
        max_per_minute: messages.
        recovery: delays between tries.
        report: takes status records.
        wait_s: in how long a note is to be checked again, whose message is otherwise complete; 0
            where it is.

    Attributes:
        path: of the queue.
        sent: messages that were taken.
        expired: notes that were dropped because they were too old.
        refused: messages that the service will never take.
    """

    def __init__(
        self,
        rule: str,
        service: Service,
        path: Path,
        *,
        most_bytes: int,
        render: Callable[[Sequence[Note]], Message],
        expire_s: float,
        max_per_minute: int,
        recovery: RecoverySettings,
        report: Callable[[StatusRecord], None],
        wait_s: Callable[[Note], float] = lambda _: 0.0,
    ) -> None:
        self.name = f"notify.{rule}.{service.name}"
        self.sent = self.expired = self.refused = 0
        self._service = service
        self.path = path
        self._render = render
        self._wait_s = wait_s
        self._expire_s = expire_s
        self._rate = _Rate(max_per_minute)
        self._backoff = Backoff(recovery.first_delay_s, recovery.longest_delay_s)
        self._report = report
        self._most_bytes = most_bytes
        self._queue = queue_at(path)
        self._ahead: dict[str, list[_Taken]] = {}
        self._drained = False
        self._failure = Failure(self.name, report)
        self._disk_failure: str | None = None
        self._told_expired = 0
        self._new = threading.Event()
        self._closing = threading.Event()
        self._give_up_s = float("inf")
        self._worker: Worker | None = None

    def start(self) -> None:
        """Begin to send, unless it does already."""
        if self._worker is not None and self._worker.running:
            return
        self._queue.enter(self._most_bytes)
        try:
            self._worker = Worker(f"notify-{self._service.name}"[:15], self._run)
        except RuntimeError:  # no more threads
            self._do(self._queue.leave)
            raise

    def check(self) -> None:
        """Raise what ended the thread, if something did."""
        if self._worker is not None:
            self._worker.check()

    def add(self, note: Note) -> None:
        """Queue a note. Waits for the disk, not for the service."""
        self._do(lambda: self._queue.add(packed(note)))
        self._tell_lost()
        self._new.set()

    def end(self) -> None:
        """Take no more; what waits is still sent, if that takes no more than a moment."""
        if not self._closing.is_set():
            self._give_up_s = time.monotonic() + _FAREWELL_S
            self._closing.set()
            self._new.set()

    def close(self) -> None:
        """Send what can be sent in a moment; the rest stays on disk."""
        self.end()
        if self._worker is None:
            return
        if not self._worker.join(self._give_up_s + 0.5):
            log.warning("%s: the service did not answer in time; its messages wait", self.name)
            return
        self._worker.check()

    def _run(self) -> None:
        # A reload starts the new delivery before the old one ends: one at a time sends.
        try:
            with turn([self.path], self._closing) as mine:
                if mine:
                    self._deliver()
        finally:
            self._do(self._queue.leave)
            self._tell_lost()

    def _deliver(self) -> None:
        """Send what waits, until the end."""
        self._do(self._queue.open)
        self._prepare()
        try:
            while not self._over:
                self._deliver_one()
        finally:
            self._give_back()

    def _give_back(self) -> None:
        """Leave to the next try, or to the next delivery, what was not sent."""
        self._ahead.clear()
        self._do(self._queue.give_back)

    def _prepare(self) -> None:
        """Have what sending needs at hand before the first message, which is to be fast."""
        try:
            self._service.prepare()
        except Exception as error:  # noqa: BLE001 - the first message tries it again
            self._tell_failure(error, "messages wait")

    @property
    def _over(self) -> bool:
        return self._closing.is_set() and (
            self._failure.reason is not None or time.monotonic() >= self._give_up_s or self._drained
        )

    def _deliver_one(self) -> None:
        """Send the next message, or wait for it, or for the next try."""
        try:
            batch = self._next_batch()
            if not batch:
                return
            self._rate.wait(self._closing)
            batch = self._unexpired(batch)
            if not batch:
                return
            self._rate.count()
            self._service.prepare()
            self._service.send(self._render([note for _, note in batch]))
        except RefusedError as error:
            self.refused += 1
            log.error("%s: a message is dropped: %s", self.name, error)
            self._report(status_record("sink", self.name, "refused", reason=str(error)))
        except Exception as error:  # noqa: BLE001 - whatever it is, the next try may do better
            self._failed(error)
            return
        else:
            self.sent += 1
            self._worked()
        self._finish(entry for entry, _ in batch)

    def _next_batch(self) -> list[_Taken]:
        """The notes of the next message that is complete; none where none is yet."""
        self._new.clear()  # before looking: what is added meanwhile is not overlooked
        self._read()
        soonest_s = None
        for group, batch in self._ahead.items():
            left_s = self._left_s(batch)
            if not left_s:
                del self._ahead[group]
                return batch
            soonest_s = left_s if soonest_s is None else min(soonest_s, left_s)
        self._drained = self._closing.is_set()
        if not self._drained:
            self._new.wait(soonest_s)
        return []

    def _read(self) -> None:
        """Take notes from the queue, each to those of its group."""
        number = sum(len(batch) for batch in self._ahead.values())
        while number < _MOST_AHEAD and (taken := self._take()) is not None:
            batch = self._ahead.setdefault(taken[1].group, [])
            batch.append(taken)
            _leave_best_picture(batch)
            number += 1
            if len(batch) >= _MOST_TOGETHER:
                break

    def _left_s(self, batch: Sequence[_Taken]) -> float:
        """In how long the message about these notes may be complete; 0 where it is."""
        if len(batch) < _MOST_TOGETHER and not self._closing.is_set():
            left_s = batch[0][1].left_s()  # of its group
            if left_s:
                return left_s
        return max(self._wait_s(note) for _, note in batch)

    def _take(self) -> _Taken | None:
        """The next note that is not too old."""
        while True:
            entry = self._queue.take()
            if entry is None:
                self._tell_expired()
                return None
            note = unpacked(entry.payload)
            if entry.stored:
                entry.payload = b""  # the disk has it
            if note is not None and note.age_s() <= self._expire_s:
                self._tell_expired()
                return entry, note
            self.expired += 1
            self._finish([entry])

    def _unexpired(self, batch: Sequence[_Taken]) -> list[_Taken]:
        """The notes that are not too old by now; it may have taken long to come to them."""
        fresh = [taken for taken in batch if taken[1].age_s() <= self._expire_s]
        if len(fresh) < len(batch):
            self.expired += len(batch) - len(fresh)
            self._finish(taken[0] for taken in batch if taken not in fresh)
            self._tell_expired()
        return fresh

    def _finish(self, entries: Iterable[Entry]) -> None:
        self._do(lambda: self._queue.finish(entries))

    def _failed(self, error: Exception) -> None:
        """Log an outage once per reason, and wait for the next try."""
        self._give_back()
        delay_s = self._backoff.next_s()
        if isinstance(error, NotSentError) and error.retry_s is not None:
            delay_s = max(delay_s, error.retry_s)
        self._tell_failure(error, f"retrying in {delay_s:.1f} s, messages wait", delay_s)
        self._closing.wait(delay_s)

    def _tell_failure(self, error: Exception, outlook: str, retry_s: float | None = None) -> None:
        """Log and report a failure, unless it is the one before."""
        unexpected = None if isinstance(error, PiDetectorError) else error
        self._failure.failed(words_of(error), outlook, retry_s=retry_s, error=unexpected)

    def _worked(self) -> None:
        self._backoff.reset()
        if self._failure.reason is not None:
            self._failure.over("works again")

    def _tell_expired(self) -> None:
        """Say how many messages were dropped since this was last said."""
        number = self.expired - self._told_expired
        if not number:
            return
        self._told_expired = self.expired
        words = f"{number} message{'s' if number > 1 else ''} expired"
        log.warning("%s: %s", self.name, words)
        state: State = "live" if self._failure.reason is None else "failed"
        self._report(status_record("sink", self.name, state, reason=words, lost=number))

    def _tell_lost(self) -> None:
        if lost := self._queue.newly_lost():
            log.error("%s: %d messages were dropped: there was no room for them", self.name, lost)

    def _do(self, work: Callable[[], None]) -> None:
        """Do what the disk may refuse; that is logged once, and messages wait in memory."""
        try:
            work()
        except SinkError as error:
            if str(error) != self._disk_failure:
                self._disk_failure = str(error)
                log.error("%s: %s; as many as fit wait in memory", self.name, error)
                self._report(status_record("sink", self.name, "limited", reason=str(error)))
        else:
            self._disk_failure = None


def _leave_best_picture(batch: list[_Taken]) -> None:
    """Of the pictures of a message only one is sent: the others need not be in memory."""
    pictured = [number for number, (_, note) in enumerate(batch) if note.image is not None]
    best = max(pictured, key=lambda number: batch[number][1].event.best.score, default=None)
    for number in pictured:
        if number != best:
            entry, note = batch[number]
            batch[number] = entry, msgspec.structs.replace(note, image=None)


class _Rate:
    """At most so many per minute."""

    def __init__(self, most: int) -> None:
        self._times: deque[float] = deque(maxlen=most)

    def wait(self, closing: threading.Event) -> None:
        """Wait until one more is allowed, or until the end."""
        if len(self._times) == self._times.maxlen:
            closing.wait(max(0.0, self._times[0] + _MINUTE_S - time.monotonic()))

    def count(self) -> None:
        """One more is sent."""
        self._times.append(time.monotonic())
