"""What a decoder gives: boxes before suppression, and the two kinds of decoder behind one face."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from pi_detector.core.geometry import FloatArray, IntArray
from pi_detector.detector.runtime import Tensors


def _no_boxes() -> FloatArray:
    return np.zeros((0, 4), np.float32)


@dataclass(frozen=True, slots=True)
class Candidates:
    """Boxes that reach the thresholds, before suppression.

    Attributes:
        xyxy: (N, 4) float32 ``x1, y1, x2, y2`` in 0..1 of the input; may reach beyond it.
        score: (N,) float32 in 0..1.
        class_index: (N,) int64, index of the label.
    """

    xyxy: FloatArray = field(default_factory=_no_boxes)
    score: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    class_index: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))


class Decoder(Protocol):
    """Turns the outputs of a model into candidates."""

    def read(self, tensors: Tensors) -> Candidates:
        """Decode the outputs of the last ``invoke``. Keeps no view of them."""
