"""The events of this run as they arrive, and the recorded ones."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path

import msgspec

from pi_detector.core.records import EventRecord
from pi_detector.errors import RecordingNotFoundError
from pi_detector.sinks.recordings.filters import Filter
from pi_detector.sinks.recordings.index import Index, Row
from pi_detector.sinks.recordings.layout import Entry, Media
from pi_detector.sinks.recordings.marks import Mark
from pi_detector.sinks.web.bell import Bell

MOST_EVENTS = 200
"""Number of this run's events that are kept."""
PAGE = 24
"""Events per page of the gallery."""
_OVERVIEW_INTERVAL_S = 1.0
_AT_FIRST = 24  # changes sent to a new reader


class Clip(msgspec.Struct, frozen=True):
    """A clip of an event, which may begin before the event does: ``offset_s`` later.

    ``duration_s`` is null where it is not known.
    """

    url: str
    duration_s: float | None
    offset_s: float


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """An event as the page shows it; while ``recording``, a clip of it is still to come.

    ``mark`` is what its owner said of it.
    """

    id: str
    label: str
    score: float
    started: datetime
    duration_s: float
    zones: tuple[str, ...]
    going_on: bool
    recording: bool = False
    stationary: bool
    interrupted: bool = False
    kept: bool = False
    mark: Mark | None = None
    thumbnail: str | None = None
    picture: str | None = None
    clips: tuple[Clip, ...] = ()


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page of events, the latest first; ``next`` is what asks for the page after it."""

    recorded: bool
    events: list[Card]
    labels: list[str]
    next: str | None = None


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Which events are wanted."""

    id: str | None = None
    label: str | None = None
    zone: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: tuple[datetime, int] | None = None


class RunEvents:
    """The events since the start, and their latest changes."""

    def __init__(self) -> None:
        self._events: OrderedDict[str, EventRecord] = OrderedDict()
        self._changes: deque[EventRecord] = deque(maxlen=MOST_EVENTS)
        self._count = 0
        self._lock = threading.Lock()

    def note(self, event: EventRecord) -> None:
        """An event began, changed or ended."""
        with self._lock:
            self._events[event.id] = event
            while len(self._events) > MOST_EVENTS:
                self._events.popitem(last=False)
            self._changes.append(event)
            self._count += 1

    @property
    def count(self) -> int:
        """Number of the last change."""
        return self._count

    def since(self, number: int) -> tuple[int, list[EventRecord]]:
        """The changes after the one of this number, as far as they are remembered."""
        with self._lock:
            new = min(self._count - number, len(self._changes))
            return self._count, list(self._changes)[len(self._changes) - new :] if new else []

    def forget(self, event_id: str) -> None:
        """An event was deleted."""
        with self._lock:
            self._events.pop(event_id, None)

    def latest(self) -> list[EventRecord]:
        """The events, the one that began last first."""
        with self._lock:
            return list(reversed(self._events.values()))

    def page(self, query: Query) -> Page:
        """The events that a query wants, all on one page."""
        events = self.latest()
        cards = [card_of_run(event) for event in events if _wanted(event, query)]
        return Page(recorded=False, events=cards, labels=sorted({e.label for e in events}))


def _wanted(event: EventRecord, query: Query) -> bool:
    return (
        query.id in (None, event.id)
        and query.label in (None, event.label)
        and (query.zone is None or query.zone in event.entered)
        and (query.since is None or event.time >= query.since)
        and (query.until is None or event.started <= query.until)
    )


def card_of_run(event: EventRecord) -> Card:
    """The card of an event of this run, without what was recorded of it."""
    return Card(
        id=event.id,
        label=event.label,
        score=event.score,
        started=event.started,
        duration_s=event.duration_s,
        zones=event.entered,
        going_on=event.phase != "end",
        stationary=event.stationary,
    )


def recorded_page(root: Path, query: Query) -> Page:
    """A page of the events that were recorded.

    Args:
        root: the folder of the recordings; one that does not exist yet has no events.
        query: which are wanted.

    Raises:
        SinkError: the index cannot be read.
    """
    wanted = Filter(
        since=query.since,
        until=query.until,
        labels=() if query.label is None else (query.label,),
        zones=() if query.zone is None else (query.zone,),
        ids=() if query.id is None else (query.id,),
        before=query.before,
        limit=PAGE + 1,
    )
    try:
        with closing(Index(root)) as index:
            rows = list(index.select(wanted))
            labels = index.labels()
    except RecordingNotFoundError:
        return Page(recorded=True, events=[], labels=[])
    further = None
    if len(rows) > PAGE:
        last = rows[PAGE - 1].entry
        further = f"{last.event.started.isoformat()},{last.number}"
    return Page(
        recorded=True, events=[card_of_row(row) for row in rows[:PAGE]], labels=labels, next=further
    )


def with_unfinished(page: Page, run: Page, query: Query) -> Page:
    """A first page of recorded events, with ongoing ones that are not in the index yet."""
    if query.before is not None:
        return page
    known = {card.id for card in page.events}
    open_ = [
        msgspec.structs.replace(card, recording=True)
        for card in run.events
        if card.going_on and card.id not in known
    ]
    labels = sorted({*page.labels, *run.labels})
    return msgspec.structs.replace(page, events=[*open_, *page.events], labels=labels)


def card_of_row(row: Row) -> Card:
    """The card of a recorded event."""
    entry = row.entry
    urls = {media.kind: f"/media/{media.path}" for media in entry.files}
    clips = [
        Clip(f"/media/{media.path}", media.duration_s, _offset_s(entry, media))
        for media in entry.files
        if media.kind == "clip"
    ]
    return msgspec.structs.replace(
        card_of_run(entry.event),
        going_on=entry.event.phase != "end" and not entry.interrupted,
        recording=not entry.complete,
        interrupted=entry.interrupted,
        kept=row.keep,
        mark=row.mark,
        thumbnail=urls.get("thumbnail"),
        picture=urls.get("snapshot"),
        clips=tuple(clips),
    )


def _offset_s(entry: Entry, clip: Media) -> float:
    """Where in a clip its event begins; for older versions, by the wall clock."""
    if clip.offset_s is not None:
        return clip.offset_s
    if clip.started is None or clip.duration_s is None:
        return 0.0
    offset_s = (entry.event.started - clip.started).total_seconds()
    return round(offset_s, 3) if 0 < offset_s < clip.duration_s else 0.0


async def live(
    run: RunEvents, bell: Bell, overview: Callable[[], bytes], last: int | None
) -> AsyncIterator[bytes]:
    """Server-sent events: the overview every second, and each event when it changes.

    Source: HTML Living Standard, "Server-sent events".

    Args:
        run: the events.
        bell: rung when one changes.
        overview: the overview as JSON.
        last: number of the change that the reader saw last, over an earlier connection; None
            begins with the latest.
    """
    if last is None or last > run.count:
        last = max(0, run.count - _AT_FIRST)
    seen = last
    while not bell.closing:
        seen, changed = run.since(seen)
        for event in changed:
            yield _message("event", msgspec.json.encode(card_of_run(event)), seen)
        yield _message("overview", overview(), seen)
        await bell.wait(_OVERVIEW_INTERVAL_S)


def _message(kind: str, data: bytes, number: int) -> bytes:
    return f"id: {number}\nevent: {kind}\ndata: ".encode() + data + b"\n\n"
