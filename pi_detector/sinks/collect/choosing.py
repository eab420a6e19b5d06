"""Which frames are worth labelling: those of which the model was unsure, and some at random."""

from __future__ import annotations

from collections import Counter, deque
from typing import Literal

from pi_detector.config.collect import CollectSettings
from pi_detector.core.geometry import Detections, pairwise_iou
from pi_detector.core.result import Result

Reason = Literal["label-change", "flicker", "doubtful", "random"]

_HOUR_NS = 3_600_000_000_000
_SAME_IOU = 0.5
_REMEMBERED = 3


class Chooser:
    """Chooses frames, spread over the hours.

    Args:
        settings: how doubtful, and how many.
    """

    def __init__(self, settings: CollectSettings) -> None:
        self._settings = settings
        self._before: deque[Detections] = deque(maxlen=_REMEMBERED - 1)
        self._taken: deque[tuple[int, Reason]] = deque()
        self._random_ns: int | None = None

    def choose(self, result: Result) -> Reason | None:
        """Why a frame is to be kept, or None. Each result of a run must be given, in order."""
        if not result.inferred:
            return None
        now_ns = result.frame.captured_ns
        reason = self._reason(result.detections) or self._due(now_ns)
        self._before.append(result.detections)
        if reason is None or not self._has_room(now_ns, reason):
            return None
        self._taken.append((now_ns, reason))
        if reason == "random":
            self._random_ns = now_ns
        return reason

    def _reason(self, now: Detections) -> Reason | None:
        if self._before and _labels_differ(self._before[-1], now):
            return "label-change"
        if len(self._before) == _REMEMBERED - 1:
            first, second = self._before
            if _flickers(first, second, now):
                return "flicker"
        if len(now) and float(now.score.min()) < self._settings.below_score:
            return "doubtful"
        return None

    def _due(self, now_ns: int) -> Reason | None:
        """Whether a random frame is due; the first one a while after the start."""
        rate = self._settings.random_per_hour
        if not rate:
            return None
        if self._random_ns is None:
            self._random_ns = now_ns
        return "random" if now_ns - self._random_ns >= _HOUR_NS / rate else None

    def _has_room(self, now_ns: int, reason: Reason) -> bool:
        while self._taken and now_ns - self._taken[0][0] >= _HOUR_NS:
            self._taken.popleft()
        most = self._settings.per_hour
        same = sum(taken == reason for _, taken in self._taken)
        # Half of the even distance: a busy minute does not take the whole hour.
        recent = self._taken and now_ns - self._taken[-1][0] < _HOUR_NS / most / 2
        return len(self._taken) < most and same < max(1, most // 2) and not recent


def _labels_differ(before: Detections, now: Detections) -> bool:
    """Whether an object has another class than a moment ago."""
    if not len(before) or not len(now):
        return False
    same = pairwise_iou(now.xyxy, before.xyxy) >= _SAME_IOU
    other = now.class_id[:, None] != before.class_id[None, :]
    alike = (same & ~other).any(axis=1)
    return bool(((same & other).any(axis=1) & ~alike).any())


def _flickers(first: Detections, second: Detections, third: Detections) -> bool:
    """Whether a class came and went again, or went and came again, within three frames."""
    a, b, c = (Counter(each.class_id.tolist()) for each in (first, second, third))
    return any(a[label] == c[label] != b[label] for label in {*a, *b, *c})
