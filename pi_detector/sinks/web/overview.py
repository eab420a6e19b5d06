"""The state of the detector at a glance, from published records; unknown values are null."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import numpy as np

from pi_detector import __version__
from pi_detector.core.looks import Look, LookReason
from pi_detector.core.readings import HostReadings, ProcessReadings
from pi_detector.core.records import PerformanceRecord, StatusRecord
from pi_detector.core.result import Result

WINDOW_S = 10.0
"""Rate and latencies are those of the frames of so many seconds."""
_MOST_FRAMES = 600
_FLOWING_S = 5.0  # a source whose frames arrive is live, whatever was or was not told before
_WELL = {"live", "starting"}


class Trouble(msgspec.Struct, frozen=True):
    """A part that does not work."""

    part: str
    name: str
    state: str
    reason: str | None


class Latencies(msgspec.Struct, frozen=True):
    """Milliseconds from capture to the end of decoding."""

    p50: float
    p90: float
    p99: float


class Looks(msgspec.Struct, frozen=True):
    """What of the frames the detector was given in the last ten seconds.

    ``per_frame`` is the mean, ``reasons`` counts the looks by why they were taken.
    """

    per_frame: float
    reasons: dict[LookReason, int]


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows of the machine.

    ``fps`` and ``latency_ms`` are those of the last ten seconds, ``host`` and ``process`` of the
    latest performance record, ``measured_ago_s`` old. ``name`` is the camera's, empty for none.
    ``source_since`` is when its state became what it is, ``source_retry_s`` the seconds to the next
    try. ``dropped`` counts the frames that a newer
    one replaced. ``schedules`` says which schedules are on; ``off`` why detection is off by them.
    ``detection`` is null where nothing can pause it. ``login`` means that there is a
    token.
    """

    version: str
    name: str
    source: str | None
    source_state: str | None
    source_reason: str | None
    source_since: datetime | None
    source_retry_s: float | None
    model: str | None
    detection: str | None
    off: str | None
    schedules: dict[str, bool]
    fps: float | None
    latency_ms: Latencies | None
    dropped: int | None
    looks: Looks | None
    found: dict[str, int]
    frame: tuple[int, int] | None
    troubles: list[Trouble]
    host: HostReadings | None
    process: ProcessReadings | None
    measured_ago_s: float | None
    viewers: int
    max_viewers: int
    places: str
    login: bool


class Watch:
    """Remembers what the overview is made of. ``note`` costs little, and waits for nothing."""

    def __init__(self) -> None:
        self._frames: deque[tuple[float, float]] = deque(maxlen=_MOST_FRAMES)
        self._looks: deque[tuple[float, tuple[Look, ...]]] = deque(maxlen=_MOST_FRAMES)
        self._parts: dict[tuple[str, str], StatusRecord] = {}
        self._since: dict[str, datetime] = {}  # of sources, by name: up or down since when
        self._performance: PerformanceRecord | None = None
        self._result: Result | None = None
        self._lock = threading.Lock()

    def note(self, item: Result | StatusRecord | PerformanceRecord) -> None:
        """Something was published."""
        with self._lock:
            match item:
                case Result():
                    self._result = item
                    now_s = time.monotonic()
                    self._frames.append((now_s, item.timings.latency_ms))
                    if item.looks:
                        self._looks.append((now_s, item.looks))
                case StatusRecord(part="schedule", state="stopped"):  # it is no more
                    self._parts.pop((item.part, item.name), None)
                case StatusRecord():
                    before = self._parts.get((item.part, item.name))
                    self._parts[item.part, item.name] = item
                    if before is None or (before.state in _WELL) != (item.state in _WELL):
                        self._since[item.name] = item.time
                case PerformanceRecord():
                    self._performance = item

    def overview(
        self, *, name: str, viewers: int, max_viewers: int, places: str, login: bool
    ) -> Overview:
        """The state now.

        Args:
            name: of the camera; empty for none.
            viewers: number of viewers of the live view.
            max_viewers: how many may.
            places: version of zones, lines and masks.
            login: there is a token.
        """
        now_s = time.monotonic()
        with self._lock:
            frames = [(at_s, ms) for at_s, ms in self._frames if now_s - at_s <= WINDOW_S]
            looks = [looks for at_s, looks in self._looks if now_s - at_s <= WINDOW_S]
            last_s = self._frames[-1][0] if self._frames else None
            parts, performance, result = list(self._parts.values()), self._performance, self._result
        source = _latest(parts, "source")
        flowing = last_s is not None and now_s - last_s < _FLOWING_S
        model, detection = _latest(parts, "model"), _latest(parts, "detection")
        age_s = None if performance is None else time.monotonic_ns() - performance.monotonic_ns
        return Overview(
            version=__version__,
            name=name,
            source=result.frame.source if result else source.name if source else None,
            source_state=source.state if source else "live" if flowing else None,
            source_reason=source.reason if source else None,
            source_since=self._since.get(source.name) if source else None,
            source_retry_s=_retry_s(source, now_s),
            model=model.name if model else None,
            detection=detection.state if detection else None,
            off=detection.reason if detection else None,
            schedules={
                status.name: status.state == "live" for status in parts if status.part == "schedule"
            },
            fps=_rate(frames, now_s, last_s),
            latency_ms=_latencies([ms for _, ms in frames]),
            dropped=result.dropped if result else None,
            looks=_looks(looks),
            found=_found(result) if result else {},
            frame=(result.frame.width, result.frame.height) if result else None,
            troubles=[
                Trouble(status.part, status.name, status.state, status.reason)
                for status in parts
                if status.state not in _WELL and status.part not in {"detection", "schedule"}
            ],
            host=performance.host if performance else None,
            process=performance.process if performance else None,
            measured_ago_s=None if age_s is None else round(age_s / 1e9, 1),
            viewers=viewers,
            max_viewers=max_viewers,
            places=places,
            login=login,
        )

    def pausable(self) -> bool:
        """Whether detection reports its state, and so can be paused."""
        with self._lock:
            return _latest(list(self._parts.values()), "detection") is not None


def _latest(parts: list[StatusRecord], part: str) -> StatusRecord | None:
    found = [status for status in parts if status.part == part]
    return max(found, key=lambda status: status.monotonic_ns, default=None)


def _retry_s(status: StatusRecord | None, now_s: float) -> float | None:
    """Seconds until the next try; None where none is due."""
    if status is None or status.retry_s is None:
        return None
    return round(max(0.0, status.monotonic_ns / 1e9 + status.retry_s - now_s), 1)


def _rate(frames: list[tuple[float, float]], now_s: float, last_s: float | None) -> float | None:
    """Frames per second; 0 if none came in the whole window, None if none ever came."""
    if last_s is None:
        return None
    if len(frames) < 2:
        return 0.0 if not frames else None
    # Over the gap at the end too: a source that stopped slows down at once.
    end_s = max(frames[-1][0], now_s - _FLOWING_S)
    return round((len(frames) - 1) / max(end_s - frames[0][0], 1e-3), 1)


def _latencies(values_ms: list[float]) -> Latencies | None:
    if not values_ms:
        return None
    p50, p90, p99 = (round(float(value), 1) for value in np.percentile(values_ms, (50, 90, 99)))
    return Latencies(p50, p90, p99)


def _found(result: Result) -> dict[str, int]:
    labels = (result.labels.get(int(id_), str(id_)) for id_ in result.detections.class_id)
    return dict(Counter(labels))


def as_json(value: Any) -> bytes:
    """A value as JSON, on one line."""
    return msgspec.json.encode(value)


def _looks(frames: Sequence[tuple[Look, ...]]) -> Looks | None:
    """The looks at frames that had several, or parts; None without any."""
    if not frames:
        return None
    reasons = Counter(look.reason for looks in frames for look in looks)
    return Looks(round(reasons.total() / len(frames), 1), dict(reasons))
