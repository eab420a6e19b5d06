"""Where a quantized model sees something else than float32: counts, and the photos that show it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from pycocotools import mask

from deploy.data.dataset import Dataset, Photo, read_photo
from deploy.report.content import Changes, Example
from pi_detector.core.geometry import Detections
from pi_detector.sinks.draw import annotate

_IOU = 0.5
_LONGER_SIDE_PX = 480  # enough for labels to be read beside their boxes
_JPEG_QUALITY = 80

Results = Sequence[dict]
"""COCO results."""
Thresholds = Mapping[int, float]
"""Lowest score of a detection by category id."""


@dataclass(frozen=True)
class _Change:
    """A detection that the other model does not have at its threshold.

    Attributes:
        detection: the COCO result.
        other_score: that the other model gives the same object; 0 where it has no such box.
    """

    detection: dict
    other_score: float


@dataclass(frozen=True)
class _Difference:
    """Two models on one photo: what only the first has, and what only the second."""

    photo: Photo
    lost: list[_Change]
    new: list[_Change]

    @property
    def size(self) -> float:
        """By how much the scores of what is lost or new differ, in all."""
        return sum(c.detection["score"] - c.other_score for c in (*self.lost, *self.new))


class Disagreement:
    """A model against float32 on a data set, at the same thresholds.

    Attributes:
        changes: the counts.
    """

    def __init__(
        self, dataset: Dataset, base: Results, other: Results, thresholds: Thresholds
    ) -> None:
        """Compare.

        Args:
            dataset: the photos.
            base: float32's detections, those below the thresholds too.
            other: the model's, likewise.
            thresholds: at which a detection counts.
        """
        self._names = {category.id: category.name for category in dataset.categories}
        self._thresholds = thresholds
        self._base, self._other = _by_photo(base), _by_photo(other)
        everything = [self._compare(photo) for photo in dataset.photos]
        self._differences = [d for d in everything if d.lost or d.new]
        self.changes = Changes(
            photos=len(self._differences),
            lost=sum(len(d.lost) for d in self._differences),
            new=sum(len(d.new) for d in self._differences),
        )

    def _compare(self, photo: Photo) -> _Difference:
        base, other = self._base[photo.image_id], self._other[photo.image_id]
        return _Difference(
            photo,
            lost=_only_in(base, other, self._thresholds),
            new=_only_in(other, base, self._thresholds),
        )

    def examples(self, count: int) -> list[tuple[Example, tuple[bytes, bytes]]]:
        """The photos that differ most, each with its pictures: float32's and the model's, JPEG."""
        largest = sorted(self._differences, key=lambda d: -d.size)[:count]
        return [(self._example(d), self._pictures(d.photo)) for d in largest]

    def _example(self, difference: _Difference) -> Example:
        def text(change: _Change) -> str:
            name = self._names[change.detection["category_id"]]
            return f"{name} {change.detection['score']:.2f} ({change.other_score:.2f})"

        return Example(
            difference.photo.path.name,
            lost=[text(change) for change in difference.lost],
            new=[text(change) for change in difference.new],
        )

    def _pictures(self, photo: Photo) -> tuple[bytes, bytes]:
        image = read_photo(photo.path)
        scale = _LONGER_SIDE_PX / max(image.shape[:2])
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        base, other = (
            self._draw(image, scale, results[photo.image_id])
            for results in (self._base, self._other)
        )
        return base, other

    def _draw(self, image: np.ndarray, scale: float, results: Results) -> bytes:
        shown = [r for r in results if r["score"] >= self._thresholds[r["category_id"]]]
        xywh = scale * np.asarray([r["bbox"] for r in shown], np.float32).reshape(-1, 4)
        xyxy = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], 1)
        detections = Detections(
            xyxy,
            np.asarray([r["score"] for r in shown], np.float32),
            np.asarray([r["category_id"] for r in shown], np.int64),
        )
        picture = cv2.cvtColor(annotate(image, detections, self._names), cv2.COLOR_RGB2BGR)
        return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()


def _by_photo(results: Results) -> dict[int, list[dict]]:
    by_photo = defaultdict(list)
    for result in sorted(results, key=lambda r: -r["score"]):
        by_photo[result["image_id"]].append(result)
    return by_photo


def _only_in(mine: Results, others: Results, thresholds: Thresholds) -> list[_Change]:
    """Detections at or above their threshold in ``mine`` only; both are best first."""
    free = list(others)
    changes = []
    for result in mine:
        threshold = thresholds[result["category_id"]]
        if result["score"] < threshold:
            continue
        partner = next((other for other in free if _same_object(result, other)), None)
        if partner is not None:
            free.remove(partner)
        if partner is None or partner["score"] < threshold:
            changes.append(_Change(result, partner["score"] if partner else 0.0))
    return changes


def _same_object(a: dict, b: dict) -> bool:
    if a["category_id"] != b["category_id"]:
        return False
    boxes = (np.asarray([r["bbox"]], np.float64) for r in (a, b))
    return bool(mask.iou(*boxes, [0])[0, 0] >= _IOU)
