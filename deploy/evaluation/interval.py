"""A difference of two models, and how sure it is."""

from __future__ import annotations

import msgspec


class Interval(msgspec.Struct, frozen=True):
    """A difference and its 95 % interval, in points (hundredths of average precision)."""

    points: float
    low: float
    high: float

    @property
    def shown(self) -> bool:
        """Whether the photos show a difference: 0 lies outside the interval."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{self.points:.1f} points (95 % interval {self.low:.1f} to {self.high:.1f})"
