"""Decoding of models that end in TFLite_Detection_PostProcess.

Four float outputs: boxes (1, K, 4) as ``ymin, xmin, ymax, xmax`` in 0..1, classes (1, K), scores
(1, K), count (1,). Converters order them differently, so they are identified by name or shape;
classes and scores, which have the same shape, by name, else by their values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pi_detector.detector.candidates import Candidates, Decoder, DecoderSpec
from pi_detector.detector.manifest import OutputsTable
from pi_detector.detector.tensors import TensorInfo, Tensors
from pi_detector.errors import BadLabelsError, BadModelError

_CUSTOM_OP = "TFLite_Detection_PostProcess"


@dataclass(frozen=True, slots=True)
class Roles:
    """The role of each output.

    Attributes:
        boxes: (1, K, 4).
        classes: (1, K).
        scores: (1, K).
        count: (1,).
        certain: whether classes and scores are identified; else they may be swapped.
    """

    boxes: TensorInfo
    classes: TensorInfo
    scores: TensorInfo
    count: TensorInfo
    certain: bool


def map_outputs(outputs: Sequence[TensorInfo], named: OutputsTable | None = None) -> Roles:
    """Find out which output is what.

    Args:
        outputs: all outputs of the model, in any order.
        named: their names as a manifest gives them.

    Raises:
        BadModelError: these are not the outputs of TFLite_Detection_PostProcess.
    """
    if named is not None and named.boxes and named.classes and named.scores and named.count:
        by_name = {info.name: info for info in outputs}
        wanted = (str(named.boxes), str(named.classes), str(named.scores), str(named.count))
        if missing := [name for name in wanted if name not in by_name]:
            raise BadModelError(f"the model has no output {missing[0]!r}, which its manifest names")
        corners, classes, scores, rows = (by_name[name] for name in wanted)
        return Roles(corners, classes, scores, rows, certain=True)
    boxes = [i for i in outputs if len(i.shape) == 3 and i.shape[-1] == 4]
    count = [i for i in outputs if len(i.shape) < 2 and int(np.prod(i.shape)) == 1]
    rest = [i for i in outputs if len(i.shape) == 2]
    if (len(outputs), len(boxes), len(count), len(rest)) != (4, 1, 1, 2):
        shapes = ", ".join(str(info.shape) for info in outputs)
        raise BadModelError(
            f"outputs {shapes} are not those of {_CUSTOM_OP}; `pi-detector models import` makes a "
            "bundle of a YOLO, and names what it cannot use"
        )
    by_meaning = {meaning: info for info in rest if (meaning := _meaning(info.name))}
    if len(by_meaning) == 2:
        return Roles(boxes[0], by_meaning["classes"], by_meaning["scores"], count[0], certain=True)
    return Roles(boxes[0], rest[0], rest[1], count[0], certain=False)


def _meaning(name: str) -> str | None:
    """What a tensor's name says of its content."""
    lower = name.lower()
    if name == f"{_CUSTOM_OP}:1" or "classes" in lower:
        return "classes"
    if name == f"{_CUSTOM_OP}:2" or "scores" in lower:
        return "scores"
    return None


def make_postprocess(spec: DecoderSpec) -> Decoder:
    """The decoder of a network that decodes its boxes itself, architecture `ssd-postprocess`.

    Raises:
        BadModelError: these are not the outputs of TFLite_Detection_PostProcess.
    """
    named = spec.manifest.outputs if spec.manifest else None
    return PostprocessDecoder(map_outputs(spec.outputs, named), spec.min_scores)


class PostprocessDecoder:
    """Decoder of one model at given thresholds."""

    def __init__(self, roles: Roles, min_scores: Sequence[float]) -> None:
        """Prepare.

        Args:
            roles: the model's outputs.
            min_scores: by class, the lowest score that counts; above 1 for a class that does not.
        """
        self._roles = roles
        self._min_scores = np.asarray(min_scores, np.float32)

    def read(self, tensors: Tensors) -> Candidates:
        """Decode the outputs of the last ``invoke``.

        Raises:
            BadLabelsError: the model gave a class that has no label.
        """
        roles = self._roles
        boxes, classes, scores, count = (
            info.dequantize(tensors.tensor(info.index)())
            for info in (roles.boxes, roles.classes, roles.scores, roles.count)
        )
        return self.decode(boxes[0], classes[0], scores[0], int(count.reshape(-1)[0]))

    def decode(
        self,
        boxes: NDArray[np.float32],
        classes: NDArray[np.float32],
        scores: NDArray[np.float32],
        count: int,
    ) -> Candidates:
        """Candidates in the outputs of one frame.

        Args:
            boxes: (K, 4) ``ymin, xmin, ymax, xmax`` in 0..1.
            classes: (K,) index of the label.
            scores: (K,) in 0..1.
            count: rows that are valid.

        Raises:
            BadLabelsError: a detection's class has no label.
            BadModelError: neither of the two outputs holds classes.
        """
        count = min(max(count, 0), len(scores))
        classes, scores = classes[:count], scores[:count]
        if not self._roles.certain:
            swapped = _swapped(classes, scores)
            if swapped is None:
                return Candidates()
            roles = self._roles
            if swapped:
                classes, scores = scores, classes
                roles = replace(roles, classes=roles.scores, scores=roles.classes)
            self._roles = replace(roles, certain=True)
        index = np.rint(classes).astype(np.int64)
        if count and (index.max() >= len(self._min_scores) or index.min() < 0):
            self._complain(index, scores)
        known = (index >= 0) & (index < len(self._min_scores))
        good = known & (scores >= self._min_scores[np.where(known, index, 0)])
        corners = boxes[:count][good][:, [1, 0, 3, 2]]
        return Candidates(corners, scores[good], index[good])

    def _complain(self, index: NDArray[np.int64], scores: NDArray[np.float32]) -> None:
        """A class without a label is an error once it would have been reported."""
        strange = (index < 0) | (index >= len(self._min_scores))
        lowest = self._min_scores.min()
        if (scores[strange] >= lowest).any():
            raise BadLabelsError(
                f"the model returned class {index[strange].max()}, but there are labels for "
                f"{len(self._min_scores)} classes; use the labels file of this model"
            )


def _swapped(classes: NDArray[Any], scores: NDArray[Any]) -> bool | None:
    """Whether the two are swapped; None if their values do not decide.

    Classes are whole numbers; scores are in 0..1.
    """
    first, second = (bool((values == np.rint(values)).all()) for values in (classes, scores))
    if first and second:
        if (scores > 1).any():
            return True
        return False if (classes > 1).any() else None
    if not first and not second:
        raise BadModelError(
            "neither output of the model contains whole numbers: they are not classes and scores"
        )
    return second
