"""Annotated images in a folder."""

from __future__ import annotations

import re
from collections import deque
from datetime import UTC
from pathlib import Path

from pi_detector.core.frame import Frame
from pi_detector.core.records import Publication
from pi_detector.core.result import Result
from pi_detector.sinks.draw import annotated
from pi_detector.sinks.files import prepare_folder, unwritable, write_jpeg
from pi_detector.util.media import IMAGE_SUFFIXES
from pi_detector.util.whole_files import finished_name

_OURS = re.compile(r"\d{8}T\d{6}\.\d{3}Z-\d{6,}(-[\w.-]+)?\.jpg", re.ASCII)
_LONGEST_NAME = 40


class SnapshotSink:
    """Keeps the latest annotated images of frames with detections.

    Files are named after the time in UTC, the frame's number and the source:
    ``20261124T020304.123Z-000042-demo.jpg``. Files with other names are never deleted.

    Args:
        folder: created if it does not exist.
        interval_s: shortest time between two images, by the frames' monotonic clock.
        keep: images kept in the folder; the oldest are deleted.
        width: largest width of the images in pixels; 0 = the frame's width.
    """

    name = "snapshots"
    lossless = False

    def __init__(
        self, folder: str | Path, *, interval_s: float = 1.0, keep: int = 1000, width: int = 0
    ) -> None:
        self.setup = (folder, interval_s, keep, width)
        self._folder = Path(folder)
        self._interval_ns = round(interval_s * 1e9)
        self._keep = keep
        self._width = width
        self._next_ns = 0
        self._kept: deque[str] = deque()

    def start(self) -> None:
        """Make the folder, and find the pictures of earlier runs. Raises SinkError."""
        names = prepare_folder(self._folder)
        self._kept = deque(name for name in names if _OURS.fullmatch(name))
        for name in names:
            finished = finished_name(name)
            if finished and _OURS.fullmatch(finished):  # cut off by a power failure
                self._delete(name)

    def handle(self, item: Publication) -> bool:
        """Write the picture of a frame with detections, unless the last was too recent.

        Raises:
            SinkError: the picture cannot be written; the next may, once there is room again.
        """
        if not isinstance(item, Result) or not len(item.detections):
            return False
        frame = item.frame
        if frame.captured_ns < self._next_ns:
            return False
        self._next_ns = frame.captured_ns + self._interval_ns
        name = snapshot_name(frame)
        write_jpeg(self._folder / name, annotated(item, self._width))
        # Order of writing, not of names: the wall clock of a Pi may jump back.
        if name not in self._kept:
            self._kept.append(name)
        while len(self._kept) > self._keep:
            self._delete(self._kept.popleft())
        return True

    def close(self) -> None:
        """Do nothing: each picture was complete when it was written."""

    def _delete(self, name: str) -> None:
        try:
            (self._folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(self._folder, error) from error


def snapshot_name(frame: Frame) -> str:
    """The file name of a frame's picture; names sort by time."""
    at = frame.captured_at.astimezone(UTC)
    stamp = f"{at:%Y%m%dT%H%M%S}.{at.microsecond // 1000:03d}Z"
    source = re.sub(r"[^A-Za-z0-9.-]+", "_", frame.source).strip("_.-")[:_LONGEST_NAME]
    return f"{stamp}-{frame.sequence:06d}{f'-{source}' if source else ''}.jpg"


class AnnotatedImageSink:
    """Writes an annotated picture of every frame, found or not, to a folder.

    A picture is named after the file that its frame was read from, else after the frame's number.
    A name that is taken, by an earlier picture or by a file that was there before, gets ``-2``,
    ``-3``...: nothing is ever overwritten, the input least of all. The frames of a video are named
    after the video and their number.

    Args:
        folder: made where it does not exist.
    """

    name = "images"
    lossless = True

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._taken: set[str] = set()
        self._last: dict[str, int] = {}

    def start(self) -> None:
        """Make the folder, and see what is in it. Raises SinkError."""
        self._taken = set(prepare_folder(self._folder))

    def handle(self, item: Publication) -> bool:
        """Write one picture. Raises SinkError."""
        if not isinstance(item, Result):
            return False
        write_jpeg(self._folder / self._free_name(item.frame), annotated(item))
        return True

    def close(self) -> None:
        """Do nothing: each picture was complete when it was written."""

    def _free_name(self, frame: Frame) -> str:
        number = f"{frame.sequence:06d}"
        file = Path(frame.path or "")
        if file.suffix.lower() in IMAGE_SUFFIXES:
            stem = file.stem
        else:
            stem = f"{file.stem}-{number}" if file.stem else number
        name = f"{stem}.jpg"
        while name in self._taken:
            self._last[stem] = self._last.get(stem, 1) + 1
            name = f"{stem}-{self._last[stem]}.jpg"
        self._taken.add(name)
        return name
