"""Which objects the detector was shown, where it was not given the whole frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pi_detector.core.looks import Look
from pi_detector.events.kalman import Array

_INSIDE = 0.8  # of a box in a look
_SMALLEST = 0.1  # longer side of a box by the frame's: a look at the whole shows no smaller ones


def shown_in(xyxy: Array, looks: Sequence[Look]) -> NDArray[np.bool_]:
    """Find the boxes that a look showed, large enough to be detected.

    Args:
        xyxy: (T, 4) boxes in pixels of the frame.
        looks: at the frame; empty for the whole frame alone, in which everything counts as shown.

    Returns:
        (T,) bool.
    """
    if not looks:
        return np.ones(len(xyxy), np.bool_)
    shown = np.zeros(len(xyxy), np.bool_)
    sides = xyxy[:, 2:] - xyxy[:, :2]
    for look in looks:
        if look.reason == "whole":
            shown |= (sides / [look.width, look.height]).max(axis=1) >= _SMALLEST
            continue
        x1, y1, x2, y2 = look.xyxy
        inside = np.minimum(xyxy[:, 2:], [x2, y2]) - np.maximum(xyxy[:, :2], [x1, y1])
        share = np.maximum(inside, 0).prod(axis=1) / np.maximum(sides.prod(axis=1), 1e-9)
        shown |= share >= _INSIDE
    return shown
