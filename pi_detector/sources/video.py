"""Video files: every frame, as fast as the reader takes them."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from pi_detector.config.settings import SourceSettings
from pi_detector.core.frame import Frame, ImageArray
from pi_detector.errors import (
    BadImageError,
    SourceLostError,
    SourceNotFoundError,
    SourcePermissionError,
)
from pi_detector.sources.ffmpeg_watch import watched
from pi_detector.sources.framing import FrameMaker, Moment
from pi_detector.sources.media import opencv_options
from pi_detector.util.memory import check_size
from pi_detector.util.uri import is_unicode

if TYPE_CHECKING:
    import cv2

log = logging.getLogger(__name__)

_END_TOLERANCE_S = 0.5


class VideoSource:
    """A video file. Frames carry the time at which they were read, or the file's own.

    Args:
        target: path of the file.
        settings: loop.
        starts_at: take the clocks from the file: the first frame is captured at this wall time,
            and the monotonic clock counts from the start of the file. None takes the machine's.
    """

    live = False

    def __init__(
        self, target: str, settings: SourceSettings, *, starts_at: datetime | None = None
    ) -> None:
        self._path = Path(target)
        self._loop = settings.loop
        self.name = self._path.name
        self._frames = FrameMaker(self.name)
        self._capture: cv2.VideoCapture | None = None
        self._ahead: tuple[ImageArray, Moment] | None = None
        self._count = 0
        self._position_s = 0.0
        self._starts_at = starts_at
        self._round_ns = 0  # where this round through the file began
        self._last_ns = 0

    def open(self, model_size: tuple[int, int] | None = None) -> None:  # noqa: ARG002
        """Open the file and decode its first frame. ``model_size`` is not used.

        Raises:
            SourceNotFoundError, SourcePermissionError: the file cannot be read.
            BadImageError: it holds no video that can be decoded.
        """
        self.close()
        import cv2

        # FFmpeg only: OpenCV's own AVI reader corrupts the heap on some damaged files.
        # Decoding on all cores would push the interpreter's threads aside.
        options = [cv2.CAP_PROP_N_THREADS, 1]
        with self._open_file() as file, opencv_options("file"), watched() as watch:
            self._capture = cv2.VideoCapture(self._path_for_opencv(file), cv2.CAP_FFMPEG, options)
        self._count = 0
        self._check_size(self._capture)
        self._ahead = self._decode()
        if self._ahead is None:
            self.close()
            if watch.playlist:
                raise BadImageError(
                    f"{self._path}: a playlist ({watch.playlist}), which names other files; give "
                    "the video itself"
                )
            raise BadImageError(
                f"{self._path}: no video that can be decoded; check it with 'ffprobe', or convert "
                "it to H.264 in MP4"
            )

    def read(self) -> Frame | None:
        """The next frame; None at the end, unless the file is looped."""
        if self._capture is None:
            raise SourceLostError(f"{self._path} is not open; open it first")
        decoded = self._ahead or self._decode()
        self._ahead = None
        if decoded is None:
            self._log_end()
            if not self._loop:
                return None
            self._round_ns = self._last_ns + self._frame_ns()
            self.open()
            decoded, self._ahead = self._ahead, None
        return None if decoded is None else self._frames.from_bgr(*decoded, path=str(self._path))

    def close(self) -> None:
        """Close the file."""
        if self._capture is not None:
            self._capture.release()
        self._capture = None
        self._ahead = None

    def _open_file(self) -> BinaryIO:
        try:
            return self._path.open("rb")
        except PermissionError as error:
            raise SourcePermissionError(
                f"no permission to read {self._path}; change it with 'chmod a+r'"
            ) from error
        except OSError as error:
            raise SourceNotFoundError(
                f"cannot read {self._path} ({error.strerror}); check the path"
            ) from error

    def _path_for_opencv(self, file: BinaryIO) -> str:
        """An absolute path, because FFmpeg takes what stands before a colon for a protocol."""
        path = str(self._path.resolve())
        return path if is_unicode(path) else f"/proc/self/fd/{file.fileno()}"

    def _check_size(self, capture: cv2.VideoCapture) -> None:
        import cv2

        size = [int(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)]
        try:
            check_size(*size)
        except BadImageError as error:
            self.close()
            raise BadImageError(f"{self._path}: {error}") from error

    def _decode(self) -> tuple[ImageArray, Moment] | None:
        import cv2

        assert self._capture is not None
        decoded, image = self._capture.read()
        if not decoded:
            return None
        self._count += 1
        self._position_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        return np.asarray(image, np.uint8), self._moment()

    def _moment(self) -> Moment:
        if self._starts_at is None:
            return Moment.now()
        ns = self._round_ns + round(self._position_s * 1e9)
        self._last_ns = max(ns, self._last_ns)  # some files tell a time twice, or go back a little
        utc = self._starts_at + timedelta(microseconds=self._last_ns // 1000)
        return Moment(self._last_ns, utc)

    def _frame_ns(self) -> int:
        """How long the last frame is shown."""
        import cv2

        assert self._capture is not None
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        return round(1e9 / fps) if fps > 0 else 0

    def _log_end(self) -> None:
        """Say where the file ended, loudly if it announced to be longer.

        Time decides: of a file with a varying frame rate the number of frames is only a guess.
        """
        import cv2

        assert self._capture is not None
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        announced_s = self._capture.get(cv2.CAP_PROP_FRAME_COUNT) / fps if fps > 0 else 0.0
        tolerance_s = max(_END_TOLERANCE_S, 2 / fps if fps > 0 else 0.0)
        if announced_s > self._position_s + tolerance_s:
            log.warning(
                "%s: ended after %d frames, at %.1f of %.1f s; the file is damaged or cut off",
                self._path,
                self._count,
                self._position_s,
                announced_s,
            )
        else:
            log.debug("%s: end after %d frames", self._path, self._count)
