"""Zones that objects enter and leave, and lines that they cross."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np

from pi_detector.config.settings import LineSettings, ZoneSettings

Foot = tuple[float, float]
"""Where an object stands: the middle of its box's lower edge, in 0..1 of the frame."""

_MARGIN = 0.01  # in 0..1 of the frame
_PERSISTENT = 2  # frames
_EDGE = 1.1  # feet are at least so many slacks away from the edge of the frame


@dataclass(frozen=True, slots=True)
class Change:
    """What an object did.

    Attributes:
        kind: ``entered``, ``left`` or ``loitering`` for a zone, ``in`` or ``out`` for a line.
        name: of the zone or line.
        at: wall time of the frame.
        dwell_s: how long it was in the zone, for ``left`` and ``loitering``.
    """

    kind: Literal["entered", "left", "loitering", "in", "out"]
    name: str
    at: datetime
    dwell_s: float | None = None


class _Zone:
    def __init__(self, settings: ZoneSettings) -> None:
        self.settings = settings
        self._polygon = np.asarray(settings.polygon, np.float32).reshape(-1, 1, 2)

    def depth(self, foot: Foot) -> float:
        """How far a point is inside, in 0..1 of the frame; negative outside."""
        import cv2

        return float(cv2.pointPolygonTest(self._polygon, foot, measureDist=True))

    def is_like(self, other: _Zone) -> bool:
        """Whether the same objects are in both."""
        mine, its = self.settings, other.settings
        return (mine.polygon, mine.labels) == (its.polygon, its.labels)


class _Line:
    def __init__(self, settings: LineSettings) -> None:
        self.settings = settings
        points = settings.points
        self.pieces = [(points[i], points[i + 1]) for i in range(len(points) - 1)]

    def is_like(self, other: _Line) -> bool:
        """Whether the same objects cross both."""
        mine, its = self.settings, other.settings
        return (mine.points, mine.labels) == (its.points, its.labels)


class Borders:
    """The borders in a frame: of zones, and along lines.

    Args:
        zones: by name.
        lines: by name.
    """

    def __init__(
        self, zones: Mapping[str, ZoneSettings], lines: Mapping[str, LineSettings]
    ) -> None:
        self.zones = {name: _Zone(zone) for name, zone in zones.items()}
        self.lines = {name: _Line(line) for name, line in lines.items()}


@dataclass(slots=True)
class _Presence:
    """An object and a zone: ``since_ns`` is when it entered, while it is inside."""

    since_ns: int | None = None
    beyond: int = 0
    loitered: bool = False
    begun: bool = False


class Route:
    """The way of one object across the borders.

    Attributes:
        ever: zones that it was in so far, in the order in which it entered them.
    """

    def __init__(self, borders: Borders) -> None:
        self.ever: list[str] = []
        self._borders = borders
        self._presence = {name: _Presence() for name in borders.zones}
        self._known: dict[tuple[str, int], Foot] = {}  # where it last was, clear of a line's piece

    @property
    def inside(self) -> tuple[str, ...]:
        """Zones that it is in now."""
        return tuple(n for n, presence in self._presence.items() if presence.since_ns is not None)

    def through(self, borders: Borders) -> Route:
        """The same way across other borders; a zone that is as before is not entered again."""
        route = Route(borders)
        before = self._borders
        zones = [
            name
            for name, zone in borders.zones.items()
            if name in before.zones and zone.is_like(before.zones[name])
        ]
        lines = [
            name
            for name, line in borders.lines.items()
            if name in before.lines and line.is_like(before.lines[name])
        ]
        route.ever = [name for name in self.ever if name in zones]
        route._presence |= {name: self._presence[name] for name in zones}
        route._known = {piece: foot for piece, foot in self._known.items() if piece[0] in lines}
        return route

    def step(
        self, label: str, foot: Foot, now_ns: int, at: datetime, slack: float = _MARGIN
    ) -> list[Change]:
        """The object was seen.

        An object that stands on a border would cross it in every other frame. So it is on the
        other side once it is clear of the border, and in a zone once it is so in two frames.

        Args:
            label: of the object.
            foot: where it stands.
            now_ns: monotonic.
            at: wall time.
            slack: how far beyond a border it must be, in 0..1 of the frame; at least 0.01.

        Returns:
            What it did.
        """
        slack = max(slack, _MARGIN)
        # Who is cut off by the frame's edge stands on the border of a zone that ends there.
        low, high = _EDGE * slack, 1 - _EDGE * slack
        within = (min(max(foot[0], low), high), min(max(foot[1], low), high))
        changes: list[Change] = []
        for name, zone in self._borders.zones.items():
            if _counts(label, zone.settings.labels):
                changes += self._at_zone(name, zone.depth(within), slack, now_ns, at)
        for name, line in self._borders.lines.items():
            kind = self._crossing(name, line, foot, slack)
            if kind is not None and _counts(label, line.settings.labels):
                changes.append(Change(kind, name, at))
        for presence in self._presence.values():
            presence.begun = True
        return changes

    def linger(self, now_ns: int, at: datetime) -> list[Change]:
        """Time went by. Returns the zones in which the object now loiters."""
        changes = []
        for name, presence in self._presence.items():
            limit_s = self._borders.zones[name].settings.loiter_s
            if presence.since_ns is None or presence.loitered or not limit_s:
                continue
            dwell_s = (now_ns - presence.since_ns) / 1e9
            if dwell_s >= limit_s:
                presence.loitered = True
                changes.append(Change("loitering", name, at, dwell_s))
        return changes

    def _at_zone(
        self, name: str, depth: float, slack: float, now_ns: int, at: datetime
    ) -> list[Change]:
        presence = self._presence[name]
        is_inside = presence.since_ns is not None
        if not presence.begun:
            changed = depth > 0
        else:
            beyond = depth < -slack if is_inside else depth > slack
            presence.beyond = presence.beyond + 1 if beyond else 0
            changed = presence.beyond >= _PERSISTENT
        if not changed:
            return []
        presence.beyond = 0
        if presence.since_ns is not None:
            dwell_s = (now_ns - presence.since_ns) / 1e9
            self._presence[name] = _Presence(begun=True)
            return [Change("left", name, at, dwell_s)]
        presence.since_ns = now_ns
        if name not in self.ever:
            self.ever.append(name)
        return [Change("entered", name, at)]

    def _crossing(
        self, name: str, line: _Line, foot: Foot, slack: float
    ) -> Literal["in", "out"] | None:
        net = 0
        for number, (start, end) in enumerate(line.pieces):
            side = _side(start, end, foot)
            if abs(side) < slack:
                continue
            before = self._known.get((name, number))
            self._known[name, number] = foot
            if before is None or (_side(start, end, before) > 0) == (side > 0):
                continue
            if _side(before, foot, start) * _side(before, foot, end) <= 0:
                net += 1 if side > 0 else -1
        return None if net == 0 else "in" if net > 0 else "out"


def _counts(label: str, labels: Sequence[str]) -> bool:
    return not labels or label in labels


def _side(start: Foot, end: Foot, point: Foot) -> float:
    """Distance of a point from the straight line through two; positive to its right.

    Right as one sees it who stands at the start and looks to the end: y points down.
    """
    x, y = end[0] - start[0], end[1] - start[1]
    length = float(np.hypot(x, y))
    if length == 0:
        return 0.0
    return (x * (point[1] - start[1]) - y * (point[0] - start[0])) / length
