"""The event stage between the detector and the sinks."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

import msgspec

from pi_detector.config.settings import RecoverySettings
from pi_detector.core.clock import utc_now
from pi_detector.core.looks import TrackedBox
from pi_detector.core.outage import Outage, words_of
from pi_detector.core.records import EventRecord, Publication, StatusRecord
from pi_detector.core.result import Result
from pi_detector.core.states import EndReason
from pi_detector.events.stage import EventStage

log = logging.getLogger(__name__)

_SOURCE_GONE = frozenset({"stalled", "reopening"})


class EventFeed:
    """Passes on published items, together with the events that follow from them, in order.

    It has the interface of a sink, so that it can have its own queue. If the stage fails, its open
    events end, and results are passed on without track ids; after a delay a new stage is tried.

    Args:
        stage: tracks the objects.
        give: receives everything to publish.
        recovery: delays after a failure; None raises the errors of the stage.

    Attributes:
        busy: an object is tracked that is not stationary. May be read from any thread.
        tracked: where the tracked objects are expected. May be read from any thread.
        dropped: frames that could neither be followed nor passed on.
        end_reason: reason of the events that are open when the feed is closed.
    """

    name = "events"
    lossless = True

    def __init__(
        self,
        stage: EventStage,
        give: Callable[[Publication], None],
        recovery: RecoverySettings | None = None,
    ) -> None:
        self.busy = False
        self.dropped = 0
        self.tracked: tuple[TrackedBox, ...] = ()
        self.end_reason: EndReason = "shutdown"
        self._stage = stage
        self._give = give
        self._contained = recovery is not None
        delays = recovery or RecoverySettings()
        self._outage = Outage(
            "events",
            self.name,
            give,
            first_s=delays.first_delay_s,
            longest_s=delays.longest_delay_s,
        )
        self._broken = False
        self._open: dict[str, EventRecord] = {}
        self._next: EventStage | None = None

    def replace(self, stage: EventStage) -> None:
        """Continue with another stage from the next item on; it takes over the tracked objects.

        Safe to call from any thread.
        """
        self._next = stage

    def start(self) -> None:
        """Nothing to open."""

    def handle(self, item: Publication) -> bool:
        """Pass on one item, and what it means for the events."""
        before: list[EventRecord] = []
        after: list[EventRecord] = []
        passed_on: Publication | None = None
        if not self._outage.left_s:
            try:
                before, passed_on, after = self._follow(item)
            except Exception as error:
                if not self._contained:
                    raise
                self._failed(error)
        if passed_on is None:
            passed_on = self._unfollowed(item)
        self._give_events(before)
        if passed_on is not None:
            self._give(passed_on)
        self._give_events(after)
        if isinstance(item, Result) and not self._broken:
            self._outage.worked()
        return True

    def close(self) -> None:
        """End the events that are open."""
        try:
            if not self._broken:
                self._give_events(
                    self._stage.interrupt(self.end_reason, time.monotonic_ns(), utc_now())
                )
        except Exception as error:
            if not self._contained:
                raise
            self._outage.failed(error)
        self._end_open(self.end_reason)

    def _follow(
        self, item: Publication
    ) -> tuple[list[EventRecord], Publication, list[EventRecord]]:
        """The item to pass on, with the events before and after it."""
        if self._broken:
            self._stage, self._broken = self._stage.afresh(), False
        before: list[EventRecord] = []
        after: list[EventRecord] = []
        stage, self._next = self._next, None
        if stage is not None:
            old, self._stage = self._stage, stage
            before = stage.take_over(old)
        if isinstance(item, Result):
            item, after = self._stage.process(item)
        elif isinstance(item, StatusRecord) and (reason := _end_reason(item)):
            before += self._stage.interrupt(reason, item.monotonic_ns, item.time)
        self.busy, self.tracked = self._stage.busy, self._stage.tracked
        return before, item, after

    def _failed(self, error: Exception) -> None:
        self._broken, self.busy, self.tracked = True, False, ()
        self._outage.failed(error)
        self._end_open("failed")

    def _unfollowed(self, item: Publication) -> Publication | None:
        """An item while nothing is followed; None for one that cannot be passed on."""
        if not isinstance(item, Result):
            return item
        try:
            return self._stage.unfollowed(item)
        except Exception as error:  # noqa: BLE001 - a frame that is lost; the next may do better
            self.dropped += 1
            log.debug("events: a frame is dropped: %s", words_of(error))
            return None

    def _end_open(self, reason: EndReason) -> None:
        """End the events that the stage did not end: consumers of events wait for that."""
        self._give_events(
            [
                msgspec.structs.replace(
                    event,
                    phase="end",
                    revision=event.revision + 1,
                    reason=reason,
                    transitions=(),
                    time=utc_now(),
                    monotonic_ns=time.monotonic_ns(),
                )
                for event in self._open.values()
            ]
        )

    def _give_events(self, events: Iterable[EventRecord]) -> None:
        for event in events:
            self._open[event.id] = event
            if event.phase == "end":
                del self._open[event.id]
            self._give(event)
            if event.phase != "update":
                _log(event)


def _end_reason(status: StatusRecord) -> EndReason | None:
    """Why a status ends all events, or None."""
    if status.part == "source" and status.state in _SOURCE_GONE:
        return "source_lost"
    if status.part == "detection" and status.state == "paused":
        return "paused"
    return None


def _log(event: EventRecord) -> None:
    """Log an event; systemd's journal gets it with fields."""
    words = f"{event.label} appeared" if event.phase == "new" else f"{event.label} is gone"
    if event.phase == "end":
        words += f" after {event.duration_s:.0f} s ({event.reason})"
    if event.zones:
        words += f", in {', '.join(event.zones)}"
    log.info(
        "%s [%s]",
        words,
        event.id,
        extra={
            "DETECTOR_EVENT": f"object_{event.phase}",
            "DETECTOR_OBJECT": event.id,
            "DETECTOR_LABEL": event.label,
            "DETECTOR_SOURCE": event.source,
        },
    )
