"""The detections of a frame, as columns, and the arithmetic of boxes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Box = tuple[float, float, float, float]


def _no_boxes() -> FloatArray:
    return np.zeros((0, 4), np.float32)


@dataclass(frozen=True, slots=True)
class Detection:
    """One object in a frame.

    Attributes:
        label: name of its class.
        score: in 0..1.
        class_id: the id of its class in the model's label map.
        box_px: ``x1, y1, x2, y2`` in pixels of the frame, inside the frame.
        track_id: the same number for the same object in every frame, from 1; None where nothing
            was tracked.
    """

    label: str
    score: float
    class_id: int
    box_px: tuple[float, float, float, float]
    track_id: int | None = None


@dataclass(frozen=True, slots=True)
class Detections:
    """What was found in a frame: one row an object, best score first.

    Attributes:
        xyxy: (N, 4) float32 ``x1, y1, x2, y2`` in pixels of the frame, inside the frame.
        score: (N,) float32 in 0..1.
        class_id: (N,) int64, the id of the model's label map.
        track_id: (N,) int64, the same number for the same object in every frame, from 1; None
            where nothing was tracked. 0 is a detection that belongs to no track.
        labels: name of each class id.

    Example:
        >>> boxes = np.array([[0, 0, 10, 20], [5, 5, 9, 9]], np.float32)
        >>> scores, ids = np.array([0.9, 0.6], np.float32), np.array([1, 18])
        >>> found = Detections(boxes, scores, ids, labels={1: "person", 18: "dog"})
        >>> found.label
        ['person', 'dog']
        >>> [each.box_px for each in found[found.score > 0.8]]
        [(0.0, 0.0, 10.0, 20.0)]
    """

    xyxy: FloatArray = field(default_factory=_no_boxes)
    score: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    class_id: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    track_id: IntArray | None = None
    labels: Mapping[int, str] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.score)

    def __getitem__(self, rows: BoolArray | IntArray) -> Detections:
        """The rows that a mask or an array of indices selects."""
        track_id = None if self.track_id is None else self.track_id[rows]
        return Detections(
            self.xyxy[rows], self.score[rows], self.class_id[rows], track_id, self.labels
        )

    def __iter__(self) -> Iterator[Detection]:
        """The objects, one after the other."""
        tracks = [None] * len(self) if self.track_id is None else self.track_id.tolist()
        rows = zip(
            self.label,
            self.score.tolist(),
            self.class_id.tolist(),
            self.xyxy.tolist(),
            tracks,
            strict=True,
        )
        for label, score, class_id, box, track_id in rows:
            yield Detection(label, score, class_id, tuple(box), track_id or None)

    @property
    def label(self) -> list[str]:
        """Name of the class of each object; its id where the class has no name."""
        return [self.labels.get(number, str(number)) for number in self.class_id.tolist()]

    def to_supervision(self) -> Any:
        """The same as ``supervision.Detections``, for its annotators, zones and data sets.

        Raises:
            ImportError: the package ``supervision`` is not installed.
        """
        import supervision

        return supervision.Detections(
            xyxy=self.xyxy,
            confidence=self.score,
            class_id=self.class_id,
            tracker_id=self.track_id,
            data={"class_name": np.asarray(self.label, dtype=object)},
        )


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes ``x1, y1, x2, y2``."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    overlap = max(0.0, width) * max(0.0, height)
    area_a = (a[2] - a[0]) * (a[3] - a[1])
    area_b = (b[2] - b[0]) * (b[3] - b[1])
    return overlap / max(area_a + area_b - overlap, 1e-9)


def pairwise_iou(a: FloatArray, b: FloatArray) -> FloatArray:
    """Intersection over union of each of (N, 4) with each of (M, 4) ``xyxy`` boxes: (N, M)."""
    corner = np.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = np.maximum(corner - np.maximum(a[:, None, :2], b[None, :, :2]), 0)
    overlap = sides[..., 0] * sides[..., 1]
    area_a = (a[:, 2] - a[:, 0]) * (a[:, 3] - a[:, 1])
    area_b = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    union = area_a[:, None] + area_b[None] - overlap
    return np.asarray(overlap / np.maximum(union, np.float32(1e-9)), np.float32)
