"""Images of PyAV's frames, for video files and streams alike."""

from __future__ import annotations

import logging
import struct
from typing import TYPE_CHECKING, Any

import av
import av.logging
import av.video.reformatter
import numpy as np

from pi_detector.sources.decoder import upright

if TYPE_CHECKING:
    from pi_detector.core.frame import ImageArray

log = logging.getLogger(__name__)

# FFmpeg itself writes to stderr, one line per frame.
av.logging.set_level(av.logging.PANIC)

AV_ERRORS: Any = (av.error.FFmpegError, ValueError)
"""What PyAV raises where data are damaged."""

_MATRIX = struct.Struct("=9i")
_FIRST_WITH_THREADS = 17
_UNTURNED = (1, 0, 0, 1)


class FrameImages:
    """Makes the images of one video's frames."""

    def __init__(self) -> None:
        # Before PyAV 17 a converter has no threads, nor a parameter for them.
        wanted = int(av.__version__.partition(".")[0]) >= _FIRST_WITH_THREADS
        self._one_thread = {"threads": 1} if wanted else {}
        self._converter = av.video.reformatter.VideoReformatter()
        self._matrix: tuple[int, int, int, int] | None = None
        self._rotation: float | None = None

    def upright(self, frame: Any) -> ImageArray | None:
        """(H, W, 3) uint8 RGB; None of a frame that cannot be converted."""
        try:
            image = self._rgb(frame)
        except AV_ERRORS as error:
            log.debug("skipped a frame: %s", error)
            return None
        matrix = self._matrix_of(frame)
        return np.asarray(image if matrix == _UNTURNED else upright(image, matrix), np.uint8)

    def _matrix_of(self, frame: Any) -> tuple[int, int, int, int]:
        """The display matrix, which hardly a video changes on its way.

        It is read once, and where the rotation changes (PyAV 14 and later): PyAV's side data and
        their frame refer to each other, so that a frame whose side data were read stays in memory
        until Python collects cycles, which may be hundreds of frames later.
        """
        rotation = getattr(frame, "rotation", None)
        if self._matrix is None or rotation != self._rotation:
            self._matrix, self._rotation = _matrix(frame), rotation
        return self._matrix

    def _rgb(self, frame: Any) -> ImageArray:
        """(H, W, 3) uint8 RGB, not yet upright.

        One converter for all frames, on this thread: a converter per frame would start a thread per
        core, which a process with few rights may not.
        """
        converted = self._converter.reformat(frame, format="rgb24", **self._one_thread)
        image: ImageArray = converted.to_ndarray()
        return image


def rate_of(stream: Any) -> float:
    """Frames per second of a video stream, or 0. FFmpeg's guess allows for two fields a frame."""
    rate = stream.guessed_rate or stream.average_rate
    return float(rate) if rate else 0.0


def _matrix(frame: Any) -> tuple[int, int, int, int]:
    """a, b, c, d of a frame's display matrix. Source: FFmpeg's ``libavutil/display.h``."""
    found = frame.side_data.get("DISPLAYMATRIX")
    packed = b"" if found is None else bytes(found)
    if len(packed) < _MATRIX.size:
        return _UNTURNED
    a, b, _, c, d, *_ = _MATRIX.unpack(packed[: _MATRIX.size])
    return a, b, c, d
