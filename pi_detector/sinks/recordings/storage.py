"""The disk work of the recordings: files, index and limits, in the right order."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from pi_detector.config.outputs import RecordingSettings
from pi_detector.errors import SinkError
from pi_detector.sinks.files import unwritable, write_whole
from pi_detector.sinks.recordings import confined
from pi_detector.sinks.recordings.catalogue import Catalogue
from pi_detector.sinks.recordings.layout import Entry, parent, write_sidecar
from pi_detector.sinks.recordings.reconcile import reconcile
from pi_detector.sinks.recordings.retention import Retention
from pi_detector.sinks.recordings.views import Picture, drawn

log = logging.getLogger(__name__)


class Storage:
    """The recordings of a folder, while this process records there.

    Puts right what the last run left, and tidies up.

    Args:
        root: the folder; made where it does not exist.
        settings: of the recordings.

    Raises:
        SinkError: the folder cannot be written.
        RecordingInUseError: another process records there.
    """

    def __init__(self, root: Path, settings: RecordingSettings) -> None:
        self._root = root
        self._durable = True
        self._catalogue = Catalogue(root)
        self._retention = Retention(self._catalogue, settings)
        try:
            self._reconcile()
            self._retention.tidy()
        except BaseException:
            self._catalogue.close()
            raise

    def next_number(self) -> int:
        """The number of the next event, in the order of recording."""
        return self._catalogue.index.next_number()

    def make_room(self) -> None:
        """See that a clip can be written. Raises SinkError."""
        self._catalogue.check_place()
        self._retention.make_room()
        self._retention.check_size()

    def tidy(self) -> None:
        """Delete what the limits ask for. Raises SinkError."""
        self._retention.tidy()

    def note(self, entry: Entry) -> None:
        """Write an event's sidecar, before there is anything else of it. Raises SinkError."""
        self._retention.make_room()
        # The end of an event that is in the index is what may make room.
        if self._retention.overfull and not self._catalogue.index.has(entry.path):
            self._retention.check_size()
        folder = parent(entry.path)
        try:
            confined.make_folder(self._root, folder)
        except OSError as error:
            raise unwritable(self._root / folder, error) from error
        write_sidecar(self._root, entry, durable=self._durable)

    def store(self, entry: Entry, picture: Picture | None) -> None:
        """Write an event's sidecar, its pictures, and then its row.

        Args:
            entry: names the pictures.
            picture: the best view of the event, where its pictures are to be written.

        Raises:
            SinkError: they cannot be written.
        """
        trouble = self._put_right()
        self.note(entry)
        if picture is not None:
            annotated, thumbnail = drawn(picture, entry.event)
            data = {"snapshot": annotated, "clean": picture.jpeg, "thumbnail": thumbnail}
            for media in entry.files:
                if media.kind in data:
                    write_whole(self._root / media.path, data[media.kind], durable=self._durable)
        self._catalogue.add(entry)
        self._retention.tidy()
        if trouble is not None:
            raise trouble

    def check(self) -> None:
        """See that folder and index are those that were opened, and whole.

        Raises:
            SinkError: they were not, or could not be opened again.
        """
        if (trouble := self._put_right()) is not None:
            raise trouble

    def hurry(self) -> None:
        """Wait no longer for the card at each file: ``sync`` does that once. From any thread.

        The process may end before all is on the card: what was handed to the kernel stays.
        """
        self._durable = False

    def sync(self) -> None:
        """Have the kernel write all that was handed to it to the card."""
        os.sync()

    def recover(self) -> None:
        """Continue after an error. Raises SinkError if that is still not possible."""
        self._catalogue.reopen()
        self.make_room()
        self._reconcile()

    def _put_right(self) -> SinkError | None:
        """Open folder and index again where they were replaced. Returns what was the matter.

        The events that wait to be stored are not lost to the error, which is reported anyway.
        """
        try:
            self._catalogue.check()
        except SinkError as trouble:
            self._catalogue.reopen()
            self._reconcile()
            return trouble
        return None

    def close(self) -> None:
        """Let another process record in the folder."""
        self._catalogue.close()

    def _reconcile(self) -> None:
        found = reconcile(self._catalogue)
        if found.salvaged or found.lost or found.indexed or found.dropped:
            log.info("recordings: %s", found)
