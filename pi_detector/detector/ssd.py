"""Decoding of a raw SSD network: logits and coded boxes to candidates, in integers.

A network gives thousands of scores, of which a handful matter. So the scores are compared as the
integers they are stored as: the score that counts is turned into an integer once, and only what
reaches it is turned into real numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pi_detector.core.geometry import FloatArray
from pi_detector.detector.anchors import AnchorSpec, decode_boxes, make_anchors
from pi_detector.detector.candidates import Candidates, Decoder, DecoderSpec
from pi_detector.detector.tensors import TensorInfo, Tensors
from pi_detector.errors import BadLabelsError, BadModelError

MAX_CANDIDATES = 400
"""Most candidates passed to suppression, which bounds the time of a crowded frame."""


def stored_limit(score: float, info: TensorInfo) -> float:
    """The lowest stored logit whose sigmoid is at least ``score``.

    For a quantized tensor this is a whole number; it may lie outside the tensor's type, which
    means that every value, or none, reaches it.
    """
    if score <= 0:
        return -math.inf
    if score >= 1:
        return math.inf
    logit = math.log(score / (1 - score))
    if not info.quantized:
        return logit
    return math.ceil(logit / info.scale + info.zero_point)


def make_ssd(spec: DecoderSpec) -> Decoder:
    """The decoder of a raw SSD network, architecture `ssd`.

    Raises:
        BadModelError: the manifest does not describe the outputs, or describes another model.
        BadLabelsError: there are more or fewer labels than classes.
    """
    manifest = spec.manifest
    anchors = manifest.anchor_spec() if manifest else None
    if manifest is None or anchors is None or not manifest.outputs.boxes:
        raise BadModelError(
            f"{spec.place}: an SSD network needs `anchors`, `outputs.logits` and `outputs.boxes` "
            "in its manifest; add them, or set model.architecture = 'ssd-postprocess' there"
        )
    logits, boxes = str(manifest.outputs.logits), str(manifest.outputs.boxes)
    return SsdDecoder(anchors, spec.output(logits), spec.output(boxes), spec.min_scores)


class SsdDecoder:
    """Decoder of one model at given thresholds."""

    def __init__(
        self, spec: AnchorSpec, logits: TensorInfo, boxes: TensorInfo, min_scores: Sequence[float]
    ) -> None:
        """Prepare what does not change from frame to frame.

        Args:
            spec: the anchors.
            logits: (1, N, classes) output, int8, uint8, int16 or float32.
            boxes: (1, N, 4) output, int8, uint8, int16 or float32.
            min_scores: by class, the lowest score that counts; above 1 for a class that does not.

        Raises:
            BadModelError: the outputs do not fit the anchors.
            BadLabelsError: there are more or fewer labels than classes.
        """
        if boxes.shape != (1, len(spec), 4) or logits.shape[:-1] != (1, len(spec)):
            raise BadModelError(
                f"outputs {logits.shape} and {boxes.shape} do not fit the {len(spec)} anchors of "
                "the manifest; reinstall the model"
            )
        if logits.shape[-1] != len(min_scores):
            raise BadLabelsError(
                f"{len(min_scores)} labels, but the model has {logits.shape[-1]} classes; "
                "reinstall the model"
            )
        self._logits = logits
        self._boxes = boxes
        self._classes = len(min_scores)
        height, width = spec.input_size
        sides = np.asarray([width, height, width, height], np.float32)
        self._anchors: FloatArray = np.asarray(make_anchors(spec) / sides, np.float32)
        self._variances = spec.variances
        self._limits = np.asarray([stored_limit(s, logits) for s in min_scores], np.float64)
        self._floor = self._lowest_limit()

    def _lowest_limit(self) -> np.generic | None:
        """The lowest of the limits, as a value of the logits' type; None: none can be reached."""
        lowest = float(self._limits.min())
        dtype = self._logits.dtype
        if dtype.kind == "f":
            return None if lowest == math.inf else dtype.type(lowest)
        limits = np.iinfo(dtype)
        return None if lowest > limits.max else dtype.type(max(lowest, limits.min))

    def read(self, tensors: Tensors) -> Candidates:
        """Decode the outputs of the last ``invoke``."""
        return self.decode(
            tensors.tensor(self._logits.index)()[0], tensors.tensor(self._boxes.index)()[0]
        )

    def decode(self, logits: NDArray[Any], boxes: NDArray[Any]) -> Candidates:
        """Candidates in the stored outputs of one frame.

        Args:
            logits: (N, classes), as stored.
            boxes: (N, 4), as stored.

        Returns:
            At most ``MAX_CANDIDATES``, best first; of equal scores the one of the first anchor.
        """
        if self._floor is None:
            return Candidates()
        flat = logits.reshape(-1)
        # One comparison over all scores, against one number: the finer check is for the few.
        (rows,) = np.nonzero(flat >= self._floor)
        rows = rows[flat[rows] >= self._limits[rows % self._classes]]
        stored = flat[rows]
        signed = stored if stored.dtype.kind == "f" else stored.astype(np.int32)
        order = np.argsort(-signed, kind="stable")[:MAX_CANDIDATES]
        rows = rows[order]
        anchors = rows // self._classes
        # The sigmoid, in the form that cannot overflow.
        score = (1 + np.tanh(self._logits.dequantize(stored[order]) / 2)) / 2
        xyxy = decode_boxes(
            self._boxes.dequantize(boxes[anchors]), self._anchors[anchors], self._variances
        )
        return Candidates(xyxy, score.astype(np.float32), rows % self._classes)
