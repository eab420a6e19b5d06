"""Decoding by OpenCV's FFmpeg, for devices without PyAV."""

from __future__ import annotations

import logging

import numpy as np

from pi_detector.sources.decoder import (
    DecodedFrame,
    IsWanted,
    UndecodableError,
    always,
    opencv_faults,
)
from pi_detector.util.installation import how_to_install

log = logging.getLogger(__name__)


class CvDecoder:
    """A video, opened by OpenCV. See ``Decoder``.

    Args:
        path: of the file.

    Raises:
        UndecodableError: it holds no video that can be decoded.
    """

    def __init__(self, path: str) -> None:
        import cv2

        if faults := opencv_faults():
            log.warning(
                "OpenCV %s decodes this video, with a fault: %s; install PyAV 12.1 or later: %s",
                cv2.__version__,
                faults,
                how_to_install("clips"),
            )
        # FFmpeg only: OpenCV's own AVI reader corrupts the heap on some damaged files.
        # Decoding on all cores would push the interpreter's threads aside.
        self._capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        if not self._capture.isOpened():
            self._capture.release()
            raise UndecodableError("no video in it")
        wide, high = cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT
        self.size = (int(self._capture.get(wide)), int(self._capture.get(high)))
        self.fps = float(self._capture.get(cv2.CAP_PROP_FPS))
        frames = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.length_s = float(frames / self.fps) if self.fps > 0 else 0.0

    def read(self, is_wanted: IsWanted = always) -> DecodedFrame | None:
        """The next frame that can be decoded and is wanted; None at the end."""
        import cv2

        while self._capture.grab():
            time_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if not is_wanted(time_s):
                continue
            decoded, image = self._capture.retrieve()
            if not decoded:
                return None
            return DecodedFrame(
                np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8), time_s
            )
        return None

    def close(self) -> None:
        """Close the video."""
        self._capture.release()
