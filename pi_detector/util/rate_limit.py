"""Limits the rate of inference, and keeps the recent costs of inferred frames."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

_NS = 1_000_000_000
_MOST = 2048


class Cost(NamedTuple):
    """What an inferred frame took.

    Attributes:
        captured_ns: when it was captured, monotonic.
        busy_ms: the detector's time.
        latency_ms: from capture to the end of detection.
    """

    captured_ns: int
    busy_ms: float
    latency_ms: float


class RateLimit:
    """A limit of the rate of inference.

    ``is_due`` and ``step`` are for the thread that detects; the rest may be called from any.

    Attributes:
        rate_fps: highest rate in frames per second, on average; None for no limit.
    """

    def __init__(self) -> None:
        self.rate_fps: float | None = None
        self._due_ns = 0
        self._lately: deque[Cost] = deque(maxlen=_MOST)

    def is_due(self, captured_ns: int) -> bool:
        """Whether a frame that was captured then may be inferred."""
        return self.rate_fps is None or captured_ns >= self._due_ns

    def step(self, captured_ns: int) -> None:
        """A frame that was captured then is inferred: when is the next one due."""
        if self.rate_fps is not None:
            # From when it was due: a camera whose rate is no multiple of this one loses nothing.
            self._due_ns = max(self._due_ns + round(_NS / self.rate_fps), captured_ns)

    def note(self, cost: Cost) -> None:
        """Remember what an inferred frame took."""
        self._lately.append(cost)

    def costs(self, since_ns: int) -> list[Cost]:
        """Of the inferred frames that were captured since then, up to 2048."""
        return [cost for cost in self._lately.copy() if cost.captured_ns >= since_ns]
