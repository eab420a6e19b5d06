"""Delays before the retries of something that failed."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Delays that double from try to try, up to a longest one, with jitter.

    Half of each delay is fixed and half random, so that many devices that lost the same server do
    not come back at the same moment.
    Source: "equal jitter" in M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog,
    2015.

    Args:
        first_s: the longest that the first delay may be, in seconds.
        longest_s: the longest that any delay may be.
        uniform: random numbers in 0..1.
    """

    def __init__(
        self, first_s: float, longest_s: float, uniform: Callable[[], float] = random.random
    ) -> None:
        self._first_s = min(first_s, longest_s)
        self._longest_s = longest_s
        self._uniform = uniform
        self._ceiling_s = self._first_s

    def next_s(self) -> float:
        """The delay before the next try, in seconds."""
        ceiling_s = self._ceiling_s
        self._ceiling_s = min(2 * ceiling_s, self._longest_s)
        return ceiling_s / 2 * (1 + self._uniform())

    def reset(self) -> None:
        """Begin with the first delay again: it works."""
        self._ceiling_s = self._first_s
