"""Rates how well a frame shows an object."""

from __future__ import annotations

import math

import numpy as np

from pi_detector.core.frame import ImageArray

_LARGE = 0.25  # a box of this share of the frame is as good as any larger one
_CUT_OFF = 0.5  # what a view is worth whose object is cut off at one side of the frame
_EDGE = 0.005  # of the frame: a box this near to its edge is cut off
_CROP_PX = 64  # sharpness is compared at this size
_SHARP = 300.0  # variance of the Laplacian of a view that is half as sharp as can be


def prospect(
    xyxy: tuple[float, float, float, float], score: float, width: int, height: int
) -> float:
    """What a view is worth at most, in 0..1: how certain, large and whole it is.

    Args:
        xyxy: the object's box in pixels.
        score: of the detection.
        width: of the frame in pixels.
        height: of the frame in pixels.
    """
    x1, y1, x2, y2 = xyxy
    share = max(0.0, x2 - x1) * max(0.0, y2 - y1) / (width * height)
    sides = (
        x1 < _EDGE * width,
        x2 > (1 - _EDGE) * width,
        y1 < _EDGE * height,
        y2 > (1 - _EDGE) * height,
    )
    cut_off: float = _CUT_OFF ** sum(sides)
    return score * math.sqrt(min(1.0, share / _LARGE)) * cut_off


def sharpness(image: ImageArray, xyxy: tuple[float, float, float, float]) -> float:
    """How sharp a part of an image is, in 0..1.

    By the variance of the Laplacian; J. Pech-Pacheco et al., "Diatom autofocusing in brightfield
    microscopy: a comparative study", 2000.

    Args:
        image: (H, W, 3) uint8 RGB.
        xyxy: the part, in pixels.
    """
    import cv2

    height, width = image.shape[:2]
    x1, y1 = max(0, int(xyxy[0])), max(0, int(xyxy[1]))
    x2, y2 = min(width, math.ceil(xyxy[2])), min(height, math.ceil(xyxy[3]))
    if x2 <= x1 or y2 <= y1:
        return 0.0
    crop = cv2.resize(image[y1:y2, x1:x2], (_CROP_PX, _CROP_PX), interpolation=cv2.INTER_AREA)
    edges = cv2.Laplacian(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.CV_32F)
    variance = float(np.var(np.asarray(edges, np.float32)))
    return variance / (variance + _SHARP)
