"""An annotated video."""

from __future__ import annotations

import shutil
import statistics
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from pi_detector.core.frame import ImageArray
from pi_detector.core.records import Publication
from pi_detector.core.result import Result
from pi_detector.errors import SinkError
from pi_detector.sinks.draw import annotated
from pi_detector.sinks.files import prepare_folder, unwritable
from pi_detector.util.uri import is_unicode

if TYPE_CHECKING:
    import cv2

_CODECS = {".mp4": "mp4v", ".avi": "MJPG"}
_MEASURED_FRAMES = 5  # held in memory until the rate is known
_SLOWEST_FPS, _FASTEST_FPS = 1.0, 60.0
_LONGEST_STILL_S = 5.0  # a source that was gone for longer leaves a cut, not a still picture
_LEAST_FREE_BYTES = 8 * 1024 * 1024


class VideoSink:
    """Writes the annotated frames to a video file; the file appears when the sink is closed.

    Without a rate the sink measures that of the first frames, and from then on repeats or leaves
    out a frame where that keeps the video at the speed of life.

    Args:
        path: ``.mp4`` (MPEG-4) or ``.avi`` (Motion JPEG).
        fps: one frame of the video for each result, this many a second; None measures the rate.

    Raises:
        SinkError: another suffix.
    """

    name = "video"

    def __init__(self, path: str | Path, fps: float | None = None) -> None:
        path = Path(path)
        if path.suffix.lower() not in _CODECS:
            raise SinkError(f"{path}: unsupported video type; use {' or '.join(_CODECS)}")
        self.setup = (path, fps)
        self.lossless = fps is not None
        self._path = path
        self._aside = path.with_name(f".{path.stem}.part{path.suffix.lower()}")
        self._fps = fps
        self._held: list[tuple[int, ImageArray]] = []
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._rate = 0.0
        self._started_ns = 0
        self._written = 0

    def start(self) -> None:
        """Make the folder; a video whose file is gone begins again. Raises SinkError."""
        prepare_folder(self._path.parent)
        if self._writer is not None and not self._aside.exists():
            self._writer.release()
            self._writer = None
        if self._path.is_dir():
            raise SinkError(f"{self._path}: a folder; name a file for the video")
        if not is_unicode(str(self._path)):
            raise SinkError(
                f"{self._path}: the name is not UTF-8, as OpenCV requires; use another one"
            )

    def handle(self, item: Publication) -> bool:
        """Add a frame.

        Returns:
            Whether it went to the encoder; the first frames wait until the rate is known.

        Raises:
            SinkError: the disk is full, or the video cannot be written.
        """
        if not isinstance(item, Result):
            return False
        self._check_room()
        shot = (item.frame.captured_ns, annotated(item))
        if self._writer is not None:
            self._write(*shot)
            return True
        self._held.append(shot)
        if self._fps is not None or len(self._held) == _MEASURED_FRAMES:
            self._begin()
        return self._writer is not None

    def close(self) -> None:
        """Finish the video and give it its name. Raises SinkError."""
        if self._held:
            self._begin()
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        try:
            if not _plays(self._aside):
                self._aside.unlink(missing_ok=True)
                raise SinkError(
                    f"{self._path}: the video could not be finished; check that the disk is not "
                    "full"
                )
            self._aside.replace(self._path)
        except SinkError:
            raise
        except OSError as error:
            raise unwritable(self._path.parent, error) from error

    def _check_room(self) -> None:
        """The encoder reports nothing when the disk is full, so ask before."""
        try:
            free = shutil.disk_usage(self._path.parent).free
        except OSError as error:
            raise unwritable(self._path.parent, error) from error
        if free < _LEAST_FREE_BYTES:
            raise SinkError(f"{self._path}: the disk is full; free some space, or set another file")

    def _begin(self) -> None:
        import cv2

        held, self._held = self._held, []
        (self._started_ns, first), *_ = held
        self._rate = self._fps or _rate([at_ns for at_ns, _ in held])
        self._size = (first.shape[1], first.shape[0])
        codec = cv2.VideoWriter.fourcc(*_CODECS[self._aside.suffix])
        writer = cv2.VideoWriter(str(self._aside), codec, self._rate, self._size)
        if not writer.isOpened():
            raise SinkError(f"{self._path}: OpenCV cannot write this video; try another suffix")
        self._writer, self._written = writer, 0
        for at_ns, picture in held:
            self._write(at_ns, picture)

    def _write(self, at_ns: int, picture: ImageArray) -> None:
        import cv2

        assert self._writer is not None
        if (picture.shape[1], picture.shape[0]) != self._size:
            picture = cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA).astype("uint8")
        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        for _ in range(self._repeats(at_ns)):
            self._writer.write(bgr)
            self._written += 1

    def _repeats(self, at_ns: int) -> int:
        """How often a frame goes into the video, so that its time there is that of its capture."""
        if self._fps is not None:
            return 1
        due = round((at_ns - self._started_ns) / 1e9 * self._rate) + 1
        if due - self._written > _LONGEST_STILL_S * self._rate:
            self._started_ns = at_ns - round(self._written / self._rate * 1e9)
            return 1
        return max(0, due - self._written)


def _rate(times_ns: list[int]) -> float:
    """Rate of frames taken at these times, per second; the median, because the first are uneven."""
    intervals_s = [(later - earlier) / 1e9 for earlier, later in pairwise(times_ns)]
    interval_s = statistics.median(intervals_s) if intervals_s else 0.0
    rate = 1 / interval_s if interval_s > 0 else 10.0
    return round(min(_FASTEST_FPS, max(_SLOWEST_FPS, rate)), 1)


def _plays(path: Path) -> bool:
    """Whether a video has a frame that can be read back."""
    import cv2

    capture = cv2.VideoCapture(str(path))
    playable, _ = capture.read()
    capture.release()
    return bool(playable)
