"""Reads an image that a program passes by its path."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pi_detector.core.frame import ImageArray
from pi_detector.errors import BadImageError


def read_image(path: Path) -> ImageArray:
    """An image file as (H, W, 3) uint8 RGB, upright as its EXIF data says.

    It is decoded in this process: images of strangers belong in a source, which isolates them.

    Raises:
        OSError: the file cannot be read.
        BadImageError: it is no image.
    """
    import cv2

    data = np.frombuffer(path.read_bytes(), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if image is None:
        raise BadImageError(f"{path}: damaged, or not an image")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
