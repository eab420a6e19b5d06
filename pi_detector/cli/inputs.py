"""Read the files behind the PATHs of ``pi-detector detect`` as one source."""

from __future__ import annotations

import itertools
import logging
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pi_detector.errors import (
    BadImageError,
    PiDetectorError,
    SourceNotFoundError,
    SourcePermissionError,
    SourceStalledError,
)
from pi_detector.util.media import kind_of, list_folder
from pi_detector.util.uri import redact

if TYPE_CHECKING:
    from pi_detector.config.settings import SourceSettings
    from pi_detector.core.frame import Frame
    from pi_detector.sources.base import Source

logger = logging.getLogger(__name__)

# Errors of one file; the other files are still read.
_FAULTS = (BadImageError, SourceNotFoundError, SourcePermissionError, SourceStalledError)


class Inputs(NamedTuple):
    """The files behind the PATHs.

    Attributes:
        files: in the order of the paths, sorted within a folder; no file twice.
        unreadable: number of folder entries that cannot be read; each was logged as a warning.
    """

    files: list[Path]
    unreadable: int


def find_inputs(paths: Sequence[str]) -> Inputs:
    """Find the images and videos behind ``paths``.

    Args:
        paths: files, taken as they are, and folders, searched with their subfolders: by suffix, and
            by content if the suffix is unknown.

    Raises:
        SourceNotFoundError: a path does not exist, or nothing was found.
        SourcePermissionError: a folder, or everything in it, is not readable.
    """
    found: list[Path] = []
    faults: list[OSError] = []
    for text in paths:
        path = Path(text)
        try:
            if stat.S_ISDIR(path.stat().st_mode):
                listing = list_folder(path, frozenset({"image", "video"}))
                found += listing.files
                faults += [error for _, error in listing.faulty]
            else:
                found.append(path)
        except PermissionError as error:
            raise SourcePermissionError(
                f"{redact(text)}: no permission to read it; grant it with 'chmod a+rX'"
            ) from error
        except OSError as error:
            raise SourceNotFoundError(
                f"{redact(text)}: no such file or folder; for a camera or stream use "
                "'pi-detector run --source URI'"
            ) from error
    if not found and faults and all(isinstance(error, PermissionError) for error in faults):
        raise SourcePermissionError(
            f"{', '.join(map(redact, paths))}: no permission to read its content; grant it "
            "with 'chmod -R a+rX'"
        )
    if not found:
        raise SourceNotFoundError(
            f"{', '.join(map(redact, paths))}: no images or videos found; check the path"
        )
    return Inputs(list(dict.fromkeys(found)), len(faults))


def is_video(name: str | Path) -> bool:
    """Whether a file is a video; the decoder reports a file that cannot be read."""
    try:
        return kind_of(Path(name)) == "video"
    except OSError:
        return False


class FileSource:
    """Reads images and videos one after the other, and skips those that cannot be decoded.

    Videos are decoded in a separate process, see ``source.isolation``; the rest of a video that
    crashes or hangs it is skipped too.

    Attributes:
        skipped: number of files skipped so far; each was logged as a warning.
    """

    name = "files"
    live = False

    def __init__(self, paths: Sequence[Path], settings: SourceSettings) -> None:
        """Create the source.

        Args:
            paths: the files of ``find_inputs``.
            settings: settings for the sources of the files.
        """
        self.skipped = 0
        self._paths = paths
        import msgspec

        # Files are upright; what the settings say of a camera's mounting is not for them.
        self._settings = msgspec.structs.replace(
            settings,
            rotate=0,
            hflip=False,
            vflip=False,
            crop=None,
            controls={},
            pixel_format="",
            sensor_mode=(),
            tuning_file="",
        )
        self._parts: Iterator[Source] = iter(())
        self._part: Source | None = None
        self._rate_fps: float | None = None
        self._pictures = False
        self._delivered = False
        self._interrupted = False
        self._error: PiDetectorError | None = None

    def open(self, model_size: tuple[int, int] | None = None) -> None:  # noqa: ARG002
        """Begin with the first file. ``model_size`` is not used."""
        self.close()
        self._parts = self._make_parts()

    def read(self) -> Frame | None:
        """Return the next image or video frame; None after the last.

        Raises:
            BadImageError, SourceStalledError, SourceNotFoundError, SourcePermissionError: none of
                the files could be read or decoded.
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

    def limit_rate(self, rate_fps: float | None) -> bool:
        """Read at most so many frames per second of a video, and all pictures. Before ``open``."""
        self._rate_fps = rate_fps
        return True

    def interrupt(self) -> None:
        """End ``read`` at once, now and in future. Safe to call from any thread."""
        from pi_detector.sources.base import Interruptible

        self._interrupted = True
        part = self._part
        if isinstance(part, Interruptible):
            part.interrupt()

    def close(self) -> None:
        """Close the current file."""
        if self._part is not None:
            self._part.close()
        self._part = None

    def _read_part(self, part: Source) -> Frame | None:
        try:
            return part.read()
        except _FAULTS as error:
            self._error = error
            if not self._pictures:  # their own source logged and counted these
                self._pass_over(error)
            return None

    def _pass_over(self, error: PiDetectorError) -> None:
        logger.warning("%s", error)
        self.skipped += 1
        self._error = error

    def _make_parts(self) -> Iterator[Source]:
        """Open sources in the order of the files: one for a run of images, one for a video."""
        from msgspec.structs import replace

        from pi_detector.sources.base import limit_rate
        from pi_detector.sources.images import ImagesSource
        from pi_detector.sources.registry import make_source

        for videos, paths in itertools.groupby(self._paths, is_video):
            self._pictures = not videos
            if not videos:
                images = ImagesSource(list(paths), self._settings)
                images.open()
                yield images
                self.skipped += images.skipped
                continue
            for path in paths:
                video = make_source(replace(self._settings, uri=f"file:{path}"))
                limit_rate(video, self._rate_fps)
                self._part = video  # ended by ``interrupt``
                if self._interrupted:
                    return
                try:
                    video.open()
                except _FAULTS as error:
                    self._pass_over(error)
                    continue
                yield video
