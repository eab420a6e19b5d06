"""Decoding of video files: by PyAV where one that can do it is installed, else by OpenCV's FFmpeg.

Which of the two it is, is not seen in the frames: both give every frame upright, interlaced ones
too. Of OpenCV not every version does, see ``opencv_faults``.
"""

from __future__ import annotations

import importlib.util
import logging
import math
import re
from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from pi_detector.core.frame import ImageArray

log = logging.getLogger(__name__)

_LEAST_PYAV = 12  # the first whose frames say how they are turned
_LEAST_FPS, _MOST_FPS = 0.1, 300.0
_USUAL_FPS = 25.0
# Times that go back further than this begin a new part of the file: a recorder's restart.
_RESTART_S = 1.0


class DecodedFrame(NamedTuple):
    """A frame of a video.

    Attributes:
        image: (H, W, 3) uint8 RGB, upright.
        time_s: where it stands in the video, or None where the video does not say.
    """

    image: ImageArray
    time_s: float | None


class UndecodableError(Exception):
    """What is opened holds no video that can be decoded. The message is the reason."""


IsWanted = Callable[[float | None], bool]
"""Whether a frame is wanted that stands there in the video, in seconds, or None."""


def always(time_s: float | None) -> bool:  # noqa: ARG001 - any is wanted
    """Every frame is wanted."""
    return True


class Decoder(Protocol):
    """An open video.

    Attributes:
        size: width and height of its frames in pixels, before they are turned.
        fps: frames per second, or 0 where it is not known.
        length_s: that the video announces, or 0.
    """

    size: tuple[int, int]
    fps: float
    length_s: float

    def read(self, is_wanted: IsWanted = always) -> DecodedFrame | None:
        """The next frame that can be decoded and is wanted; None at the end.

        Args:
            is_wanted: is asked once for each frame, with its ``time_s``; others are not converted.
        """

    def close(self) -> None:
        """Close the video. May be called twice."""


def decoder_type() -> Callable[[str], Decoder]:
    """What opens video files here.

    It takes a path: absolute, as FFmpeg takes what stands before a colon for a protocol, and in
    Unicode. It raises UndecodableError where that holds no video that can be decoded.
    """
    if has_pyav():
        from pi_detector.sources.decoder_av import AvDecoder

        return AvDecoder
    from pi_detector.sources.decoder_cv import CvDecoder

    return CvDecoder


def has_pyav() -> bool:
    """Whether a PyAV is installed that gives every frame upright."""
    if importlib.util.find_spec("av") is None:
        return False
    try:
        import av
    except ImportError as error:  # its libraries do not fit this machine
        log.debug("PyAV cannot be used: %s", error)
        return False
    major = re.match(r"\d+", av.__version__)
    return major is not None and int(major[0]) >= _LEAST_PYAV


def opencv_faults() -> str:
    """What the installed OpenCV decodes wrongly, in words; empty where nothing is known.

    Measured with its wheels: 4.11 ignores how a file is turned; from 4.13 on an interlaced frame is
    a buffer that nothing was written to, and is said to be decoded; 4.12, whose frames are right,
    takes a stream that stalls for one that ended.
    """
    import cv2

    numbers = re.match(r"(\d+)\.(\d+)", cv2.__version__)
    version = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
    if version == (4, 11):
        return "videos of phones stay lying on their side"
    if version == (4, 12):
        return "a stream that stalls is taken for one that ended"
    if version >= (4, 13):
        return "interlaced frames are black or those of an earlier moment"
    return ""


class FrameTimes:
    """The times of a video's frames, which always advance.

    Of a raw stream (``rpicam-vid -o x.h264``) the frames have no times, or all the same: then the
    frame rate tells how far the next one is. A recorder's restart, at which times begin again, is
    followed without a leap.

    Args:
        fps: of the video; what cannot be one is taken for 25.
        untimed_fps: of a video whose frames have no times at all; 0 takes ``fps``.

    Attributes:
        fps: that is counted with.
        untimed: frames in a row that had no time of their own.
    """

    def __init__(self, fps: float, untimed_fps: float = 0.0) -> None:
        sensible = math.isfinite(fps) and _LEAST_FPS <= fps <= _MOST_FPS
        self._video_fps = fps if sensible else _USUAL_FPS
        self.fps = untimed_fps or self._video_fps
        self.untimed = 0
        self._now_s: float | None = None
        self._said_s: float | None = None
        self._offset_s = 0.0

    def next(self, said_s: float | None) -> float:
        """The time of the next frame, in seconds.

        Args:
            said_s: what the video says, or None.
        """
        if self._now_s is None:
            self._said_s, self._now_s = said_s, said_s or 0.0
            return self._now_s
        follows_s = self._now_s + 1 / self.fps
        if said_s is None or (self._said_s is not None and said_s <= self._said_s):
            self.untimed += 1
            if said_s is not None and self._said_s is not None:
                restarts = said_s < self._said_s - _RESTART_S
                self._offset_s = follows_s - said_s if restarts else self._offset_s
            self._now_s = follows_s
        else:
            self.untimed = 0
            self.fps = self._video_fps
            self._now_s = max(self._now_s, said_s + self._offset_s)
        self._said_s = said_s
        return self._now_s


def upright(image: ImageArray, matrix: tuple[int, int, int, int]) -> ImageArray:
    """An image as its display matrix wants it: turned by quarters, mirrored.

    Args:
        image: (H, W, 3).
        matrix: a, b, c, d of FFmpeg's display matrix: the pixel (x, y) is shown at
            (a x + c y, b x + d y). Of one that turns by other angles the nearest quarter is taken.
    """
    a, b, c, d = matrix
    if abs(b) + abs(c) > abs(a) + abs(d):
        # x and y change places first: then the signs are of what was y, and of what was x.
        image = image.transpose(1, 0, 2)
        a, d = c, b
    if a < 0:
        image = image[:, ::-1]
    if d < 0:
        image = image[::-1]
    return np.ascontiguousarray(image)
