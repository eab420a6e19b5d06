"""Current occupancy, counted from the records of events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from pi_detector.core.current import CurrentState
from pi_detector.core.records import EventRecord


class LabelState(msgspec.Struct, frozen=True):
    """Objects of one label; ``moving`` are those of ``count`` that do not stand still."""

    occupied: bool
    count: int
    moving: int


class ZoneState(msgspec.Struct, frozen=True):
    """Objects in one zone, by label as well."""

    occupied: bool
    count: int
    labels: dict[str, int]


class LineState(msgspec.Struct, frozen=True, rename={"inward": "in", "outward": "out"}):
    """Objects that crossed one line since the start, in its two directions."""

    inward: int = 0
    outward: int = 0


SubjectState = LabelState | ZoneState | LineState
Subject = tuple[str, str]
"""Kind (``labels``, ``zones``, ``lines``) and name."""


class Occupancy:
    """Follows the open events.

    Only for the given subjects: an event that began before a reload may still name a zone that the
    reload removed.

    Args:
        labels: of the model.
        zones: names.
        lines: names.
    """

    def __init__(
        self, labels: Iterable[str], zones: Iterable[str] = (), lines: Iterable[str] = ()
    ) -> None:
        self._labels = dict.fromkeys(labels)
        self._zones = dict.fromkeys(zones)
        self._lines = {name: LineState() for name in lines}
        self._open: dict[str, EventRecord] = {}

    def catch_up(self, now: CurrentState) -> None:
        """Begin with the events that are open and the crossings that were counted."""
        self._open = dict(now.events)
        for name in self._lines.keys() & now.lines.keys():
            counts = now.lines[name]
            self._lines[name] = LineState(counts["in"], counts["out"])

    @property
    def subjects(self) -> list[Subject]:
        """All that there is a state of."""
        return [
            *(("labels", name) for name in self._labels),
            *(("zones", name) for name in self._zones),
            *(("lines", name) for name in self._lines),
        ]

    def all(self) -> Iterator[tuple[Subject, SubjectState]]:
        """The state of all that is known."""
        for subject in self.subjects:
            yield subject, self._state(subject)

    def update(self, event: EventRecord) -> Iterator[tuple[Subject, SubjectState]]:
        """The states that a record of an event concerns."""
        before = self._open.pop(event.id, None)
        if event.phase != "end":
            self._open[event.id] = event
        subjects = {("labels", event.label): None}
        subjects |= {("zones", name): None for name in event.zones}
        if before is not None:
            subjects[("labels", before.label)] = None
            subjects |= {("zones", name): None for name in before.zones}
        for crossing in event.transitions:
            if crossing.kind in ("in", "out") and crossing.total is not None:
                self._cross(crossing.name, crossing.kind, crossing.total)
                subjects[("lines", crossing.name)] = None
        for subject in subjects:
            if self._known(subject):
                yield subject, self._state(subject)

    def _known(self, subject: Subject) -> bool:
        kind, name = subject
        if kind == "lines":
            return name in self._lines
        return name in (self._labels if kind == "labels" else self._zones)

    def _cross(self, name: str, direction: str, total: int) -> None:
        field = "inward" if direction == "in" else "outward"
        if (state := self._lines.get(name)) is not None:
            self._lines[name] = msgspec.structs.replace(state, **{field: total})

    def _state(self, subject: Subject) -> SubjectState:
        kind, name = subject
        if kind == "lines":
            return self._lines[name]
        if kind == "zones":
            inside = Counter(each.label for each in self._open.values() if name in each.zones)
            return ZoneState(bool(inside), inside.total(), dict(inside))
        things = [each for each in self._open.values() if each.label == name]
        return LabelState(bool(things), len(things), sum(not each.stationary for each in things))
