"""A live cv2.VideoCapture whose reads end with an image or with the reason for its absence."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from pi_detector.core.frame import Frame, ImageArray
from pi_detector.errors import SourceLostError, SourceStalledError
from pi_detector.sources.base import SelfPaced
from pi_detector.sources.framing import FrameMaker, Moment
from pi_detector.util.rate_limit import Pace

if TYPE_CHECKING:
    import cv2

log = logging.getLogger(__name__)

# A read that fails after this share of its deadline ran into it: timers of FFmpeg and select(2)
# may end a little early.
_STALLED_SHARE = 0.9
# FFmpeg reports "no frame" for a damaged packet as for the end of the stream, which recurs at
# once at every retry.
_GRABS = 10


class Captured(NamedTuple):
    """A picture of a live source.

    Attributes:
        image: (H, W, 3) uint8 BGR, or RGB.
        moment: when it arrived.
        skipped: pictures before it that were not due.
        is_rgb: the image is RGB.
    """

    image: ImageArray
    moment: Moment
    skipped: int = 0
    is_rgb: bool = False


class Capture(Protocol):
    """What gives the pictures of a live source."""

    def read(self, pace: Pace) -> Captured:
        """The next picture that is due, see ``LiveCapture``."""

    def release(self) -> None:
        """Release the device or connection."""


class CaptureSource(SelfPaced):
    """A live source whose frames are those of a ``Capture``.

    Args:
        name: of the source.
    """

    live = True

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self._frames = FrameMaker(name)
        self._capture: Capture | None = None

    def read(self) -> Frame:
        """The next frame.

        Raises:
            SourceStalledError: nothing arrived within ``read_timeout_s``.
            SourceLostError: the device or the server is gone.
        """
        if self._capture is None:
            raise SourceLostError(f"{self.name}: not open; open it first")
        image, moment, skipped, is_rgb = self._capture.read(self._pace)
        if is_rgb:
            return self._frames.from_rgb(image, moment, skipped=skipped)
        return self._frames.from_bgr(image, moment, skipped=skipped)

    def _release(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None


class LiveCapture:
    """An open capture of a camera or stream.

    OpenCV reports "no frame" for a stall as for an unplug, and still claims to be opened: the
    duration of a failed read distinguishes them. The capture itself needs a deadline of about
    ``read_timeout_s``, because a read cannot be interrupted from here.

    Args:
        capture: opened capture.
        name: name of the source, for messages.
        read_timeout_s: deadline of a read.
    """

    def __init__(self, capture: cv2.VideoCapture, name: str, read_timeout_s: float) -> None:
        self._capture = capture
        self._name = name
        self._read_timeout_s = read_timeout_s

    def read(self, pace: Pace) -> Captured:
        """The next picture that is due.

        Others are grabbed, but not retrieved, which saves decoding the JPEGs of a webcam and
        converting the frames of a stream. A picture that cannot be decoded (a damaged JPEG of a
        webcam) is skipped.

        Args:
            pace: of the pictures.

        Raises:
            SourceStalledError: nothing arrived within the deadline.
            SourceLostError: the device or the server is gone.
        """
        started = time.monotonic()
        failed_grabs = skipped = 0
        while failed_grabs < _GRABS:
            grabbed = self._capture.grab()
            moment = Moment.now()
            elapsed_s = time.monotonic() - started
            # A grab that succeeds this late returned an old image that the decoder still held.
            if elapsed_s >= self._read_timeout_s * _STALLED_SHARE:
                raise SourceStalledError(
                    f"{self._name}: no frame for {elapsed_s:.1f} s; check the camera, or raise "
                    "source.read_timeout_s if it is that slow"
                )
            if not grabbed:
                failed_grabs += 1
                continue
            started = time.monotonic()
            if not pace.is_due(moment.monotonic_ns):
                skipped += 1
                continue
            image = self._retrieve()
            if image is not None:
                pace.step(moment.monotonic_ns)
                return Captured(image, moment, skipped)
        raise SourceLostError(f"{self._name}: the stream ended; check the cable or the server")

    def _retrieve(self) -> ImageArray | None:
        import cv2

        try:
            decoded, image = self._capture.retrieve()
        except cv2.error as error:
            log.debug("%s: skipped a picture: %s", self._name, error)
            return None
        if not decoded or image is None:
            log.debug("%s: skipped a picture that cannot be decoded", self._name)
            return None
        return np.asarray(image, np.uint8)

    def release(self) -> None:
        """Release the device or connection."""
        self._capture.release()
