"""The clip of an event, which is finished a while after the event."""

from __future__ import annotations

import logging
from pathlib import Path

from pi_detector.core.records import EventRecord
from pi_detector.sinks.notify.message import Note
from pi_detector.sinks.recordings import confined
from pi_detector.sinks.recordings.layout import day_folder, read_sidecar, safe_stem

log = logging.getLogger(__name__)

_LOOK_S = 0.5
_LONGEST_WAIT_S = 120.0
"""For how long a message waits for its clip, which others in the picture may make longer."""


class Clips:
    """Finds clips in the folder of the recordings, for messages of kind ``end``.

    Args:
        folder: of the recordings.
        most_bytes: of a clip; a larger one is not sent.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._most_bytes = most_bytes

    def left_s(self, note: Note) -> float:
        """In how long it is to be asked again whether the clip is finished; 0 where it is.

        It is, too, where there is none, and where it takes too long.
        """
        if note.when != "end" or note.age_s() > _LONGEST_WAIT_S:
            return 0.0
        entry = read_sidecar(self._folder, _path(note.event))
        return _LOOK_S if entry is not None and not entry.complete else 0.0

    def of(self, event: EventRecord) -> bytes | None:
        """The clip of an event; None where there is none that can be sent."""
        entry = read_sidecar(self._folder, _path(event))
        media = next((each for each in entry.files if each.kind == "clip"), None) if entry else None
        if media is None:
            return None
        try:
            with confined.open_file(self._folder, media.path) as file:
                data = file.read(self._most_bytes + 1)
        except OSError as error:
            log.warning("notify: a message goes without its clip: %s", error.strerror)
            return None
        if len(data) > self._most_bytes:
            log.info("notify: a message goes without its clip, which is larger than clip_mb")
            return None
        return data


def _path(event: EventRecord) -> str:
    return f"{day_folder(event.started)}/{safe_stem(event.id)}"
