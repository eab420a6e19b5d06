"""A rate limit for log messages that remote clients can cause."""

from __future__ import annotations

import time
from collections.abc import Callable


class LogLimit:
    """Admits one message per interval, and counts those between.

    Args:
        interval_s: between two messages.
        monotonic_s: clock.
    """

    def __init__(
        self, interval_s: float = 60.0, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._interval_s = interval_s
        self._monotonic_s = monotonic_s
        self._last_s: float | None = None
        self._skipped = 0

    def admit(self) -> int | None:
        """How many messages were skipped since the last one; None: skip this one too."""
        now_s = self._monotonic_s()
        if self._last_s is not None and now_s - self._last_s < self._interval_s:
            self._skipped += 1
            return None
        skipped, self._skipped, self._last_s = self._skipped, 0, now_s
        return skipped
