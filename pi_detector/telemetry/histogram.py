"""Latencies in few bytes: a histogram with a bounded relative error, which can be merged.

Source: C. Masson, J. E. Rim, H. K. Lee, "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with
Relative-Error Guarantees", PVLDB 12(12), 2019: buckets whose bounds grow by a constant factor.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

RELATIVE_ERROR = 0.01
"""Of a quantile, at most."""

# Bucket i holds (GAMMA^(i-1), GAMMA^i] milliseconds; the value that stands for it is off by
# RELATIVE_ERROR at both ends.
GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_PER_LOG = 1 / math.log(GAMMA)
_LOWEST_MS = 0.001
_HIGHEST_MS = 3_600_000.0
_LOWEST = math.ceil(math.log(_LOWEST_MS) * _PER_LOG)
_HIGHEST = math.ceil(math.log(_HIGHEST_MS) * _PER_LOG)

Buckets = list[tuple[int, int]]
"""Index and count of the buckets that are not empty, in order."""


class Histogram:
    """Counts of latencies, in milliseconds.

    Values from a microsecond to an hour are distinguished; others count as these bounds, so
    there are at most 1100 buckets. Largest value and sum are exact.

    Attributes:
        count: values so far.
        max_ms: the largest; 0 without any.
        sum_ms: of all values.
    """

    __slots__ = ("_counts", "count", "max_ms", "sum_ms")

    def __init__(self) -> None:
        self.count = 0
        self.max_ms = 0.0
        self.sum_ms = 0.0
        self._counts: dict[int, int] = {}

    @classmethod
    def from_buckets(
        cls, buckets: Iterable[tuple[int, int]], mean_ms: float, max_ms: float
    ) -> Histogram:
        """The histogram that a record describes.

        Args:
            buckets: of ``buckets()``.
            mean_ms: of all values.
            max_ms: the largest value.
        """
        histogram = cls()
        histogram._counts = dict(buckets)
        histogram.count = sum(histogram._counts.values())
        histogram.sum_ms = mean_ms * histogram.count
        histogram.max_ms = max_ms
        return histogram

    @property
    def mean_ms(self) -> float:
        """Of all values; 0 without any."""
        return self.sum_ms / self.count if self.count else 0.0

    def add(self, value_ms: float) -> None:
        """Count a value."""
        if value_ms <= _LOWEST_MS:
            index = _LOWEST
        else:
            index = min(math.ceil(math.log(value_ms) * _PER_LOG), _HIGHEST)
        self._counts[index] = self._counts.get(index, 0) + 1
        self.count += 1
        self.sum_ms += value_ms
        self.max_ms = max(self.max_ms, value_ms)

    def merge(self, other: Histogram) -> None:
        """Count all values of another histogram too."""
        for index, count in other._counts.items():
            self._counts[index] = self._counts.get(index, 0) + count
        self.count += other.count
        self.sum_ms += other.sum_ms
        self.max_ms = max(self.max_ms, other.max_ms)

    def quantile(self, share: float) -> float:
        """The value, in milliseconds, that ``share`` (0..1) of all values do not exceed.

        Off by at most ``RELATIVE_ERROR`` from the value of that rank; 0 without any values.
        """
        rank = max(1, math.ceil(share * self.count))
        seen = 0
        for index in sorted(self._counts):
            seen += self._counts[index]
            if seen >= rank:
                return min(2 * GAMMA**index / (GAMMA + 1), self.max_ms)
        return 0.0

    def buckets(self) -> Buckets:
        """The buckets that are not empty, for a record."""
        return sorted(self._counts.items())
