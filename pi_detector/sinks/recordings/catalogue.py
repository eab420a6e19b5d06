"""The folder of the recordings and its index, kept together."""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path

from pi_detector.errors import RecordingInUseError, SinkError
from pi_detector.sinks.files import prepare_folder, unwritable
from pi_detector.sinks.recordings import confined
from pi_detector.sinks.recordings.index import Index, IndexDamagedError, IndexFullError
from pi_detector.sinks.recordings.layout import (
    INDEX_NAME,
    KEEP,
    MARK,
    SIDECAR,
    Entry,
    is_event_path,
    is_media_path,
    parent,
)
from pi_detector.sinks.recordings.marks import Mark, remove_mark, write_mark

log = logging.getLogger(__name__)

_LOCK_NAME = ".lock"
_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_DAMAGED_NAME = "index.damaged.sqlite"


class Catalogue:
    """What is recorded in a folder. One process at a time may have it to record.

    Args:
        root: the folder; made where it does not exist.

    Raises:
        RecordingInUseError: another process records there.
        SinkError: it cannot be written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock: int | None = None
        self._open()

    def _open(self) -> None:
        prepare_folder(self.root)
        self._lock = _locked(self.root)
        try:
            self._place = _place_of(self.root)
            self.index = self._opened()
        except BaseException:
            self._unlock()
            raise

    def reopen(self) -> None:
        """Take the folder that is there now, and open its index; a damaged one is set aside.

        Raises:
            RecordingInUseError: another process records there.
            SinkError: it cannot be written.
        """
        self.close()
        self._open()

    def close(self) -> None:
        """Close the index, and let another process record."""
        self.index.close()
        self._unlock()

    def check_place(self) -> None:
        """See that the folder is the one that was opened.

        Raises:
            SinkError: another has taken its place, or it is gone.
        """
        if _place_of(self.root) != self._place:
            raise SinkError(
                f"{self.root}: the folder was replaced; recording continues in the new one, with a "
                "new index; check that the right disk is mounted"
            )

    def check(self) -> None:
        """See that folder and index are those that were opened, and undamaged.

        Raises:
            SinkError: they are not.
        """
        self.check_place()
        self.index.check()

    def add(self, entry: Entry, keep: bool | None = None) -> None:
        """Write the row of an event whose sidecar is in place. Raises SinkError."""
        found = {media.path: confined.size_of(self.root, media.path) for media in entry.files}
        sizes = {path: size for path, size in found.items() if size is not None}
        self.index.put(entry, sizes, keep)

    def delete(self, path: str) -> None:
        """Delete an event and its files. Raises SinkError."""
        delete_event(self.root, self.index, path)

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _opened(self) -> Index:
        try:
            return Index(self.root, write=True, create=True)
        except IndexDamagedError as error:
            log.warning("%s; set aside as %s", error, _DAMAGED_NAME)
        path = self.root / INDEX_NAME
        try:
            path.replace(self.root / _DAMAGED_NAME)
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(self.root, error) from error
        return Index(self.root, write=True, create=True)


def delete_event(root: Path, index: Index, path: str) -> None:
    """Delete an event: its row first, so that no reader is shown files that are gone.

    Files that another event has stay. Only paths that this program makes are ever deleted.

    Raises:
        SinkError: the index or a file cannot be changed.
    """
    try:
        orphans = index.delete(path)
    except IndexFullError:  # not even room for that: the files first, to make it
        _unlink(root, [name for name in index.only_of(path) if is_media_path(name)])
        orphans = index.delete(path)
    paths = [name for name in orphans if is_media_path(name)]
    if is_event_path(path):
        paths += [
            f"{path}{KEEP}",
            f"{path}{MARK}",
            f"{path}{SIDECAR}",
        ]  # the sidecar last: it knows the others
    _unlink(root, paths)
    for folder in {parent(name) for name in paths}:
        confined.remove_empty(root, folder)


def keep_event(root: Path, index: Index, path: str, keep: bool) -> None:
    """Protect an event from being deleted by itself, or no longer. Raises SinkError."""
    marker = f"{path}{KEEP}"
    try:
        if keep:
            confined.touch(root, marker)
        else:
            confined.unlink(root, marker)
    except OSError as error:
        raise unwritable((root / marker).parent, error) from error
    index.keep(path, keep)


def mark_event(root: Path, index: Index, path: str, mark: Mark | None) -> None:
    """Say of an event whether it is right, and protect it; None takes back what was said.

    What an owner took the time to judge is worth more than what nobody looked at: it is not
    deleted by itself. Raises SinkError.
    """
    if mark is None:
        remove_mark(root, path)
    else:
        write_mark(root, path, mark)
    keep_event(root, index, path, mark is not None)


def _place_of(root: Path) -> tuple[int, int]:
    """Which folder a path leads to: its device and its number there. Raises SinkError."""
    try:
        found = root.stat()
    except OSError as error:
        raise unwritable(root, error) from error
    return found.st_dev, found.st_ino


def _locked(root: Path) -> int:
    try:
        handle = os.open(root / _LOCK_NAME, _LOCK_FLAGS, 0o640)
    except OSError as error:
        raise unwritable(root, error) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise RecordingInUseError(
            f"{root}: another pi-detector records there; stop it, or set another recording.path"
        ) from error
    return handle


def _unlink(root: Path, paths: list[str]) -> None:
    try:
        for path in paths:
            confined.unlink(root, path)
    except OSError as error:
        raise unwritable(root, error) from error
