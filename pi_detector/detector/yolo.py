"""Decoding of YOLO networks, whose outputs are boxes and scores of every cell.

Architectures, with the columns of their one output:

- ``yolov8`` (also v9, v11, v12 and YOLOv5u): centre x, centre y, width, height, a score per class;
- ``yolov5`` (also v3 and v7): the same with an objectness before the scores, which multiplies them;
- ``yolo-end2end`` (v10 and v26, and exports with suppression): ``x1, y1, x2, y2``, score, class.

As the networks' own prediction does, a cell gives one box at most: of its best class. Scores are
compared as they are stored, so that only survivors are turned into real numbers.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from pi_detector.core.geometry import FloatArray, IntArray
from pi_detector.detector.candidates import Candidates, Decoder, DecoderSpec
from pi_detector.detector.tensors import TensorInfo, Tensors
from pi_detector.errors import BadLabelsError, BadModelError

BOX_COLUMNS = 4
END2END_COLUMNS = 6
MAX_CANDIDATES = 1000
"""Most candidates passed to suppression: a dozen cells give one object."""


class YoloTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table `decoder` of a YOLO bundle's manifest.

    Attributes:
        output: name of the output tensor.
        layout: `columns` (1, C, N) or `rows` (1, N, C).
        unit: of boxes: `input` counts from 0 to 1 over the input, `pixels` counts its pixels.
    """

    output: str
    layout: Literal["columns", "rows"] = "columns"
    unit: Literal["input", "pixels"] = "input"


def make_yolov8(spec: DecoderSpec) -> Decoder:
    """The decoder of a network without an objectness, architecture `yolov8`.

    Raises:
        BadModelError: the manifest does not describe the output.
        BadLabelsError: there are more or fewer labels than classes.
    """
    return YoloDecoder(spec, objectness=False)


def make_yolov5(spec: DecoderSpec) -> Decoder:
    """The decoder of a network with an objectness, architecture `yolov5`; raises as the other."""
    return YoloDecoder(spec, objectness=True)


def make_end2end(spec: DecoderSpec) -> Decoder:
    """The decoder of a network that suppresses its boxes itself, architecture `yolo-end2end`.

    Raises:
        BadModelError: the manifest does not describe the output.
    """
    return End2EndDecoder(spec)


def read_table(spec: DecoderSpec) -> YoloTable:
    """The table `decoder` of a model's manifest.

    Raises:
        BadModelError: it is missing, or makes no sense.
    """
    said = spec.manifest.decoder if spec.manifest else {}
    try:
        return msgspec.convert(said, YoloTable)
    except msgspec.ValidationError as error:
        raise BadModelError(
            f"{spec.place}: the table `decoder` of its manifest: {error}; import the model again"
        ) from error


class YoloDecoder:
    """Decoder of one network with a box per cell, at given thresholds."""

    def __init__(self, spec: DecoderSpec, *, objectness: bool) -> None:
        """Prepare what does not change from frame to frame.

        Raises:
            BadModelError: the output is no such network's.
            BadLabelsError: there are more or fewer labels than classes.
        """
        table = read_table(spec)
        self._info = spec.output(table.output)
        self._rows = table.layout == "rows"
        self._objectness = objectness
        self._first = BOX_COLUMNS + objectness
        columns = _columns(self._info, spec.place, 2 if self._rows else 1, self._first + 1)
        if columns - self._first != len(spec.min_scores):
            raise BadLabelsError(
                f"{spec.place}: {len(spec.min_scores)} labels, but the model has "
                f"{columns - self._first} classes; import the model again"
            )
        self._scale = _scale(spec, table)
        self._min_scores = np.asarray(spec.min_scores, np.float32)
        self._floor = _floor(float(self._min_scores.min()), self._info)

    def read(self, tensors: Tensors) -> Candidates:
        """Decode the output of the last ``invoke``."""
        return self.decode(tensors.tensor(self._info.index)()[0])

    def decode(self, stored: NDArray[Any]) -> Candidates:
        """Candidates in the stored output of one frame, (C, N) or (N, C) as the manifest says.

        Returns:
            At most ``MAX_CANDIDATES``, best first.
        """
        if self._floor is None:
            return Candidates()
        columns = stored.T if self._rows else stored
        # An objectness alone bounds what it multiplies.
        best = columns[BOX_COLUMNS] if self._objectness else columns[self._first :].max(axis=0)
        (cells,) = np.nonzero(best >= self._floor)
        scores = self._info.dequantize(columns[self._first :, cells])
        index = scores.argmax(axis=0)
        score = scores[index, np.arange(len(cells))]
        if self._objectness:
            score = score * self._info.dequantize(columns[BOX_COLUMNS, cells])
        good = np.flatnonzero(score >= self._min_scores[index])
        good = good[np.argsort(-score[good], kind="stable")[:MAX_CANDIDATES]]
        boxes = self._info.dequantize(columns[:BOX_COLUMNS, cells[good]]).T / self._scale
        half = boxes[:, 2:] / 2
        xyxy = np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)
        return _candidates(xyxy, score[good], index[good])


class End2EndDecoder:
    """Decoder of one network that suppresses its boxes itself, at given thresholds."""

    def __init__(self, spec: DecoderSpec) -> None:
        """Prepare what does not change from frame to frame.

        Raises:
            BadModelError: the output is no such network's.
        """
        table = read_table(spec)
        self._info = spec.output(table.output)
        if _columns(self._info, spec.place, 2, END2END_COLUMNS) != END2END_COLUMNS:
            raise BadModelError(
                f"{spec.place}: its output {self._info.shape} is not (1, N, {END2END_COLUMNS}); "
                "import the model again"
            )
        self._scale = _scale(spec, table)
        self._min_scores = np.asarray(spec.min_scores, np.float32)

    def read(self, tensors: Tensors) -> Candidates:
        """Decode the output of the last ``invoke``.

        Raises:
            BadLabelsError: the model gave a class that has no label.
        """
        rows = self._info.dequantize(tensors.tensor(self._info.index)()[0])
        rows = rows[rows[:, 4] >= self._min_scores.min()]
        rows = rows[np.isfinite(rows).all(axis=1)]
        index = np.rint(rows[:, 5]).astype(np.int64)
        strange = (index < 0) | (index >= len(self._min_scores))
        if strange.any():
            raise BadLabelsError(
                f"the model returned class {index[strange].max()}, but there are labels for "
                f"{len(self._min_scores)} classes; use the labels file of this model"
            )
        good = np.flatnonzero(rows[:, 4] >= self._min_scores[index])
        good = good[np.argsort(-rows[good, 4], kind="stable")[:MAX_CANDIDATES]]
        return _candidates(rows[good, :4] / self._scale, rows[good, 4], index[good])


def _columns(info: TensorInfo, place: str, axis: int, least: int) -> int:
    """The columns of an output of three axes."""
    if len(info.shape) != 3 or info.shape[0] != 1 or info.shape[axis] < least:
        raise BadModelError(
            f"{place}: its output {info.shape} is not the one that its manifest describes; import "
            "the model again"
        )
    return info.shape[axis]


def _scale(spec: DecoderSpec, table: YoloTable) -> FloatArray:
    """What boxes are divided by to lie in 0..1 of the input."""
    if table.unit == "input" or spec.manifest is None:
        return np.ones(4, np.float32)
    said = spec.manifest.input
    return np.asarray([said.width, said.height] * 2, np.float32)


def _floor(score: float, info: TensorInfo) -> np.generic | None:
    """The lowest stored value that reaches a score; None: none does."""
    if info.dtype.kind == "f":
        return np.float32(score)
    stored = math.ceil(score / info.scale + info.zero_point) if info.quantized else score
    limits = np.iinfo(info.dtype)
    return None if stored > limits.max else info.dtype.type(max(stored, limits.min))


def _candidates(xyxy: FloatArray, score: FloatArray, index: IntArray) -> Candidates:
    """Candidates without those that no number describes, which a broken network may give."""
    good = np.isfinite(xyxy).all(axis=1)
    return Candidates(
        xyxy[good].astype(np.float32, copy=False),
        np.minimum(score[good], np.float32(1)),
        index[good].astype(np.int64, copy=False),
    )
