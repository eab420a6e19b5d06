"""Payloads in their order, each kept until the receiver has confirmed it."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

from pi_detector.sinks.store import Store

MOST_MEMORY_BYTES = 1024 * 1024
"""Most payloads in memory only, unless the disk refuses them."""
_BATCH = 64


@dataclass(slots=True)
class Entry:
    """A payload on its way.

    Attributes:
        number: its place in the order; 0 before it has one.
        payload: its bytes.
        added_s: when it was added, monotonic seconds.
        stored: whether it is on disk as well.
    """

    number: int
    payload: bytes
    added_s: float
    stored: bool = False


class Outbox:
    """A queue that begins in memory, and moves to disk when the receiver does not accept it.

    Order: what is in flight, what is on disk, what is fresh. All methods but ``add`` are for one
    thread.

    Args:
        store: on disk.
        batch: most payloads that are read from the disk at once.

    Attributes:
        lost: payloads that were given up because there was no room for them.
    """

    def __init__(self, store: Store, *, batch: int = _BATCH) -> None:
        self.lost = 0
        self._store = store
        self._batch = batch
        self._opened = False
        self._lock = threading.Lock()
        self._fresh: deque[Entry] = deque()
        self._fresh_bytes = 0
        self._loaded: deque[Entry] = deque()
        self._in_flight: dict[int, Entry] = {}
        self._taken = 0
        self._last = 0
        self._done: set[int] = set()

    def open(self) -> None:
        """Take over what an earlier run left on disk. Raises SinkError, and may be retried."""
        if self._opened:
            return
        self._store.open_existing()
        self._opened = True
        self._last = max(self._last, self._store.last)
        # What was sent while the disk could not be read has numbers that are taken there.
        in_flight, self._in_flight = list(self._in_flight.values()), {}
        with self._lock:
            for entry in (*in_flight, *self._fresh):
                entry.number = 0
        for entry in in_flight:
            self._number(entry)
            self._in_flight[entry.number] = entry
        self._taken = 0

    def add(self, payload: bytes) -> None:
        """Add a payload. May be called from any thread; does not touch the disk."""
        with self._lock:
            self._fresh.append(Entry(0, payload, time.monotonic()))
            self._fresh_bytes += len(payload)
            while self._fresh_bytes > MOST_MEMORY_BYTES and len(self._fresh) > 1:
                self._fresh_bytes -= len(self._fresh.popleft().payload)
                self.lost += 1

    @property
    def waiting(self) -> int:
        """Payloads that are not confirmed."""
        with self._lock:
            unstored = len(self._fresh) + sum(not each.stored for each in self._in_flight.values())
        return unstored + max(0, self._store.count - len(self._done))

    @property
    def unstored_since_s(self) -> float | None:
        """When the oldest payload was added that is in memory only; None where there is none."""
        with self._lock:
            fresh = self._fresh[0].added_s if self._fresh else None
        in_flight = (each.added_s for each in self._in_flight.values() if not each.stored)
        return min(
            (each for each in (fresh, next(in_flight, None)) if each is not None), default=None
        )

    def take(self) -> Entry | None:
        """The next payload to send, which is in flight from then on. Raises SinkError."""
        while not self._loaded and self._store.count and self._store.last > self._taken:
            rows = self._store.read(self._taken, self._batch)
            if not rows:
                break
            self._taken = rows[-1][0]
            self._loaded.extend(
                Entry(number, payload, 0.0, stored=True)
                for number, payload in rows
                if number not in self._done and number not in self._in_flight
            )
        entry = self._loaded.popleft() if self._loaded else self._pop_fresh()
        if entry is not None:
            self._taken = max(self._taken, entry.number)
            self._in_flight[entry.number] = entry
        return entry

    def confirm(self, number: int) -> None:
        """The receiver has a payload."""
        entry = self._in_flight.pop(number, None)
        if entry is not None and entry.stored:
            self._done.add(number)

    def settle(self) -> None:
        """Delete confirmed events from the disk. Raises SinkError, and may be retried."""
        if self._done:
            self._store.remove(self._done)
            self._done.clear()

    def rewind(self) -> None:
        """The connection is lost: what is in flight will be sent again, in order.

        Raises:
            SinkError: the disk takes nothing; memory still has it.
        """
        try:
            self.store()
        finally:
            kept = [entry for entry in self._in_flight.values() if not entry.stored]
            with self._lock:
                self._fresh.extendleft(reversed(kept))
                self._fresh_bytes += sum(len(entry.payload) for entry in kept)
            self._in_flight.clear()
            self._loaded.clear()
            self._taken = 0

    def store(self) -> None:
        """Put all that is in memory only on disk. Raises SinkError."""
        self.open()
        with self._lock:
            fresh = list(self._fresh)
        unstored = [entry for entry in self._in_flight.values() if not entry.stored] + fresh
        if not unstored:
            return
        for entry in fresh:
            self._number(entry)
        self.lost += self._store.append([(entry.number, entry.payload) for entry in unstored])
        for entry in unstored:
            entry.stored = True
        with self._lock:
            while self._fresh and self._fresh[0].stored:
                self._fresh_bytes -= len(self._fresh.popleft().payload)

    def sync(self) -> None:
        """Have the disk itself write what was stored, now and then. Raises SinkError."""
        self._store.sync()

    def close(self) -> None:
        """Put what is left on disk, and close it; ``open`` opens it again.

        Raises:
            SinkError: the disk takes nothing; memory still has it.
        """
        try:
            self.settle()
            self.rewind()
        finally:
            self._store.close()
            self._opened = False

    def _pop_fresh(self) -> Entry | None:
        with self._lock:
            if not self._fresh:
                return None
            entry = self._fresh.popleft()
            self._fresh_bytes -= len(entry.payload)
        self._number(entry)
        return entry

    def _number(self, entry: Entry) -> None:
        if not entry.number:
            self._last += 1
            entry.number = self._last
