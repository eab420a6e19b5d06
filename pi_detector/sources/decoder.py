"""Decoding of video files: the interface of a decoder, and what all decoders use."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from pi_detector.core.frame import ImageArray

_LEAST_FPS, _MOST_FPS = 0.1, 300.0
_USUAL_FPS = 25.0
# Times that jump back further than this begin a new part of the file: a recorder's restart.
_RESTART_S = 1.0


class DecodedFrame(NamedTuple):
    """A frame of a video.

    Attributes:
        image: (H, W, 3) uint8 RGB, upright.
        time_s: time of the frame in the video, or None if the video has no times.
    """

    image: ImageArray
    time_s: float | None


class UndecodableError(Exception):
    """A file that contains no decodable video. The message is the reason."""


IsWanted = Callable[[float | None], bool]
"""Whether a frame is wanted that stands there in the video, in seconds, or None."""


def always(time_s: float | None) -> bool:  # noqa: ARG001 - any is wanted
    """Every frame is wanted."""
    return True


class Decoder(Protocol):
    """An open video.

    Attributes:
        size: width and height of its frames in pixels, before rotation.
        fps: frames per second, or 0 if unknown.
        length_s: length that the video announces, or 0.
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


def opencv_faults() -> str:
    """Describe what the installed OpenCV decodes wrongly; empty if nothing is known.

    Measured with its wheels: 4.11 ignores the rotation of a file; from 4.13 on an interlaced frame
    is an unwritten buffer, reported as decoded; 4.12 decodes frames correctly but takes a stalled
    stream for an ended one.
    """
    import cv2

    numbers = re.match(r"(\d+)\.(\d+)", cv2.__version__)
    version = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
    if version == (4, 11):
        return "phone videos stay rotated"
    if version == (4, 12):
        return "a stalled stream looks like an ended one"
    if version >= (4, 13):
        return "interlaced frames are black or outdated"
    return ""


class FrameTimes:
    """The times of a video's frames, made to advance always.

    The frames of a raw stream (``rpicam-vid -o x.h264``) have no times, or all the same: then the
    frame rate sets the distance to the next frame. A restart of the recorder, at which times begin
    again, is followed without a jump.

    Args:
        fps: rate of the video; an impossible one is replaced by 25.
        untimed_fps: rate of a video whose frames have no times at all; 0 = ``fps``.

    Attributes:
        fps: the rate in use.
        untimed: number of consecutive frames without a time of their own.
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
        """Return the time of the next frame, in seconds.

        Args:
            said_s: time given by the video, or None.
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
    """Apply a display matrix to an image: quarter turns and mirroring.

    Args:
        image: (H, W, 3).
        matrix: a, b, c, d of FFmpeg's display matrix: the pixel (x, y) is shown at (a x + c y, b x
            + d y). Other angles are rounded to the nearest quarter.
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
