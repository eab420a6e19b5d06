"""A frame: an image with its time and source."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

ImageArray = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Frame:
    """One image, and when it was captured.

    Attributes:
        image: (H, W, 3) uint8 RGB, C-contiguous, read-only.
        sequence: number of the frame in its source, from 0; gaps are dropped frames.
        captured_ns: when it was captured, ``time.monotonic_ns()``.
        captured_at: the same moment as UTC wall time (aware).
        source: name of the source.
        model_input: the same moment already scaled to the model's input by the camera's ISP, (h, w,
            3) uint8 RGB, or None.
        path: the file that it was read from, or None.
    """

    image: ImageArray
    sequence: int
    captured_ns: int
    captured_at: datetime
    source: str
    model_input: ImageArray | None = None
    path: str | None = None

    @property
    def width(self) -> int:
        """Width of ``image`` in pixels."""
        return int(self.image.shape[1])

    @property
    def height(self) -> int:
        """Height of ``image`` in pixels."""
        return int(self.image.shape[0])
