"""How a frame gets the size of the model's input, and how its boxes get back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, Protocol, TypeAlias

import numpy as np

from pi_detector.core.frame import ImageArray
from pi_detector.core.geometry import FloatArray
from pi_detector.detector.preprocess import scale_to_input, staged_input

ResizeName: TypeAlias = Literal["stretch", "letterbox"]
Size: TypeAlias = tuple[int, int]
"""(height, width), in pixels."""


class Resize(Protocol):
    """One way to fit frames into the model's input.

    Attributes:
        camera_size: what a camera may scale a frame to, so that it need not be done here; None:
            what a camera scales is of no use.
    """

    camera_size: Size | None

    def stage(self, image: ImageArray, scaled: ImageArray | None = None) -> ImageArray:
        """An image at the model's size.

        Args:
            image: (H, W, 3) uint8 RGB.
            scaled: the same as the camera scaled it, or None.

        Returns:
            (height, width, 3) uint8 RGB.
        """

    def content(self, staged: ImageArray, frame: Size) -> ImageArray:
        """The part of a staged image that shows the frame: a view of it."""

    def to_frame(self, xyxy: FloatArray, frame: Size) -> FloatArray:
        """Boxes in 0..1 of the model's input as pixels of the frame; both (N, 4) float32."""


class Stretch:
    """The frame fills the input; its aspect ratio is ignored."""

    def __init__(self, input_size: Size, padding: int = 0) -> None:  # noqa: ARG002
        """Prepare for an input of (height, width) pixels. ``padding`` is not used."""
        self.camera_size: Size | None = input_size
        self._input_size = input_size

    def stage(self, image: ImageArray, scaled: ImageArray | None = None) -> ImageArray:
        """See ``Resize``."""
        return staged_input(image, self._input_size, scaled)

    def content(self, staged: ImageArray, frame: Size) -> ImageArray:  # noqa: ARG002
        """See ``Resize``."""
        return staged

    def to_frame(self, xyxy: FloatArray, frame: Size) -> FloatArray:
        """See ``Resize``."""
        height, width = frame
        return xyxy * np.asarray([width, height] * 2, np.float32)


class Letterbox:
    """The frame keeps its aspect ratio, in the middle between two bars of one grey."""

    def __init__(self, input_size: Size, padding: int) -> None:
        """Prepare.

        Args:
            input_size: (height, width) of the model's input.
            padding: the byte of the bars.
        """
        self.camera_size: Size | None = None
        self._input_size = input_size
        self._padding = padding

    def stage(self, image: ImageArray, scaled: ImageArray | None = None) -> ImageArray:  # noqa: ARG002
        """See ``Resize``; what a camera scaled is stretched, and so not used."""
        if image.shape[:2] == self._input_size:
            return image
        staged = np.full((*self._input_size, 3), self._padding, np.uint8)
        scale_to_input(image, self.content(staged, (image.shape[0], image.shape[1])))
        return staged

    def content(self, staged: ImageArray, frame: Size) -> ImageArray:
        """See ``Resize``."""
        box = _content(self._input_size, frame)
        return staged[box.top : box.top + box.height, box.left : box.left + box.width]

    def to_frame(self, xyxy: FloatArray, frame: Size) -> FloatArray:
        """See ``Resize``."""
        box = _content(self._input_size, frame)
        inputs = np.asarray([self._input_size[1], self._input_size[0]] * 2, np.float32)
        origin = np.asarray([box.left, box.top] * 2, np.float32)
        scale = np.asarray([frame[1] / box.width, frame[0] / box.height] * 2, np.float32)
        return (xyxy * inputs - origin) * scale


RESIZES: Mapping[ResizeName, Callable[[Size, int], Resize]] = {
    "stretch": Stretch,
    "letterbox": Letterbox,
}


class _Content(NamedTuple):
    """Where the frame lies in the input, in pixels."""

    left: int
    top: int
    width: int
    height: int


def _content(input_size: Size, frame: Size) -> _Content:
    scale = min(input_size[0] / frame[0], input_size[1] / frame[1])
    height, width = (
        min(side, max(1, round(length * scale)))
        for side, length in zip(input_size, frame, strict=True)
    )
    return _Content((input_size[1] - width) // 2, (input_size[0] - height) // 2, width, height)
