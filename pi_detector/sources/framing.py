"""Makes the frames of all sources: numbered, timestamped, RGB, read-only."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from pi_detector.core.clock import utc_now
from pi_detector.core.frame import Frame, ImageArray


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment on two clocks.

    Attributes:
        monotonic_ns: ``time.monotonic_ns()``.
        utc: wall time (aware).
    """

    monotonic_ns: int
    utc: datetime

    @classmethod
    def now(cls) -> Moment:
        """This moment. Take it right after the grab, before decoding."""
        return cls(time.monotonic_ns(), utc_now())


class FrameMaker:
    """Makes the frames of one source. Numbering continues when the source is reopened.

    Args:
        source: name of the source.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._next_sequence = 0

    def from_bgr(
        self, image: ImageArray, moment: Moment, path: str | None = None, skipped: int = 0
    ) -> Frame:
        """A frame of an OpenCV image, (H, W, 3) uint8 BGR; see ``from_rgb``."""
        import cv2

        rgb = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
        return self.from_rgb(rgb, moment, path=path, skipped=skipped)

    def from_rgb(
        self,
        image: ImageArray,
        moment: Moment,
        model_input: ImageArray | None = None,
        path: str | None = None,
        skipped: int = 0,
    ) -> Frame:
        """A frame that takes over the arrays, which become read-only.

        Args:
            image: (H, W, 3) uint8 RGB.
            moment: when it was captured.
            model_input: (h, w, 3) uint8 RGB, the same moment at the model's size.
            path: the file that it was read from.
            skipped: frames before this one that were dropped, and keep their numbers.
        """
        self._next_sequence += skipped
        frame = Frame(
            image=_frozen(image),
            sequence=self._next_sequence,
            captured_ns=moment.monotonic_ns,
            captured_at=moment.utc,
            source=self._source,
            model_input=None if model_input is None else _frozen(model_input),
            path=path,
        )
        self._next_sequence += 1
        return frame


def _frozen(image: ImageArray) -> ImageArray:
    contiguous = np.ascontiguousarray(image)
    contiguous.setflags(write=False)
    return contiguous
