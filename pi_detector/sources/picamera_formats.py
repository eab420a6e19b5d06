"""The pixel formats of picamera2, as RGB.

A format that was asked for may be silently changed, so what was granted decides. libcamera names
formats by the bytes of a word, low byte last: its "RGB888" is B, G, R in memory. Source: the
picamera2 manual, appendix A, and ``picamera2.request.Helpers``, which makes these arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pi_detector.core.frame import ImageArray
from pi_detector.errors import SourceNotFoundError

# Name of the OpenCV conversion to RGB; empty where the array is R, G, B already.
_CONVERSIONS = {
    "BGR888": "",
    "MJPEG": "",
    "RGB888": "COLOR_BGR2RGB",
    "XBGR8888": "COLOR_RGBA2RGB",
    "XRGB8888": "COLOR_BGRA2RGB",
    "YUV420": "COLOR_YUV2RGB_I420",
    "YVU420": "COLOR_YUV2RGB_YV12",
    "NV12": "COLOR_YUV2RGB_NV12",
    "NV21": "COLOR_YUV2RGB_NV21",
    "YUYV": "COLOR_YUV2RGB_YUYV",
    "UYVY": "COLOR_YUV2RGB_UYVY",
}


def check_format(source: str, stream: str, granted: Mapping[str, Any]) -> None:
    """Refuse a stream that cannot be turned into RGB.

    Args:
        source: name of the source.
        stream: ``main`` or ``lores``.
        granted: that stream's part of ``camera_configuration()``.

    Raises:
        SourceNotFoundError: the format is not known.
    """
    if granted["format"] not in _CONVERSIONS:
        raise SourceNotFoundError(
            f"{source}: the camera grants only the format {granted['format']} for its {stream} "
            f"stream; use a camera that has one of {', '.join(_CONVERSIONS)}"
        )


def to_rgb(array: NDArray[np.uint8], granted: Mapping[str, Any]) -> ImageArray:
    """An array of ``make_array`` as (H, W, 3) uint8 RGB, without the padding of its rows.

    Args:
        array: uint8, of the shape that picamera2 gives this format; rows of YUV formats may be
            padded beyond the width.
        granted: the stream's ``format`` and ``size`` (width, height).
    """
    width, height = granted["size"]
    conversion = _CONVERSIONS[granted["format"]]
    if conversion:
        import cv2

        array = np.asarray(cv2.cvtColor(array, getattr(cv2, conversion)), np.uint8)
    return array[:height, :width]
