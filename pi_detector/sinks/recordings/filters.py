"""Filters of events, as conditions of a query of the index."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events. Each that is set must hold.

    ``ids`` are whole; ``keys`` are ids, the starts of ids, or paths.

    ``before`` is the start and the number of an event: those that follow it in a list.
    """

    since: datetime | None = None
    until: datetime | None = None
    labels: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    kept: bool = False
    before: tuple[datetime, int] | None = None
    limit: int | None = None


def milliseconds(at: datetime) -> int:
    """A moment as the index holds it."""
    return round(at.timestamp() * 1000)


def conditions(wanted: Filter) -> tuple[list[str], list[object]]:
    """SQL conditions that must all hold, and the values of their parameters."""
    where, values = ["1"], list[object]()
    if wanted.since is not None:
        where.append("ended_ms >= ?")
        values.append(milliseconds(wanted.since))
    if wanted.until is not None:
        where.append("started_ms <= ?")
        values.append(milliseconds(wanted.until))
    if wanted.labels:
        where.append(f"label IN ({_marks(wanted.labels)})")
        values += wanted.labels
    if wanted.zones:
        where.append(
            "CASE WHEN typeof(zones) = 'text' AND json_valid(zones) THEN EXISTS (SELECT 1 FROM"
            f" json_each(zones) WHERE value IN ({_marks(wanted.zones)})) END"
        )
        values += wanted.zones
    if wanted.ids:
        where.append(f"id IN ({_marks(wanted.ids)})")
        values += wanted.ids
    if wanted.keys:
        same = "id = ? OR path = ? OR substr(id, 1, length(?)) = ?"
        where.append("(" + " OR ".join([same] * len(wanted.keys)) + ")")
        values += [key for key in wanted.keys for _ in range(4)]
    if wanted.before is not None:
        where.append("(started_ms, number) < (?, ?)")
        values += [milliseconds(wanted.before[0]), wanted.before[1]]
    if wanted.kept:
        where.append("keep")
    return where, values


def _marks(values: tuple[str, ...]) -> str:
    return ", ".join("?" * len(values))
