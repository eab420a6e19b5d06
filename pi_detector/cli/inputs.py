"""The files behind the PATHs of ``pi-detector detect``, read as one source."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pi_detector.errors import (
    BadImageError,
    PiDetectorError,
    SourceNotFoundError,
    SourceStalledError,
)
from pi_detector.util.uri import redact

if TYPE_CHECKING:
    from pi_detector.config.settings import SourceSettings
    from pi_detector.core.frame import Frame
    from pi_detector.sources.base import Source

logger = logging.getLogger(__name__)

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
VIDEO_SUFFIXES = frozenset(
    {".avi", ".h264", ".m4v", ".mkv", ".mjpeg", ".mjpg", ".mov", ".mp4", ".ts", ".webm"}
)


def find_inputs(paths: Sequence[str]) -> list[Path]:
    """The pictures and videos that ``paths`` name.

    Args:
        paths: files, taken as they are, and folders, searched with their subfolders by suffix.

    Returns:
        Files in the order of ``paths``, those of a folder sorted; none twice.

    Raises:
        SourceNotFoundError: a path does not exist, or nothing was found.
    """
    found: list[Path] = []
    for text in paths:
        path = Path(text)
        if path.is_dir():
            known = IMAGE_SUFFIXES | VIDEO_SUFFIXES
            found += sorted(p for p in path.rglob("*") if p.suffix.lower() in known and p.is_file())
        elif path.exists():
            found.append(path)
        else:
            raise SourceNotFoundError(
                f"{redact(text)}: no such file or folder; for a camera or stream use "
                "'pi-detector run --source URI'"
            )
    if not found:
        raise SourceNotFoundError(
            f"{', '.join(map(redact, paths))}: no pictures or videos in there"
        )
    return list(dict.fromkeys(found))


def is_video(path: str | Path) -> bool:
    """Whether the name is a video's."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


class FileSource:
    """Pictures and videos one after the other; one that cannot be decoded is passed over.

    Videos are decoded in a process of their own, see ``source.isolation``; the rest of one that
    crashes or hangs it is passed over as well.

    Attributes:
        skipped: files passed over so far; each was named in a warning.
    """

    name = "files"
    live = False

    def __init__(self, paths: Sequence[Path], settings: SourceSettings) -> None:
        """Make the source.

        Args:
            paths: of ``find_inputs``.
            settings: for the sources of the files.
        """
        self.skipped = 0
        self._paths = paths
        self._settings = settings
        self._parts: Iterator[Source] = iter(())
        self._part: Source | None = None
        self._delivered = False
        self._interrupted = False
        self._error: PiDetectorError | None = None

    def open(self, model_size: tuple[int, int] | None = None) -> None:  # noqa: ARG002
        """Begin at the first file. ``model_size`` is not used."""
        self.close()
        self._parts = self._make_parts()

    def read(self) -> Frame | None:
        """The next picture, or frame of a video; None after the last.

        Raises:
            BadImageError, SourceStalledError: none of the files could be decoded.
            SourceNotFoundError: a file went away since it was found.
        """
        while True:
            if self._part is None:
                self._part = next(self._parts, None)
            if self._part is None:
                if self._error is not None and not self._delivered:
                    raise self._error
                return None
            frame = self._read_part(self._part)
            if frame is not None:
                self._delivered = True
                return frame
            self.close()
            if self._interrupted:
                return None

    def interrupt(self) -> None:
        """End ``read`` at once, now and in future. May be called from any thread."""
        from pi_detector.sources.base import Interruptible

        self._interrupted = True
        part = self._part
        if isinstance(part, Interruptible):
            part.interrupt()

    def close(self) -> None:
        """Close the file that is being read."""
        if self._part is not None:
            self._part.close()
        self._part = None

    def _read_part(self, part: Source) -> Frame | None:
        try:
            return part.read()
        except (BadImageError, SourceStalledError) as error:
            self._error = error
            if is_video(part.name):  # pictures were named and counted by their source
                self._pass_over(error)
            return None

    def _pass_over(self, error: PiDetectorError) -> None:
        logger.warning("%s", error)
        self.skipped += 1
        self._error = error

    def _make_parts(self) -> Iterator[Source]:
        """Open sources in the order of the files: one for a row of pictures, one for a video."""
        import msgspec

        from pi_detector.sources.images import ImagesSource
        from pi_detector.sources.registry import make_source

        for videos, paths in itertools.groupby(self._paths, is_video):
            if not videos:
                images = ImagesSource(list(paths), self._settings)
                images.open()
                yield images
                self.skipped += images.skipped
                continue
            for path in paths:
                video = make_source(msgspec.structs.replace(self._settings, uri=f"file:{path}"))
                self._part = video  # what ``interrupt`` ends
                if self._interrupted:
                    return
                try:
                    video.open()
                except (BadImageError, SourceStalledError) as error:
                    self._pass_over(error)
                    continue
                yield video
