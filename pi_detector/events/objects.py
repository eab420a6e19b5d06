"""The history of a tracked object, and whether it is stationary."""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from pi_detector.core.boxes import BoxPx
from pi_detector.core.geometry import iou
from pi_detector.events.zones import Change, Route

_HISTORY = 101  # detections whose medians stand for the whole history
_RECENT = 5  # detections whose median box is where an object is
_MOVED_IOU = 0.6  # a box that overlaps its rest box less than this has moved ...
_PERSISTENT = 3  # ... when it does in this many detections: one may be half hidden


@dataclass(frozen=True, slots=True)
class FrameTime:
    """A frame on its clocks.

    Attributes:
        ns: monotonic.
        at: wall time, UTC.
        sequence: number of the frame.
    """

    ns: int
    at: datetime
    sequence: int


@dataclass(slots=True)
class OpenEvent:
    """An event that began and has not ended.

    Attributes:
        id: of the event.
        published_ns: when its last record was made.
        label: class id that the last record had.
        stationary: what the last record had.
        zones: that the last record had.
        best: time, box and score of the best view.
        best_value: what the best view is worth.
        revision: records made so far.
        continues: id of an event of the same object, before the source was lost.
    """

    id: str
    published_ns: int
    label: int
    stationary: bool
    best: tuple[FrameTime, BoxPx, float]
    zones: tuple[str, ...] = ()
    best_value: float = 0.0
    revision: int = 0
    continues: str | None = None


@dataclass(slots=True)
class TrackedObject:
    """An object that is followed.

    Attributes:
        track_id: of the tracker.
        first: when it was detected first.
        last: when it was detected last.
        box: where it was detected last, in pixels.
        last_score: of that detection.
        rest_box: where it stands or began to move, in pixels.
        moved_ns: when it last moved.
        route: its way across zones and lines.
        changes: what it did there and no record has yet.
        event: its event, once that has begun.
        hits: frames in which it was detected.
        held_back: a cooldown keeps its event from beginning.
    """

    track_id: int
    first: FrameTime
    last: FrameTime
    box: BoxPx
    route: Route
    moved_ns: int
    rest_box: BoxPx
    last_score: float = 0.0
    hits: int = 0
    stationary: bool = False
    held_back: bool = False
    changes: list[Change] = field(default_factory=list)
    event: OpenEvent | None = None
    _scores: deque[float] = field(default_factory=lambda: deque(maxlen=_HISTORY))
    _areas: deque[float] = field(default_factory=lambda: deque(maxlen=_HISTORY))
    _aspects: deque[float] = field(default_factory=lambda: deque(maxlen=_HISTORY))
    _recent: deque[BoxPx] = field(default_factory=lambda: deque(maxlen=_RECENT))
    _votes: dict[int, float] = field(default_factory=dict)
    _away: int = 0

    def update(self, seen_at: FrameTime, box: BoxPx, class_id: int, score: float) -> None:
        """Take a detection of this object."""
        self.last, self.box, self.last_score = seen_at, box, score
        self.hits += 1
        width, height = max(box[2] - box[0], 1.0), max(box[3] - box[1], 1.0)
        self._scores.append(score)
        self._areas.append(width * height)
        self._aspects.append(width / height)
        self._recent.append(box)
        self._votes[class_id] = self._votes.get(class_id, 0.0) + score

    @property
    def class_id(self) -> int:
        """The class of the most detections, weighed by their scores."""
        return max(self._votes, key=lambda class_id: (self._votes[class_id], -class_id))

    @property
    def score(self) -> float:
        """Median score."""
        return statistics.median(self._scores)

    @property
    def area_px(self) -> float:
        """Median area of its box in square pixels."""
        return statistics.median(self._areas)

    @property
    def aspect(self) -> float:
        """Median width by height of its box."""
        return statistics.median(self._aspects)

    def settle(self, now_ns: int, stationary_after_s: float) -> None:
        """Find out whether it stands still; call after ``update``.

        The median of its last boxes is compared with its rest box, so that a box that jumps for a
        frame, as of an object that another one half hides, is no movement.
        """
        # Without NumPy, which is slower for a handful of numbers.
        x1, y1, x2, y2 = (statistics.median(side) for side in zip(*self._recent, strict=True))
        middle = (x1, y1, x2, y2)
        if iou(middle, self.rest_box) < _MOVED_IOU:
            self._away += 1
        else:
            self._away = 0
        if self._away >= _PERSISTENT:
            self.rest_box, self.moved_ns, self._away = middle, now_ns, 0
            self.stationary = False
        elif now_ns - self.moved_ns >= stationary_after_s * 1e9:
            self.stationary = True

    def overlap(self, box: BoxPx) -> float:
        """Intersection over union of its rest box with a box in pixels."""
        return iou(self.rest_box, box)
