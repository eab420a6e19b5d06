"""Files of the recordings: ``YYYY/MM/DD/<event>.mp4``, ``.jpg`` ... and ``.json``.

The ``.json`` file of an event, its sidecar, contains all its data: the index can be rebuilt from
the sidecars alone. It is written when the event begins, before any other file of the event, and
names the files to come; so each file of a recording has a sidecar that names it, whenever the power
fails. A file ``.keep`` beside it protects the event, ``.mark`` has what its owner says of it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import msgspec

from pi_detector.core.records import EventRecord, Seconds, Transition, UtcTime
from pi_detector.sinks.files import write_whole
from pi_detector.sinks.recordings import confined
from pi_detector.sinks.recordings.track import TrackPoint
from pi_detector.util.whole_files import sync_folder

INDEX_NAME = "index.sqlite"
CLIP, SNAPSHOT, CLEAN, THUMBNAIL = ".mp4", ".jpg", ".clean.jpg", ".thumb.jpg"
SIDECAR, KEEP, MARK = ".json", ".keep", ".mark"

MOST_ENTRY_BYTES = 256 * 1024
"""Of a sidecar, or of what the index holds of it."""

_LONGEST_STEM = 100
_MOST_NUMBER = 2**53
_YEARS = range(1970, 9000)  # that every time zone can tell
_MOST_DURATION_S = 1e9
_STEM = r"\d{4}/\d{2}/\d{2}/[A-Za-z0-9][A-Za-z0-9_-]*"
_EVENT_PATH = re.compile(_STEM, re.ASCII)
_MEDIA_PATH = re.compile(rf"{_STEM}(\.\d{{1,6}})?\.(mp4|jpg|clean\.jpg|thumb\.jpg)", re.ASCII)


class Media(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file of a recording: where, what, and of a clip its time.

    ``path`` is relative to the folder of the recordings. ``started`` and ``duration_s`` are those
    of a clip; ``duration_s`` is absent while it is recorded. Several events may share a clip:
    ``offset_s`` is where in it the event begins, absent in what older versions recorded.
    """

    path: str
    kind: Literal["clip", "snapshot", "clean", "thumbnail"]
    started: UtcTime | None = None
    duration_s: Seconds | None = None
    offset_s: Seconds | None = None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What a sidecar says: the latest record of an event, and its files.

    ``number`` counts the events in the order of their recording, whatever the wall clock did.
    ``complete`` is false while the event or one of its clips is ongoing. ``interrupted`` means that
    the recording ended without the end of the event, as in a power cut. ``track`` is where the
    object went; ``transitions`` is what it did at zones and lines. Older versions wrote neither.
    """

    event: EventRecord
    number: Annotated[int, msgspec.Meta(ge=0, le=_MOST_NUMBER)]
    path: str
    files: tuple[Media, ...] = ()
    complete: bool = False
    interrupted: bool = False
    track: tuple[TrackPoint, ...] = ()
    transitions: tuple[Transition, ...] = ()
    version: Literal[1] = 1


# msgspec makes its table of a type at the first use, and crashes where two threads do so at once:
# here it is made while the module is imported.
ENTRIES = msgspec.json.Decoder(Entry)


def day_folder(at: datetime) -> str:
    """The folder of an event that started then, relative to that of the recordings."""
    return f"{at.astimezone(UTC):%Y/%m/%d}"


def safe_stem(event_id: str) -> str:
    """An event's id as the start of a file name: no separators, no dots, not too long."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", event_id)[:_LONGEST_STEM].lstrip("_-")
    return stem or "event"


def is_event_path(text: str) -> bool:
    """Whether a text is the path of an event as this module makes them, inside the folder."""
    return _EVENT_PATH.fullmatch(text) is not None


def is_media_path(text: str) -> bool:
    """Whether a text is the path of a media file as this module makes them, inside the folder."""
    return _MEDIA_PATH.fullmatch(text) is not None


def write_sidecar(root: Path, entry: Entry, *, durable: bool = True) -> None:
    """Write the sidecar of an event. Raises SinkError."""
    path = root / f"{entry.path}{SIDECAR}"
    write_whole(path, msgspec.json.encode(entry) + b"\n", durable=durable)
    if durable:
        sync_folder(path.parent)


def read_sidecar(root: Path, path: str) -> Entry | None:
    """The entry of an event, or None where its sidecar is missing, damaged or not to be trusted.

    Args:
        root: the folder of the recordings.
        path: of the event, relative to it.
    """
    try:
        with confined.open_file(root, f"{path}{SIDECAR}") as file:
            return trusted_entry(file.read(MOST_ENTRY_BYTES), path)
    except OSError:
        return None


def trusted_entry(encoded: object, path: object) -> Entry | None:
    """The entry of an event as a sidecar or the index holds it; None where it is not to be trusted.

    The folder may be anybody's: an entry is taken for what this program wrote only where it is
    that of its place, and names nothing but media files inside the folder.

    Args:
        encoded: what is claimed to be its JSON.
        path: of the event, relative to the folder of the recordings.
    """
    if not isinstance(encoded, bytes) or not isinstance(path, str) or not is_event_path(path):
        return None
    try:
        entry = ENTRIES.decode(encoded)
    except (msgspec.MsgspecError, ValueError):  # the latter of bytes that are no UTF-8
        return None
    event = entry.event
    times = (
        *(event.started, event.last_seen, event.time),
        *(media.started for media in entry.files),
        *(transition.time for transition in entry.transitions),
    )
    trusted = (
        entry.path == path
        and all(is_media_path(media.path) for media in entry.files)
        and all(at is None or at.year in _YEARS for at in times)
        and event.duration_s <= _MOST_DURATION_S
    )
    return entry if trusted else None


def parent(path: str) -> str:
    """The folder of a path that is relative to that of the recordings."""
    return str(PurePosixPath(path).parent)
