"""How recordings lie on the disk: ``YYYY/MM/DD/<event>.mp4``, ``.jpg`` ... and ``.json``.

The ``.json`` file of an event, its sidecar, holds all that is known of it: the index can be made
from the sidecars alone. It is written when the event begins, before any other file of the event,
and names the files to come; so each file of a recording has a sidecar that knows it, whenever the
power goes. A file ``.keep`` beside it protects the event.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Literal

import msgspec

from pi_detector.core.records import EventRecord, Seconds, UtcTime
from pi_detector.sinks.files import output_path, sync_folder, write_whole

INDEX_NAME = "index.sqlite"
CLIP, SNAPSHOT, CLEAN, THUMBNAIL = ".mp4", ".jpg", ".clean.jpg", ".thumb.jpg"
SIDECAR, KEEP = ".json", ".keep"

_LONGEST_STEM = 100
_MOST_SIDECAR_BYTES = 256 * 1024
_STEM = r"\d{4}/\d{2}/\d{2}/[A-Za-z0-9][A-Za-z0-9_-]*"
_EVENT_PATH = re.compile(_STEM, re.ASCII)
_MEDIA_PATH = re.compile(rf"{_STEM}(\.\d{{1,6}})?\.(mp4|jpg|clean\.jpg|thumb\.jpg)", re.ASCII)


class Media(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file of a recording: where, what, and of a clip its time.

    ``path`` is relative to the folder of the recordings. ``started`` and ``duration_s`` are those
    of a clip; ``duration_s`` is absent while it is recorded. Several events may share a clip.
    """

    path: str
    kind: Literal["clip", "snapshot", "clean", "thumbnail"]
    started: UtcTime | None = None
    duration_s: Seconds | None = None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What a sidecar says: the latest record of an event, and its files.

    ``number`` counts the events in the order of their recording, whatever the wall clock did.
    ``complete`` is false while the event or one of its clips goes on. ``interrupted`` tells that
    the recording ended without the end of the event, as in a power cut.
    """

    event: EventRecord
    number: int
    path: str
    files: tuple[Media, ...] = ()
    complete: bool = False
    interrupted: bool = False
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


def recordings_folder(path: str, environ: Mapping[str, str]) -> Path:
    """The folder that ``recording.path`` means.

    Args:
        path: the setting; empty takes the service's state folder, else the user's data folder.
        environ: environment variables.

    Raises:
        SinkError: it names a home folder that does not exist.
    """
    if path:
        return output_path(path)
    if state := environ.get("STATE_DIRECTORY"):
        return Path(state.split(":")[0], "recordings")
    base = environ.get("XDG_DATA_HOME") or "~/.local/share"
    return output_path(base) / "pi-detector" / "recordings"


def write_sidecar(root: Path, entry: Entry) -> None:
    """Write the sidecar of an event, durably. Raises SinkError."""
    path = root / f"{entry.path}{SIDECAR}"
    write_whole(path, msgspec.json.encode(entry) + b"\n", durable=True)
    sync_folder(path.parent)


def read_sidecar(root: Path, path: str) -> Entry | None:
    """The entry of an event, or None where its sidecar is missing, damaged or not to be trusted.

    Args:
        root: the folder of the recordings.
        path: of the event, relative to it.
    """
    try:
        with (root / f"{path}{SIDECAR}").open("rb") as file:
            entry = ENTRIES.decode(file.read(_MOST_SIDECAR_BYTES))
    except (OSError, msgspec.MsgspecError):
        return None
    trusted = entry.path == path and all(is_media_path(media.path) for media in entry.files)
    return entry if trusted else None


def parent(path: str) -> str:
    """The folder of a path that is relative to that of the recordings."""
    return str(PurePosixPath(path).parent)
