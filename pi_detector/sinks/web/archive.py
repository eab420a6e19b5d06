"""The events that the page lists and shows, of the recordings and of this run."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from pi_detector.core.boxes import Box
from pi_detector.core.records import EventRecord, FrameSize, Transition
from pi_detector.errors import RecordingNotFoundError
from pi_detector.sinks.recordings.catalogue import delete_event, keep_event
from pi_detector.sinks.recordings.filters import Filter, milliseconds
from pi_detector.sinks.recordings.index import Index, Row
from pi_detector.sinks.recordings.reviewed import Reviewed
from pi_detector.sinks.recordings.track import TrackPoint
from pi_detector.sinks.web.events import Card, RunEvents, card_of_row, card_of_run

MOST_ROWS = 20_000
"""Number of events in one list."""
KEPT, REVIEWED, OPEN = 1, 2, 4
"""Flags of an event in a list; OPEN while it or its clip is ongoing."""

_LONGEST_TEXT = 500  # of an id, a label or the zones of an event, in an index that may be anybody's
_LIST = (
    "SELECT number, id, label, zones, started_ms, ended_ms, complete, keep FROM events"
    f" WHERE length(id) <= {_LONGEST_TEXT} AND length(label) <= {_LONGEST_TEXT}"
    f" AND length(zones) <= {_LONGEST_TEXT} AND typeof(label) = 'text' AND typeof(id) = 'text'"
    " AND number < ? ORDER BY started_ms DESC, number DESC LIMIT ?"
)


class EventList(msgspec.Struct, frozen=True, kw_only=True):
    """Events as columns, the latest start first; short, as a list may have thousands.

    Attributes:
        recorded: false for the events of this run, where nothing is recorded.
        labels: the labels that occur.
        zones: the sets of zones that occur.
        id: id of each event.
        label: its label, as a position in `labels`.
        zone: the zones that it entered, as a position in `zones`.
        started_ms: when it began, in milliseconds since 1970.
        duration_ms: how long it lasted, in milliseconds.
        flags: the sum of 1 (kept), 2 (reviewed) and 4 (it or its clip is ongoing).
        earlier: asks for the events before these; null where there are none.
    """

    recorded: bool
    labels: list[str] = []
    zones: list[list[str]] = []
    id: list[str] = []
    label: list[int] = []
    zone: list[int] = []
    started_ms: list[int] = []
    duration_ms: list[int] = []
    flags: list[int] = []
    earlier: int | None = None


class Detail(Card, frozen=True, kw_only=True):
    """An event with all that the page shows of it.

    Attributes:
        source: where its frames came from.
        frame: size of the frame.
        best_box: where the object is in the best view, in 0..1 of the frame.
        best_at: when that was.
        reviewed: a viewer has marked it.
        clean: address of the best view without anything drawn into it.
        track: where the object stood: seconds since the event began, x and y in 0..1.
        transitions: what it did at zones and lines.
        older: id of the event before it.
        newer: id of the event after it.
    """

    source: str
    frame: FrameSize
    best_box: Box
    best_at: datetime
    reviewed: bool = False
    clean: str | None = None
    track: tuple[TrackPoint, ...] = ()
    transitions: tuple[Transition, ...] = ()
    older: str | None = None
    newer: str | None = None


class Archive:
    """The events of the recordings, and of this run where nothing is recorded.

    Its methods read and write files. All raise SinkError where the index cannot be read or changed.

    Args:
        root: folder of the recordings; None if nothing is recorded.
        run: the events of this run.
    """

    def __init__(self, root: Path | None, run: RunEvents) -> None:
        self.root = root
        self._run = run
        self._marking = threading.Lock()

    def listed(self, before: int | None = None) -> EventList:
        """The list of all events; with ``before``, of those of a lower number."""
        if self.root is None:
            return _list_of_run(self._run.latest())
        try:
            with closing(Index(self.root)) as index:
                rows = index.rows(_LIST, [2**62 if before is None else before, MOST_ROWS + 1])
        except RecordingNotFoundError:
            rows = []
        shown = _list_of_rows(rows[:MOST_ROWS], Reviewed.read(self.root))
        further = min(row[0] for row in rows[:MOST_ROWS]) if len(rows) > MOST_ROWS else None
        return msgspec.structs.replace(shown, earlier=further)

    def detail(self, event_id: str) -> Detail | None:
        """An event, or None where it is unknown."""
        found = self._recorded(event_id)
        return found or _detail_of_run(self._run.latest(), event_id)

    def thumbnail(self, event_id: str) -> str | None:
        """The path of an event's thumbnail in the folder of the recordings, or None."""
        if self.root is None:
            return None
        try:
            with closing(Index(self.root)) as index:
                for row in index.select(Filter(ids=(event_id,), limit=1)):
                    return next((m.path for m in row.entry.files if m.kind == "thumbnail"), None)
        except RecordingNotFoundError:
            pass
        return None

    def keep(self, event_id: str, keep: bool) -> bool:
        """Protect an event from being deleted by itself, or no longer.

        Returns:
            Whether the event is known.
        """
        return self._each(event_id, lambda root, index, path: keep_event(root, index, path, keep))

    def delete(self, event_id: str) -> bool:
        """Delete an event and its files. Returns whether it was known."""
        known = self._each(event_id, delete_event)
        if known:
            self._run.forget(event_id)
        return known

    def review(self, event_ids: Sequence[str], reviewed: bool) -> None:
        """Mark events as reviewed, or no longer."""
        if self.root is None or not event_ids:
            return
        with closing(Index(self.root)) as index:
            numbers = index.rows(
                "SELECT number FROM events WHERE id IN (SELECT value FROM json_each(?))",
                [json.dumps(list(event_ids))],
            )
        with self._marking:
            marked = Reviewed.read(self.root).marked((number for (number,) in numbers), reviewed)
            marked.write(self.root)

    def _each(self, event_id: str, change: Any) -> bool:
        if self.root is None:
            return False
        try:
            with closing(Index(self.root, write=True)) as index:
                paths = [row.entry.path for row in index.select(Filter(ids=(event_id,)))]
                for path in paths:
                    change(self.root, index, path)
        except RecordingNotFoundError:
            return False
        return bool(paths)

    def _recorded(self, event_id: str) -> Detail | None:
        if self.root is None:
            return None
        try:
            with closing(Index(self.root)) as index:
                for row in index.select(Filter(ids=(event_id,), limit=1)):
                    reviewed = row.entry.number in Reviewed.read(self.root)
                    return _detail_of_row(row, reviewed, *_neighbours(index, row))
        except RecordingNotFoundError:
            pass
        return None


def _neighbours(index: Index, row: Row) -> tuple[str | None, str | None]:
    """The ids of the events before and after one."""
    at = [milliseconds(row.entry.event.started), row.entry.number]
    older = index.rows(
        "SELECT id FROM events WHERE (started_ms, number) < (?, ?)"
        " ORDER BY started_ms DESC, number DESC LIMIT 1",
        at,
    )
    newer = index.rows(
        "SELECT id FROM events WHERE (started_ms, number) > (?, ?)"
        " ORDER BY started_ms, number LIMIT 1",
        at,
    )
    return (older[0][0] if older else None), (newer[0][0] if newer else None)


def _detail_of_row(row: Row, reviewed: bool, older: str | None, newer: str | None) -> Detail:
    entry = row.entry
    clean = next((media.path for media in entry.files if media.kind == "clean"), None)
    return Detail(
        **msgspec.structs.asdict(card_of_row(row)),
        **_facts(entry.event),
        reviewed=reviewed,
        clean=None if clean is None else f"/media/{clean}",
        track=entry.track,
        transitions=entry.transitions,
        older=older,
        newer=newer,
    )


def _detail_of_run(events: list[EventRecord], event_id: str) -> Detail | None:
    ids = [event.id for event in events]
    if event_id not in ids:
        return None
    at = ids.index(event_id)
    return Detail(
        **msgspec.structs.asdict(card_of_run(events[at])),
        **_facts(events[at]),
        transitions=events[at].transitions,
        older=ids[at + 1] if at + 1 < len(ids) else None,
        newer=ids[at - 1] if at else None,
    )


def _facts(event: EventRecord) -> dict[str, Any]:
    return {
        "source": event.source,
        "frame": event.frame,
        "best_box": event.best.box,
        "best_at": event.best.time,
    }


def _list_of_rows(rows: list[tuple[Any, ...]], reviewed: Reviewed) -> EventList:
    labels = sorted({row[2] for row in rows})
    zones = {text: at for at, text in enumerate(sorted({row[3] for row in rows}))}
    number_of = {label: at for at, label in enumerate(labels)}
    return EventList(
        recorded=True,
        labels=labels,
        zones=[_zones_in(text) for text in zones],
        id=[row[1] for row in rows],
        label=[number_of[row[2]] for row in rows],
        zone=[zones[row[3]] for row in rows],
        started_ms=[row[4] for row in rows],
        duration_ms=[max(0, row[5] - row[4]) for row in rows],
        flags=[
            KEPT * bool(row[7]) + REVIEWED * (row[0] in reviewed) + OPEN * (not row[6])
            for row in rows
        ],
    )


def _zones_in(text: str) -> list[str]:
    try:
        found = json.loads(text)
    except ValueError:
        return []
    return [str(zone) for zone in found] if isinstance(found, list) else []


def _list_of_run(events: Iterable[EventRecord]) -> EventList:
    events = list(events)
    labels = sorted({event.label for event in events})
    zones = sorted({event.entered for event in events})
    return EventList(
        recorded=False,
        labels=labels,
        zones=[list(each) for each in zones],
        id=[event.id for event in events],
        label=[labels.index(event.label) for event in events],
        zone=[zones.index(event.entered) for event in events],
        started_ms=[milliseconds(event.started) for event in events],
        duration_ms=[round(event.duration_s * 1000) for event in events],
        flags=[OPEN * (event.phase != "end") for event in events],
    )
