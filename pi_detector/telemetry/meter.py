"""Collects the timings of every processed frame."""

from __future__ import annotations

import threading
from collections import Counter

from pi_detector.core.looks import LookReason
from pi_detector.core.readings import LatencySummary, StageLatencies
from pi_detector.core.records import Publication
from pi_detector.core.result import Result
from pi_detector.telemetry.histogram import Histogram


class _Window:
    """The latencies of an interval."""

    def __init__(self) -> None:
        self.preprocess = Histogram()
        self.invoke = Histogram()
        self.decode = Histogram()
        self.latency = Histogram()
        self.looks = Counter[LookReason]()


class Meter:
    """A sink that keeps of each frame what it cost.

    Example:
        >>> meter = Meter()
        >>> meter.handle(result)
        >>> meter.take().invoke.p50
    """

    name = "meter"
    lossless = True

    def __init__(self) -> None:
        self._window = _Window()
        self._changing = threading.Lock()

    def start(self) -> None:
        """Do nothing: it may be started and closed again at each reload."""

    def handle(self, item: Publication) -> bool:
        """Count the timings of a frame; skip records."""
        if not isinstance(item, Result):
            return False
        timings = item.timings
        with self._changing:
            window = self._window
            window.preprocess.add(timings.preprocess_ms)
            if item.inferred:
                window.invoke.add(timings.invoke_ms)
                window.decode.add(timings.decode_ms)
                window.looks.update(look.reason for look in item.looks)
            window.latency.add(timings.latency_ms)
        return True

    def close(self) -> None:
        """Do nothing."""

    def take(self) -> StageLatencies:
        """What came since the last time, summarized. May be called from any thread."""
        return self.take_all()[0]

    def take_all(self) -> tuple[StageLatencies, dict[LookReason, int] | None]:
        """As ``take``, and the looks by their reason; None without any. From any thread."""
        with self._changing:
            window, self._window = self._window, _Window()
        stages = StageLatencies(
            preprocess=summary_of(window.preprocess),
            invoke=summary_of(window.invoke),
            decode=summary_of(window.decode),
            latency=summary_of(window.latency),
        )
        return stages, dict(window.looks) or None


def summary_of(histogram: Histogram) -> LatencySummary | None:
    """A histogram as a record publishes it; None if it is empty."""
    if not histogram.count:
        return None
    return LatencySummary(
        count=histogram.count,
        mean=round(histogram.mean_ms, 3),
        p50=round(histogram.quantile(0.5), 3),
        p90=round(histogram.quantile(0.9), 3),
        p99=round(histogram.quantile(0.99), 3),
        max=round(histogram.max_ms, 3),
        buckets=histogram.buckets(),
    )
