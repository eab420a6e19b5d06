"""Video files: every frame, as fast as the reader processes them."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from pi_detector.config.settings import SourceSettings
from pi_detector.core.frame import Frame, ImageArray
from pi_detector.errors import (
    BadImageError,
    SourceLostError,
    SourceNotFoundError,
    SourcePermissionError,
)
from pi_detector.sources.base import SelfPaced
from pi_detector.sources.decoder import Decoder, FrameTimes, UndecodableError
from pi_detector.sources.ffmpeg_watch import watched
from pi_detector.sources.framing import FrameMaker, Moment
from pi_detector.sources.media import STDIN_PATH, opencv_options
from pi_detector.sources.video_decoders import decoder_type
from pi_detector.util.memory import check_size
from pi_detector.util.uri import is_unicode

log = logging.getLogger(__name__)

_END_TOLERANCE_S = 0.5
# Frames in a row without a time of their own, after which a file counts as one without times.
_UNTIMED = 3


class VideoSource(SelfPaced):
    """A video file. Frames carry the time at which they were read, or the file's own.

    Args:
        target: path of the file.
        settings: loop; fps, of a file whose frames have no times.
        starts_at: take the clocks from the file: the first frame is captured at this wall time,
            and the monotonic clock counts from the start of the file. None takes the machine's.
    """

    live = False

    def __init__(
        self, target: str, settings: SourceSettings, *, starts_at: datetime | None = None
    ) -> None:
        super().__init__()
        self._path = Path(target)
        self._loop = settings.loop
        self.name = self._path.name
        self._frames = FrameMaker(self.name)
        self._fps = settings.fps
        self._decoder: Decoder | None = None
        self._skipped = 0
        self._times = FrameTimes(0.0, self._fps)
        self._untimed_logged = False
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
        reason = "none of its frames can be decoded"
        # Before FFmpeg is listened to: PyAV brings a listener of its own.
        open_decoder = decoder_type()
        with self._open_file() as file, opencv_options("file"), watched() as watch:
            try:
                self._decoder = open_decoder(self._path_for_ffmpeg(file))
            except UndecodableError as error:
                reason = str(error)
        self._count = 0
        self._ahead = None
        self._pace.restart()
        if self._decoder is not None:
            self._check_size(self._decoder)
            self._times = FrameTimes(self._decoder.fps, self._fps)
            self._ahead = self._decode(self._decoder)
        if self._ahead is None:
            self.close()
            if watch.playlist:
                raise BadImageError(
                    f"{self._path}: a playlist ({watch.playlist}) of other files; use the video "
                    "itself"
                )
            raise BadImageError(
                f"{self._path}: cannot decode the video ({reason}); check it with 'ffprobe', "
                "or convert it to H.264 in MP4"
            )

    def read(self) -> Frame | None:
        """The next frame; None at the end, unless the file is looped."""
        if self._decoder is None:
            raise SourceLostError(f"{self._path}: not open; open it first")
        decoded = self._ahead or self._decode(self._decoder)
        self._ahead = None
        if decoded is None:
            self._log_end(self._decoder)
            if not self._loop:
                return None
            self._round_ns = self._last_ns + round(1e9 / self._times.fps)
            self.open()
            decoded, self._ahead = self._ahead, None
        if decoded is None:
            return None
        skipped, self._skipped = self._skipped, 0
        return self._frames.from_rgb(*decoded, path=str(self._path), skipped=skipped)

    def close(self) -> None:
        """Close the file."""
        if self._decoder is not None:
            self._decoder.close()
        self._decoder = None
        self._ahead = None

    def _open_file(self) -> BinaryIO:
        try:
            return self._path.open("rb")
        except PermissionError as error:
            raise SourcePermissionError(
                f"{self._path}: no permission to read it; grant it with 'chmod a+r'"
            ) from error
        except OSError as error:
            raise SourceNotFoundError(
                f"{self._path}: cannot be read ({error.strerror}); check the path"
            ) from error

    def _path_for_ffmpeg(self, file: BinaryIO) -> str:
        """An absolute path, because FFmpeg takes what stands before a colon for a protocol."""
        # Of standard input, whatever it is, the name alone leads to it.
        path = str(self._path if self._path == STDIN_PATH else self._path.resolve())
        return path if is_unicode(path) else f"/proc/self/fd/{file.fileno()}"

    def _check_size(self, decoder: Decoder) -> None:
        try:
            check_size(*decoder.size)
        except BadImageError as error:
            self.close()
            raise BadImageError(f"{self._path}: {error}") from error

    def _decode(self, decoder: Decoder) -> tuple[ImageArray, Moment] | None:
        decoded = decoder.read(self._is_due)
        return None if decoded is None else (decoded.image, self._moment())

    def _is_due(self, said_s: float | None) -> bool:
        self._count += 1
        self._position_s = self._times.next(said_s)
        is_due = self._pace.take(round(self._position_s * 1e9))
        self._skipped += not is_due
        return is_due

    def _moment(self) -> Moment:
        if self._starts_at is None:
            return Moment.now()
        if self._times.untimed == _UNTIMED and not self._untimed_logged:
            self._untimed_logged = True
            log.warning(
                "%s: frames have no timestamps; assuming %g frames per second (source.fps sets "
                "another rate)",
                self._path,
                self._times.fps,
            )
        self._last_ns = max(self._last_ns, self._round_ns + round(self._position_s * 1e9))
        utc = self._starts_at + timedelta(microseconds=self._last_ns // 1000)
        return Moment(self._last_ns, utc)

    def _log_end(self, decoder: Decoder) -> None:
        """Log the end of the file, as a warning if it announced a longer video.

        Time decides: with a varying frame rate the number of frames is only a guess.
        """
        tolerance_s = max(_END_TOLERANCE_S, 2 / self._times.fps)
        if decoder.length_s > self._position_s + tolerance_s:
            log.warning(
                "%s: ended after %d frames, at %.1f of %.1f s; the file is damaged or cut off",
                self._path,
                self._count,
                self._position_s,
                decoder.length_s,
            )
        else:
            log.debug("%s: end after %d frames", self._path, self._count)
