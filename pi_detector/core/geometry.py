"""The detections of a frame, as columns, and the arithmetic of boxes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def _no_boxes() -> FloatArray:
    return np.zeros((0, 4), np.float32)


@dataclass(frozen=True, slots=True)
class Detections:
    """What was found in a frame: one row an object, best score first.

    Attributes:
        xyxy: (N, 4) float32 ``x1, y1, x2, y2`` in pixels of the frame, inside the frame.
        score: (N,) float32 in 0..1.
        class_id: (N,) int64, the id of the model's label map.
        track_id: (N,) int64, the same number for the same object in every frame, from 1; None
            where nothing was tracked. 0 is a detection that belongs to no track.

    Example:
        >>> persons = detections[detections.class_id == 1]
    """

    xyxy: FloatArray = field(default_factory=_no_boxes)
    score: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    class_id: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    track_id: IntArray | None = None

    def __len__(self) -> int:
        return len(self.score)

    def __getitem__(self, rows: BoolArray | IntArray) -> Detections:
        """The rows that a mask or an array of indices selects."""
        track_id = None if self.track_id is None else self.track_id[rows]
        return Detections(self.xyxy[rows], self.score[rows], self.class_id[rows], track_id)


def pairwise_iou(a: FloatArray, b: FloatArray) -> FloatArray:
    """Intersection over union of each of (N, 4) with each of (M, 4) ``xyxy`` boxes: (N, M)."""
    corner = np.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = np.maximum(corner - np.maximum(a[:, None, :2], b[None, :, :2]), 0)
    overlap = sides[..., 0] * sides[..., 1]
    area_a = (a[:, 2] - a[:, 0]) * (a[:, 3] - a[:, 1])
    area_b = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    union = area_a[:, None] + area_b[None] - overlap
    return np.asarray(overlap / np.maximum(union, np.float32(1e-9)), np.float32)
