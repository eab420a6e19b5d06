"""The queue of messages for one service, on disk."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

from pi_detector.sinks.outbox import Entry, Outbox
from pi_detector.sinks.store import Store

_READ_AT_ONCE = 8
"""Notes have pictures in them, so that more would take memory for nothing."""

_queues: dict[Path, Queue] = {}
_lock = threading.Lock()


def queue_at(path: Path) -> Queue:
    """The queue in a file: one for the whole process, so that deliveries may share it."""
    with _lock:
        return _queues.setdefault(path, Queue(path))


class Queue:
    """Notes that wait, on disk from the moment at which they are added. For any thread.

    A reload starts the new delivery before the old one ends, and an old one may hang in its service
    for longer than the reload waits: both add notes, one at a time takes them.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._store = Store(
            path,
            0,
            what="messages",
            own="give each its own state folder ($STATE_DIRECTORY)",
            elsewhere="set $STATE_DIRECTORY to another folder",
        )
        self._outbox = Outbox(self._store, batch=_READ_AT_ONCE)
        self._lock = threading.RLock()
        self._users = 0
        self._told_lost = 0

    def enter(self, most_bytes: int) -> None:
        """Begin to use it.

        Args:
            most_bytes: of the file; beyond, the oldest notes are dropped.
        """
        with self._lock:
            self._users += 1
            self._store.most_bytes = most_bytes

    def leave(self) -> None:
        """End to use it; the last user closes the file. Raises SinkError."""
        with self._lock:
            self._users -= 1
            if not self._users:
                self._outbox.close()

    @property
    def waiting(self) -> int:
        """Notes that are not finished."""
        with self._lock:
            return self._outbox.waiting

    def open(self) -> None:
        """Take over what an earlier run left. Raises SinkError."""
        with self._lock:
            self._outbox.open()
            self._outbox.store()

    def add(self, payload: bytes) -> None:
        """Add a note. Raises SinkError where it is kept in memory alone."""
        with self._lock:
            self._outbox.add(payload)
            self._outbox.store()

    def take(self) -> Entry | None:
        """The next note, which is taken from then on. Raises SinkError."""
        with self._lock:
            return self._outbox.take()

    def finish(self, entries: Iterable[Entry]) -> None:
        """Delete notes that were taken. Raises SinkError."""
        with self._lock:
            for entry in entries:
                self._outbox.confirm(entry.number)
            self._outbox.settle()

    def give_back(self) -> None:
        """All that was taken is to be taken again, in order. Raises SinkError."""
        with self._lock:
            self._outbox.rewind()

    def newly_lost(self) -> int:
        """How many notes were dropped for lack of room since this was last asked."""
        with self._lock:
            lost = self._outbox.lost - self._told_lost
            self._told_lost = self._outbox.lost
            return lost
