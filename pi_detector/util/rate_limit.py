"""Limits the rates of reading and of inference, and keeps the recent costs of inferred frames."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

_NS = 1_000_000_000
_MOST = 2048
# A camera at just the wanted rate delivers some frames a little early.
_EARLY_SHARE = 0.15


class Pace:
    """Which frames are due at a rate. ``is_due`` and ``step`` are for one thread.

    Attributes:
        rate_fps: at most this many frames per second, on average; None for all. May be set from any
            thread.
    """

    def __init__(self, rate_fps: float | None = None) -> None:
        self.rate_fps = rate_fps
        self._due_ns = 0

    def is_due(self, captured_ns: int) -> bool:
        """Whether a frame that was captured then is due."""
        rate_fps = self.rate_fps
        return rate_fps is None or captured_ns >= self._due_ns - _EARLY_SHARE * _NS / rate_fps

    def step(self, captured_ns: int) -> None:
        """A frame that was captured then is taken: when is the next one due."""
        rate_fps = self.rate_fps
        interval_ns = round(_NS / rate_fps) if rate_fps else 0
        # From when it was due: a camera whose rate is no multiple of this one loses nothing.
        is_late = captured_ns - self._due_ns >= interval_ns
        self._due_ns = (captured_ns if is_late else self._due_ns) + interval_ns

    def take(self, captured_ns: int) -> bool:
        """``is_due``, and ``step`` if it is."""
        if not self.is_due(captured_ns):
            return False
        self.step(captured_ns)
        return True

    def restart(self) -> None:
        """The clock of the frames begins again: the next one is due."""
        self._due_ns = 0


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


class RateLimit(Pace):
    """A limit of the rate of inference, with the costs that its governor decides by.

    ``note`` and ``costs`` may be called from any thread.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lately: deque[Cost] = deque(maxlen=_MOST)

    def note(self, cost: Cost) -> None:
        """Remember what an inferred frame took."""
        self._lately.append(cost)

    def costs(self, since_ns: int) -> list[Cost]:
        """Of the inferred frames that were captured since then, up to 2048."""
        return [cost for cost in self._lately.copy() if cost.captured_ns >= since_ns]
