"""Frames in memory, so that neither a camera nor decoding is measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pi_detector.config.settings import SourceSettings
from pi_detector.core.frame import Frame, ImageArray
from pi_detector.sources.demo import load_photograph, render_view
from pi_detector.sources.framing import FrameMaker, Moment
from pi_detector.sources.registry import make_source

FRAMES = 8
"""Different pictures at most: 1920x1080 takes 6 MB each."""

_DEMO_STEP_S = 0.7

Size = tuple[int, int]
"""Width and height in pixels."""


def load_frames(source: str, size: Size | None) -> list[ImageArray]:
    """A few pictures of a size.

    Args:
        source: a video, picture or folder; empty takes the photograph of ``demo:``.
        size: scaled to that; None takes that of the source's first picture, or 640x480.

    Raises:
        SourceNotFoundError, BadImageError: the source cannot be read.
        DependencyMissingError: the photograph is not installed.
    """
    if not source:
        photograph = load_photograph()
        return [
            render_view(photograph, size or (640, 480), number * _DEMO_STEP_S)
            for number in range(FRAMES)
        ]
    import cv2

    images: list[ImageArray] = []
    reader = make_source(SourceSettings(uri=source))
    reader.open()
    try:
        while len(images) < FRAMES and (frame := reader.read()) is not None:
            image = frame.image
            size = size or (frame.width, frame.height)
            if size != (frame.width, frame.height):
                image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
            images.append(image)
    finally:
        reader.close()
    return images


class MemorySource:
    """Gives the same pictures again and again, as fast as they are taken.

    Args:
        images: (H, W, 3) uint8 RGB, at least one.
    """

    name = "bench"
    live = False

    def __init__(self, images: Sequence[ImageArray]) -> None:
        self._images = images
        self._frames = FrameMaker(self.name)
        self._count = 0

    def open(self, model_size: tuple[int, int] | None = None) -> None:
        """Do nothing."""

    def read(self) -> Frame:
        """The next picture, as a frame of this moment."""
        image = self._images[self._count % len(self._images)]
        self._count += 1
        return self._frames.from_rgb(image, Moment.now())

    def close(self) -> None:
        """Do nothing."""
