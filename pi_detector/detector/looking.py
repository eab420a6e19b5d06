"""Several looks at one frame through one detector: crop, invoke, decode, merge."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Literal, Protocol

from pi_detector.core.frame import ImageArray
from pi_detector.core.geometry import Detections
from pi_detector.core.looks import Look
from pi_detector.detector.candidates import Candidates
from pi_detector.detector.crops import grid_of
from pi_detector.detector.merge import merge, placed
from pi_detector.detector.resize import Resize
from pi_detector.detector.tensors import OutputCopies


class LooksOnce(Protocol):
    """What several looks need of a ``Detector``, whose methods these are.

    Attributes:
        resize: how images get the size of the input, and boxes back.
        iou_threshold: overlap above which two boxes of one class count as one object.
    """

    resize: Resize
    iou_threshold: float

    def infer(self, staged: ImageArray) -> tuple[OutputCopies, float]:
        """Run the model on an image."""

    def survivors(self, outputs: OutputCopies, width: int, height: int) -> Candidates:
        """The boxes that suppression leaves, best first."""

    def detections_of(self, found: Candidates, width: int, height: int) -> Detections:
        """Boxes in pixels as detections."""


Tiles = Literal["auto", "2x2", "3x3"]
"""How a still is tiled: `auto` as its size asks for, from the whole alone to 4x4."""

_AUTO_SCALE = 1.5  # tiles of `auto` are hardly reduced more than this
_AUTO_SLACK = 0.2
_MOST_AUTO = 4


def tiles_for(tiles: Tiles, size: tuple[int, int], input_size: tuple[int, int]) -> tuple[Look, ...]:
    """The looks at a still: the whole and its tiles.

    Args:
        tiles: how many.
        size: (width, height) of the image.
        input_size: (height, width) of the model's input.

    Raises:
        ValueError: ``tiles`` is none of the three.
    """
    if tiles == "auto":
        columns, rows = (
            min(_MOST_AUTO, max(1, math.ceil(side / (_AUTO_SCALE * input_side) - _AUTO_SLACK)))
            for side, input_side in zip(size, reversed(input_size), strict=True)
        )
        return grid_of(size, columns, rows)
    if tiles not in ("2x2", "3x3"):
        raise ValueError(f"tiles: {tiles!r} is not known; give 'auto', '2x2' or '3x3'")
    count = int(tiles[0])
    return grid_of(size, count, count)


def infer_looks(
    detector: LooksOnce, image: ImageArray, looks: Sequence[Look], staged: ImageArray
) -> tuple[list[OutputCopies], float, float]:
    """Run the model on each look at an image.

    Args:
        detector: runs the model.
        image: (H, W, 3) uint8 RGB.
        looks: inside the image.
        staged: the whole image at the model's size.

    Returns:
        The model's outputs, look by look; the milliseconds that scaling the crops took; the
        milliseconds that the invokes took.

    Raises:
        BadModelError: the runtime failed.
    """
    height, width = image.shape[:2]
    outputs, scale_ms, invoke_ms = [], 0.0, 0.0
    for look in looks:
        scaled = staged
        if not look.is_whole(width, height):
            started = time.perf_counter()
            x1, y1, x2, y2 = look.xyxy
            scaled = detector.resize.stage(image[y1:y2, x1:x2])
            scale_ms += (time.perf_counter() - started) * 1000
        output, one_ms = detector.infer(scaled)
        outputs.append(output)
        invoke_ms += one_ms
    return outputs, scale_ms, invoke_ms


def decode_looks(
    detector: LooksOnce,
    outputs: Sequence[OutputCopies],
    looks: Sequence[Look],
    size: tuple[int, int],
) -> tuple[Detections, float]:
    """The objects in what the model said about the looks at an image, each once.

    Args:
        detector: that ran the model.
        outputs: of ``infer_looks``.
        looks: the same.
        size: (width, height) of the image.

    Returns:
        The detections, best first, in pixels of the image and inside it; the milliseconds that
        finding them took.

    Raises:
        BadLabelsError: the model gave a class that has no label.
    """
    started = time.perf_counter()
    parts = [
        (look, placed(detector.survivors(output, look.width, look.height), look))
        for output, look in zip(outputs, looks, strict=True)
    ]
    found = detector.detections_of(merge(parts, size, detector.iou_threshold), *size)
    return found, (time.perf_counter() - started) * 1000
