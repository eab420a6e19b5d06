"""The event stage between the detector and the sinks."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pi_detector.core.clock import utc_now
from pi_detector.core.records import EndReason, EventRecord, Publication, Result, StatusRecord
from pi_detector.events.stage import EventStage

log = logging.getLogger(__name__)

_SOURCE_GONE = frozenset({"stalled", "reopening"})


@dataclass
class EventFeed:
    """Passes on what is published, with the events that follow from it, in order.

    It has the shape of a sink, so that it can stand behind a queue of its own.

    Args:
        stage: follows the objects.
        give: takes what is to be published.

    Attributes:
        busy: something is followed that does not stand still. May be read from any thread.
        end_reason: why events end that are open when the feed is closed.
    """

    stage: EventStage
    give: Callable[[Publication], None]
    name: str = "events"
    lossless: bool = True
    busy: bool = False
    end_reason: EndReason = "shutdown"
    _next: EventStage | None = field(default=None, init=False)

    def replace(self, stage: EventStage) -> None:
        """Go on with another stage from the next item on, and with what this one follows.

        May be called from any thread.
        """
        self._next = stage

    def start(self) -> None:
        """Nothing to open."""

    def handle(self, item: Publication) -> None:
        """Pass on one item, and what it means for the events."""
        stage, self._next = self._next, None
        if stage is not None:
            self._tell(stage.take_over(self.stage))
            self.stage = stage
        if isinstance(item, Result):
            result, events = self.stage.process(item)
            self.give(result)
            self._tell(events)
        else:
            if isinstance(item, StatusRecord) and (reason := _end_reason(item)):
                self._tell(self.stage.interrupt(reason, item.monotonic_ns, item.time))
            self.give(item)
        self.busy = self.stage.busy

    def close(self) -> None:
        """End the events that are open."""
        self._end_all(self.end_reason)

    def _end_all(self, reason: EndReason) -> None:
        self._tell(self.stage.interrupt(reason, time.monotonic_ns(), utc_now()))

    def _tell(self, events: Iterable[EventRecord]) -> None:
        for event in events:
            self.give(event)
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
    """Tell of an event in the log; systemd's journal gets it with fields."""
    words = f"{event.label} is here" if event.phase == "new" else f"{event.label} is gone"
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
