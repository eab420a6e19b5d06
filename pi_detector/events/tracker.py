"""The tracker: gives an object the same number in every frame.

Association in two stages after Y. Zhang et al., "ByteTrack: Multi-Object Tracking by Associating
Every Detection Box", ECCV 2022, https://arxiv.org/abs/2110.06864: first the detections that count,
then the weak ones, which keep a half hidden object alive but start none. Differences:

- Frames may come at any interval. Boxes are compared after both grew by their positional
  uncertainty, so that an object that moves more than its width between two frames is still found;
  after F. Yang et al., "Hard to Track Objects with Irregular Motions and Similar Appearances? Make
  It Easier by Buffering the Matching Space", WACV 2023, https://arxiv.org/abs/2211.14317.
- The motion of an unseen object is predicted for a while only, then it is expected to wait.
- Labels that a model confuses belong to one object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pi_detector.config.events import TrackingSettings
from pi_detector.core.geometry import Detections, FloatArray, IntArray, pairwise_iou
from pi_detector.core.looks import Look
from pi_detector.events.kalman import Array, KalmanBoxes
from pi_detector.events.matching import NO_ROWS, Rows, area, assign, grown_iou
from pi_detector.events.shown import shown_in

Mask = NDArray[np.bool_]

_COAST_S = 1.0  # an unseen object is expected to go on for this long
_MOST_GROWTH = 1.0  # of a box, by its own sides
_SAME_BOX_IOU = 0.7  # boxes of labels that are alike and overlap more are one object
_SAME_COVER = 0.8  # a box that lies in one of its kind to this share, or the reverse, is a double
_WEAK_IOU = 0.4  # a weak detection must be where the object is expected
_UNSHOWN = 4.0  # what no look shows is gone after so many times its patience


@dataclass(frozen=True, slots=True)
class Tracks:
    """The objects that are followed after a frame: one row an object.

    Attributes:
        track_id: (T,) int64, from 1.
        xyxy: (T, 4) float64 where they are by the filter, in pixels; may leave the frame.
        row: (T,) int64 index of the object's detection in this frame; -1 where it was not seen.
        confirmed: (T,) bool, detected in enough frames to be believed.
        missed: (T,) bool, not in the latest frame that showed where they are.
        ended: ids of those that were confirmed and are gone since the frame before.
    """

    track_id: IntArray
    xyxy: Array
    row: Rows
    confirmed: Mask
    missed: Mask
    ended: tuple[int, ...] = ()


class Tracker:
    """Follows the objects of one camera. For one thread.

    Attributes:
        ids: numbers given out so far.
    """

    def __init__(
        self,
        settings: TrackingSettings,
        labels: Mapping[int, str],
        *,
        min_hits: int = 3,
        window: int = 5,
    ) -> None:
        """Make a tracker that follows nothing yet.

        Args:
            settings: thresholds and patience.
            labels: class id to label.
            min_hits: an object is confirmed after as many detections ...
            window: ... within as many frames.
        """
        self.ids = 0
        self._settings = settings
        self._min_hits, self._window = min_hits, window
        self._group = _groups(labels, settings.alike)
        self._boxes = KalmanBoxes()
        self._now_ns: int | None = None
        self._id: IntArray = NO_ROWS
        self._group_of: Rows = NO_ROWS
        self._seen_ns: Rows = NO_ROWS
        self._misses: Rows = NO_ROWS
        self._patience_s: Array = np.zeros(0)
        self._hits: Mask = np.zeros((0, window), np.bool_)
        self._confirmed: Mask = np.zeros(0, np.bool_)

    def update(
        self, found: Detections, high: FloatArray, now_ns: int, looks: Sequence[Look] = ()
    ) -> Tracks:
        """Take the detections of an inferred frame.

        Args:
            found: all of them, also the weak, best first.
            high: (N,) lowest score of each one's class; those that reach it may start an object.
            now_ns: when the frame was captured, monotonic.
            looks: what of the frame the detector was shown: objects outside of them are not missed;
                empty for all of it.
        """
        self._let_time_pass(now_ns)
        boxes = found.xyxy.astype(np.float64)
        groups = np.array([self._group.get(int(c), -1 - int(c)) for c in found.class_id], np.int64)
        usable = ~_repeated(found, groups)
        strong = np.flatnonzero(usable & (found.score >= high))
        weak = np.flatnonzero(usable & (found.score < high))
        row: Rows = np.full(len(self._id), -1, np.int64)
        settled, young = np.flatnonzero(self._confirmed), np.flatnonzero(~self._confirmed)
        expected, growth = self._boxes.xyxy(), self._growth()

        def associate(tracks: Rows, candidates: Rows, lowest: float) -> Rows:
            """Give candidates to tracks; returns the candidates that are left."""
            if not len(tracks) or not len(candidates):
                return candidates
            overlap = grown_iou(expected[tracks], boxes[candidates], growth[tracks])
            overlap[self._group_of[tracks][:, None] != groups[candidates][None]] = 0
            first, second = assign(overlap, lowest)
            row[tracks[first]] = candidates[second]
            return np.delete(candidates, second)

        strong = associate(settled, strong, self._settings.match_iou)
        weak = associate(settled[row[settled] < 0], weak, max(_WEAK_IOU, self._settings.match_iou))
        strong = associate(young, strong, self._settings.match_iou)
        shown = (row >= 0) | shown_in(expected, looks)
        self._correct(row, boxes, now_ns, shown)
        if len(strong):
            strong = strong[~_covered(boxes, groups, strong, row[row >= 0])]
            row = self._start(strong, row, boxes, groups, now_ns)
            shown = np.append(shown, np.ones(len(strong), np.bool_))
        return self._forget(row, shown, now_ns)

    def be_patient(self, track_id: int, patience_s: float) -> None:
        """Say how long an object may be unseen before it is gone."""
        self._patience_s[self._id == track_id] = patience_s

    @property
    def confirmed(self) -> frozenset[int]:
        """The numbers of the objects that were detected in enough frames to be believed."""
        return frozenset(self._id[self._confirmed].tolist())

    def clear(self) -> None:
        """Forget all objects; numbers continue."""
        self._keep(np.zeros(len(self._id), np.bool_))
        self._now_ns = None

    def _let_time_pass(self, now_ns: int) -> None:
        before = now_ns if self._now_ns is None else self._now_ns
        self._now_ns = max(now_ns, before)
        coast_end = self._seen_ns + int(_COAST_S * 1e9)
        dt_ns = np.minimum(self._now_ns, coast_end) - np.minimum(before, coast_end)
        self._boxes.predict(dt_ns / 1e9)

    def _growth(self) -> Array:
        """(T, 2): by how much a box is to grow to each side, in shares of its sides."""
        sides = np.maximum(self._boxes.mean[:, 2:, 0], 1.0)
        growth: Array = np.minimum(self._boxes.spread() / sides, _MOST_GROWTH)
        return growth

    def _correct(self, row: Rows, boxes: Array, now_ns: int, shown: Mask) -> None:
        seen = np.flatnonzero(row >= 0)
        self._boxes.update(seen, boxes[row[seen]])
        self._seen_ns[seen] = now_ns
        self._misses[shown] += 1
        self._misses[seen] = 0
        self._hits[shown] = np.roll(self._hits[shown], 1, axis=1)
        self._hits[shown, 0] = row[shown] >= 0
        self._confirmed |= self._hits.sum(axis=1) >= self._min_hits

    def _start(self, new: Rows, row: Rows, boxes: Array, groups: Rows, now_ns: int) -> Rows:
        """Follow what belongs to no object yet. Returns ``row`` with theirs."""
        count = len(new)
        self._boxes.add(boxes[new])
        self._id = np.append(self._id, np.arange(self.ids + 1, self.ids + count + 1))
        self.ids += count
        self._group_of = np.append(self._group_of, groups[new])
        self._seen_ns = np.append(self._seen_ns, np.full(count, now_ns))
        self._misses = np.append(self._misses, np.zeros(count, np.int64))
        self._patience_s = np.append(self._patience_s, np.full(count, self._settings.lost_s))
        hits = np.zeros((count, self._window), np.bool_)
        hits[:, 0] = True
        self._hits = np.concatenate([self._hits, hits])
        self._confirmed = np.append(self._confirmed, np.full(count, self._min_hits <= 1))
        return np.append(row, new)

    def _forget(self, row: Rows, shown: Mask, now_ns: int) -> Tracks:
        unseen_s = (now_ns - self._seen_ns) / 1e9
        gone = (unseen_s >= self._patience_s) & (self._misses >= self._settings.min_misses)
        gone |= ~shown & (unseen_s >= _UNSHOWN * self._patience_s)
        # One that is not confirmed goes as soon as it cannot be any more, had it been there.
        gone |= ~self._confirmed & (self._misses > self._window - self._min_hits)
        ended = tuple(self._id[gone & self._confirmed].tolist())
        self._keep(~gone)
        return Tracks(
            track_id=self._id.copy(),
            xyxy=self._boxes.xyxy(),
            row=row[~gone],
            confirmed=self._confirmed.copy(),
            missed=self._misses > 0,
            ended=ended,
        )

    def _keep(self, rows: Mask) -> None:
        self._boxes.keep(rows)
        self._id, self._group_of = self._id[rows], self._group_of[rows]
        self._seen_ns, self._misses = self._seen_ns[rows], self._misses[rows]
        self._patience_s, self._hits = self._patience_s[rows], self._hits[rows]
        self._confirmed = self._confirmed[rows]


def _groups(labels: Mapping[int, str], alike: tuple[tuple[str, ...], ...]) -> dict[int, int]:
    """Class id to the number of the group of labels that it belongs to."""
    group_of = {label: number for number, names in enumerate(alike) for label in names}
    return {class_id: group_of[label] for class_id, label in labels.items() if label in group_of}


def _repeated(found: Detections, groups: Rows) -> Mask:
    """(N,): which detections are of an object that a better one of another label stands for."""
    repeated = np.zeros(len(found), np.bool_)
    if len(found) < 2:
        return repeated
    same = pairwise_iou(found.xyxy, found.xyxy) > _SAME_BOX_IOU
    same &= groups[:, None] == groups[None]
    for row in np.flatnonzero(np.triu(same, 1).any(axis=1)):
        if not repeated[row]:
            repeated[row + 1 :] |= same[row, row + 1 :]
    return repeated


def _covered(boxes: Array, groups: Rows, new: Rows, known: Rows) -> Mask:
    """(K,): which of the rows ``new`` are no objects of their own.

    A detector sometimes finds the half of an object, or two objects as one. Such a box does not
    overlap the right one enough for non-maximum suppression, yet one lies in the other. A real
    object that does so, as a child before its father, is found once it is not hidden.
    """
    others = np.concatenate([known, new])
    a, b = boxes[new][:, None], boxes[others][None]
    overlap = area(np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:]))
    smaller = np.minimum(area(a[..., :2], a[..., 2:]), area(b[..., :2], b[..., 2:]))
    covers = overlap >= _SAME_COVER * np.maximum(smaller, 1.0)
    covers &= groups[new][:, None] == groups[others][None]
    # Of two new ones the better, which comes first, is the right one.
    covers[:, len(known) :] = np.tril(covers[:, len(known) :], -1)
    return np.asarray(covers.any(axis=1), np.bool_)
