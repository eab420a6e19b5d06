"""Outputs of YOLO networks in which chosen boxes are, with the heads' real shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

STRIDES = (8, 16, 32)


def cells(width: int, height: int) -> NDArray[np.float32]:
    """(N, 3) centre x, centre y and stride of each cell, in pixels, as YOLOv8 orders them."""
    rows = [
        (stride * (x + 0.5), stride * (y + 0.5), stride)
        for stride in STRIDES
        for y in range(height // stride)
        for x in range(width // stride)
    ]
    return np.asarray(rows, np.float32)


def yolov8_head(
    size: tuple[int, int], classes: int, boxes: list[tuple[list[float], int, float]]
) -> NDArray[np.float32]:
    """(1, 4 + classes, N) in 0..1 of the input.

    Args:
        size: (width, height) of the input.
        classes: how many.
        boxes: ``x1, y1, x2, y2`` in pixels, class, score.
    """
    grid = cells(*size)
    head = np.zeros((4 + classes, len(grid)), np.float32)
    head[:2], head[2:4] = grid[:, :2].T, grid[:, 2] * 2
    for (x1, y1, x2, y2), index, score in boxes:
        centre = np.asarray([(x1 + x2) / 2, (y1 + y2) / 2])
        cell = int(np.abs(grid[:, :2] - centre).sum(axis=1).argmin())
        while head[4:, cell].any():  # it has a box already
            cell += 1
        head[:4, cell] = [*centre, x2 - x1, y2 - y1]
        head[4 + index, cell] = score
    head[:4] /= np.asarray([*size, *size], np.float32)[:, np.newaxis]
    return head[np.newaxis]


def yolov5_head(
    size: tuple[int, int], classes: int, boxes: list[tuple[list[float], int, float]]
) -> NDArray[np.float32]:
    """(1, 3 N, 5 + classes) in 0..1 of the input: the scores of ``yolov8_head``, as a product."""
    rows = yolov8_head(size, classes, boxes)[0].T
    head = np.zeros((3 * len(rows), 5 + classes), np.float32)
    head[: len(rows), :4], head[: len(rows), 5:] = rows[:, :4], rows[:, 4:]
    head[:, 4] = 1.0  # an objectness alone is no object
    head[: len(rows), 4] = 0.9
    head[: len(rows), 5:] /= 0.9
    return head[np.newaxis]


def stored(real: NDArray[np.float32], scale: float, zero_point: int) -> NDArray[np.int8]:
    """Real numbers as int8."""
    return np.clip(np.rint(real / scale + zero_point), -128, 127).astype(np.int8)


def by_formula(
    head: NDArray[Any], lowest: float, *, objectness: bool
) -> list[tuple[list[float], int, float]]:
    """Boxes in the unit of the head, by YOLO's formula, a cell at a time: best first.

    Args:
        head: (columns, N), real numbers.
        lowest: score.
        objectness: whether column 4 is one.
    """
    found = []
    for column in head.T.astype(np.float64):
        x, y, width, height = column[:4]
        scores = column[5:] * column[4] if objectness else column[4:]
        index = int(scores.argmax())
        if scores[index] >= lowest:
            box = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
            found.append((box, index, float(scores[index])))
    return sorted(found, key=lambda each: -each[2])
