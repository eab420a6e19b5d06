"""What a decoder is made from, and its output: boxes before suppression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from pi_detector.core.geometry import BoolArray, FloatArray, IntArray
from pi_detector.detector.manifest import Manifest
from pi_detector.detector.tensors import TensorInfo, Tensors
from pi_detector.errors import BadModelError


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

    def __len__(self) -> int:
        return len(self.score)

    def __getitem__(self, rows: BoolArray | IntArray) -> Candidates:
        """The rows that a mask or an array of indices selects."""
        return Candidates(self.xyxy[rows], self.score[rows], self.class_index[rows])


class Decoder(Protocol):
    """Turns the outputs of a model into candidates."""

    def read(self, tensors: Tensors) -> Candidates:
        """Decode the outputs of the last ``invoke``. Keeps no view of them."""


@dataclass(frozen=True, slots=True)
class DecoderSpec:
    """What a decoder is made from.

    Attributes:
        place: path of the model, for messages.
        outputs: of the model.
        min_scores: by class, the lowest score that counts; above 1 for a class that does not.
        manifest: of the bundle; None for a bare model.
    """

    place: str
    outputs: Sequence[TensorInfo]
    min_scores: Sequence[float]
    manifest: Manifest | None = None

    def output(self, name: str) -> TensorInfo:
        """The output of a name that the manifest gives. Raises BadModelError if there is none."""
        for info in self.outputs:
            if info.name == name:
                return info
        raise BadModelError(
            f"{self.place}: the model has no output {name!r}, which its manifest names; reinstall "
            "the model"
        )
