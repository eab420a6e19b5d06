"""Whether a figure that was sampled for a long time grows."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

HOUR_S = 3600.0
_LONG_S = 2 * HOUR_S


@dataclass(frozen=True)
class Trend:
    """How a figure changed after the start.

    Attributes:
        first: its median in the first fifth of the time that counts.
        last: the same of the last fifth.
        per_hour: slope of the line through all that time.
    """

    first: float
    last: float
    per_hour: float

    @property
    def growth(self) -> float:
        """What it grew by."""
        return self.last - self.first

    def __str__(self) -> str:
        return f"{self.first:.0f} to {self.last:.0f}, {self.per_hour:+.0f} per hour"


def settled_after_s(seconds: float) -> float:
    """When a run has taken what it needs: after an hour, of a shorter one after a quarter."""
    return HOUR_S if seconds >= _LONG_S else seconds / 4


def trend(at_s: Sequence[float], values: Sequence[float], start_s: float) -> Trend:
    """How values changed after ``start_s``.

    Args:
        at_s: when each was taken, in order.
        values: the values, at least ten of them after ``start_s``.
        start_s: those before it do not count.
    """
    begin = next(number for number, second in enumerate(at_s) if second >= start_s)
    late_s, late = at_s[begin:], values[begin:]
    fifth = len(late) // 5
    assert fifth >= 2, f"{len(late)} samples are too few"
    slope = statistics.linear_regression([second / HOUR_S for second in late_s], late).slope
    return Trend(statistics.median(late[:fifth]), statistics.median(late[-fifth:]), slope)


def peaks(at_s: Sequence[float], values: Sequence[int], start_s: float) -> tuple[int, int]:
    """The largest value of the first and of the second half of the time after ``start_s``."""
    late = [value for second, value in zip(at_s, values, strict=True) if second >= start_s]
    half = len(late) // 2
    return max(late[:half]), max(late[half:])
