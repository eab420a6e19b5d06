"""Matching of tracked objects with detections: how much two boxes are alike, and who gets whom."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pi_detector.events.kalman import Array

Rows = NDArray[np.int64]

NO_ROWS: Rows = np.zeros(0, np.int64)
"""Indices of nothing."""


def grown_iou(expected: Array, found: Array, growth: Array) -> Array:
    """Intersection over union of boxes that both grew.

    Args:
        expected: (T, 4) ``x1, y1, x2, y2``.
        found: (N, 4).
        growth: (T, 2) by how much, to each side, in shares of a box's own width and height.

    Returns:
        (T, N).
    """
    grow = np.concatenate([-growth, growth], axis=1)[:, None]
    a = expected[:, None] + grow * _sides(expected)[:, None]
    b = found[None] + grow * _sides(found)[None]
    overlap = area(np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:]))
    union = area(a[..., :2], a[..., 2:]) + area(b[..., :2], b[..., 2:]) - overlap
    return np.asarray(overlap / np.maximum(union, 1e-9), np.float64)


def _sides(xyxy: Array) -> Array:
    """(N, 4) width, height, width, height."""
    sides = xyxy[:, 2:] - xyxy[:, :2]
    return np.concatenate([sides, sides], axis=1)


def area(corner: Array, opposite: Array) -> Array:
    """Return the area between corners (..., 2); 0 where the second is not beyond the first."""
    sides = np.maximum(opposite - corner, 0)
    area: Array = sides[..., 0] * sides[..., 1]
    return area


def assign(similarity: Array, lowest: float) -> tuple[Rows, Rows]:
    """Pair rows with columns so that the sum of the similarities is the greatest.

    R. Jonker and A. Volgenant, "A Shortest Augmenting Path Algorithm for Dense and Sparse Linear
    Assignment Problems", 1987.

    Args:
        similarity: (T, N) in 0..1.
        lowest: pairs below it are none.

    Returns:
        (K,) rows and (K,) columns.
    """
    if not similarity.size or similarity.max() < lowest:
        return NO_ROWS, NO_ROWS
    import lap

    _, column, _ = lap.lapjv(1 - similarity, extend_cost=True, cost_limit=1 - lowest)
    rows = np.flatnonzero(column >= 0)
    return rows, column[rows].astype(np.int64)
