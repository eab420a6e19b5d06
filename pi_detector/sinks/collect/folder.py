"""The folder of collected frames: bounded in number and bytes, spread over the hours.

A frame is ``20261124T020304.123Z-000042-demo.jpg`` with ``.json`` beside it. Files of other names
are never deleted.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Literal

import msgspec

from pi_detector.core.records import UtcTime
from pi_detector.errors import SinkError
from pi_detector.sinks.collect.choosing import Reason
from pi_detector.sinks.files import prepare_folder, unwritable, write_whole
from pi_detector.sinks.recordings import confined
from pi_detector.util.whole_files import finished_name

PICTURE, NOTE = ".jpg", ".json"

_STEM = re.compile(r"\d{8}T\d{6}\.\d{3}Z-\d{6,}(-[\w.-]+)?", re.ASCII)
_HOUR = len("20261124T02")
_MOST_NOTE_BYTES = 256 * 1024


class Proposal(msgspec.Struct, frozen=True):
    """What the model detected: ``box_px`` is x1, y1, x2, y2 in pixels of the frame."""

    label: str
    class_id: int
    score: float
    box_px: tuple[float, float, float, float]


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a collected frame."""

    time: UtcTime
    source: str
    reason: Reason
    width: int
    height: int
    detections: tuple[Proposal, ...] = ()
    version: Literal[1] = 1


_NOTES = msgspec.json.Decoder(Note)


def stems_of(folder: Path) -> list[str]:
    """The frames of a folder that have both files, by the beginnings of their names, in order.

    Raises:
        SinkError: it cannot be read.
    """
    try:
        names = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise SinkError(
            f"{folder}: {error.strerror}; set collect.path, or name --folder"
        ) from error
    stems = (name.removesuffix(PICTURE) for name in names if name.endswith(PICTURE))
    return sorted(s for s in stems if _STEM.fullmatch(s) and f"{s}{NOTE}" in names)


def read_note(folder: Path, stem: str) -> Note | None:
    """The note of a frame; None where it is missing or damaged."""
    try:
        with confined.open_file(folder, f"{stem}{NOTE}") as file:
            return _NOTES.decode(file.read(_MOST_NOTE_BYTES))
    except (OSError, msgspec.MsgspecError, ValueError):
        return None


class Folder:
    """Collected frames on disk.

    Args:
        path: the folder; made where it does not exist.
        max_frames: most frames.
        max_bytes: most bytes of all.

    Raises:
        SinkError: it cannot be read or written.
    """

    def __init__(self, path: Path, max_frames: int, max_bytes: int) -> None:
        self._path = path
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self._hours: dict[str, list[str]] = defaultdict(list)
        self._sizes: dict[str, int] = {}
        names = prepare_folder(path)
        for name in names:
            finished = finished_name(name)
            if finished and _STEM.fullmatch(Path(finished).stem):  # cut off by a power failure
                self._unlink(name)
        for stem in sorted({n.removesuffix(PICTURE).removesuffix(NOTE) for n in names}):
            if _STEM.fullmatch(stem):
                self._note_size(stem)
        self._make_room()

    def __len__(self) -> int:
        return len(self._sizes)

    @property
    def total_bytes(self) -> int:
        """Bytes of all frames with their notes."""
        return sum(self._sizes.values())

    def add(self, stem: str, picture: bytes, note: Note) -> None:
        """Write a frame, and delete others where there are too many. Raises SinkError."""
        write_whole(self._path / f"{stem}{NOTE}", msgspec.json.encode(note) + b"\n")
        write_whole(self._path / f"{stem}{PICTURE}", picture)
        self._note_size(stem)
        self._make_room()

    def _note_size(self, stem: str) -> None:
        size = sum(confined.size_of(self._path, f"{stem}{s}") or 0 for s in (PICTURE, NOTE))
        if stem not in self._sizes:
            self._hours[stem[:_HOUR]].append(stem)
        self._sizes[stem] = size

    def _make_room(self) -> None:
        """Delete the oldest frame of the hour that has most, until the limits are met."""
        while self._sizes and (
            len(self._sizes) > self._max_frames or self.total_bytes > self._max_bytes
        ):
            hour = max(self._hours, key=lambda each: (len(self._hours[each]), each))
            stem = self._hours[hour].pop(0)
            if not self._hours[hour]:
                del self._hours[hour]
            del self._sizes[stem]
            for suffix in (PICTURE, NOTE):
                self._unlink(f"{stem}{suffix}")

    def _unlink(self, name: str) -> None:
        try:
            (self._path / name).unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(self._path, error) from error
