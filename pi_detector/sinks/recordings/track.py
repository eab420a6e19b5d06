"""Where an object went during its event."""

from __future__ import annotations

from typing import Annotated

import msgspec

from pi_detector.core.records import Seconds

MOST_POINTS = 240
_STEP = 0.015  # of the frame: less is the jitter of a box

_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
TrackPoint = tuple[Seconds, _Share, _Share]
"""Seconds since the event began; x and y of the object's foot in 0..1 of the frame."""


class Track:
    """The points of an object's way, thinned so that any way fits."""

    def __init__(self) -> None:
        self._points: list[TrackPoint] = []
        self._step = _STEP

    def add(self, at_s: float, x: float, y: float) -> None:
        """Where the object stands.

        Args:
            at_s: seconds since the event began.
            x: of the foot, in 0..1 of the frame's width; what is outside counts as the edge.
            y: of the foot, in 0..1 of the height.
        """
        x, y = min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)
        if self._points:
            _, last_x, last_y = self._points[-1]
            if max(abs(x - last_x), abs(y - last_y)) < self._step:
                return
        self._points.append((round(max(at_s, 0.0), 2), round(x, 4), round(y, 4)))
        if len(self._points) > MOST_POINTS:
            del self._points[1:-1:2]
            self._step *= 1.5

    def points(self) -> tuple[TrackPoint, ...]:
        """The points so far, the earliest first."""
        return tuple(self._points)
