"""Payloads on disk, while no broker or service accepts them."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pi_detector.errors import SinkError

log = logging.getLogger(__name__)

_SYNC_S = 5.0
"""What a power cut may cost; a killed process costs nothing that was written."""
_WAL_PAGES = 64
_BUSY_S = 1.0
_SIDE_FILES = ("-wal", "-shm", "-journal")

Row = tuple[int, bytes]
"""Number and payload."""


class Store:
    """Numbered payloads in an SQLite file that exists only while there is something in it.

    Commits go to a write-ahead log without waiting for the disk, and are synced every five
    seconds: an SD card gets a few kilobytes an event, and only during an outage.
    Source: sqlite.org, "Write-Ahead Logging".

    Args:
        path: the file; its folder is made where it does not exist.
        most_bytes: of all payloads together; beyond, the oldest are given up.
        what: the payloads are called in errors.
        own: the advice where another process has the file.
        elsewhere: the advice where nothing can be written.

    Attributes:
        last: the largest number in it, 0 where it is empty.
        count: payloads in it.
        most_bytes: of all payloads together; may be changed, and holds from the next payload on.
    """

    def __init__(
        self,
        path: Path,
        most_bytes: int,
        *,
        what: str = "events",
        own: str = "give each its own mqtt.name",
        elsewhere: str = "set mqtt.queue to another folder",
    ) -> None:
        self.last = 0
        self.count = 0
        self._path = path
        self._words = (what, own, elsewhere)
        self.most_bytes = most_bytes
        self._bytes = 0
        self._database: sqlite3.Connection | None = None
        self._synced_s = 0.0
        self._dirty = False

    def open_existing(self) -> None:
        """Take over what an earlier run left. Raises SinkError."""
        try:
            if not self._path.exists():
                return
            self._open()
        except OSError as error:
            raise self._unusable(error) from error
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                self._close()
                raise self._unusable(error) from error
            self._set_aside(error)

    def append(self, rows: Sequence[Row]) -> int:
        """Write payloads with growing numbers: all of them or none.

        Returns:
            How many of the oldest were given up for them.

        Raises:
            SinkError: the disk is full or broken.
        """
        with self._transaction() as database:
            database.executemany("INSERT INTO events VALUES (?, ?)", rows)
            given_up = self._make_room(database, sum(len(payload) for _, payload in rows))
        self.last = rows[-1][0]
        self._recount()
        self.sync()
        return given_up

    def read(self, after: int, most: int) -> list[Row]:
        """The oldest payloads with numbers above ``after``. Raises SinkError."""
        if self._database is None:
            return []
        try:
            return self._database.execute(
                "SELECT number, payload FROM events WHERE number > ? ORDER BY number LIMIT ?",
                (after, most),
            ).fetchall()
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def remove(self, numbers: Iterable[int]) -> None:
        """Forget payloads; the file goes with the last of them. Raises SinkError."""
        gone = [(number,) for number in numbers]
        if len(gone) >= self.count:  # a full disk has no room for a transaction, but lets a file go
            present = self.read(0, self.count)
            if {number for number, _ in present} <= {number for (number,) in gone}:
                self._delete()
                return
        with self._transaction() as database:
            database.executemany("DELETE FROM events WHERE number = ?", gone)
        self._recount()

    def discard(self) -> None:
        """Forget all payloads, and delete the file. Raises SinkError."""
        self._delete()

    def sync(self) -> None:
        """Write to the disk itself, unless that was seconds ago. Raises SinkError."""
        self._sync(_SYNC_S)

    def close(self) -> None:
        """Sync and close; never raises."""
        try:
            self._sync(0.0)
        except SinkError as error:
            log.error("%s", error)
        self._close()

    def _open(self) -> sqlite3.Connection:
        if self._database is not None:
            return self._database
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch(mode=0o640)
        database = sqlite3.connect(
            self._path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
        )
        self._database = database
        # One process at a time, and so no shared-memory file.
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
        database.execute(
            "CREATE TABLE IF NOT EXISTS events (number INTEGER PRIMARY KEY, payload BLOB NOT NULL)"
        )
        self._recount()
        return database

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            database = self._open()
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.execute("COMMIT")
                self._dirty = True
            except sqlite3.Error:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise
        except (sqlite3.Error, OSError) as error:
            if not self.count:
                self._close()
            raise self._unusable(error) from error

    def _make_room(self, database: sqlite3.Connection, more_bytes: int) -> int:
        """Delete the oldest until all fits; the newest always stays."""
        excess = self._bytes + more_bytes - self.most_bytes
        numbers: list[int] = []
        if excess > 0:
            sizes = database.execute(
                "SELECT number, length(payload) FROM events ORDER BY number LIMIT "
                "(SELECT count(*) - 1 FROM events)"
            )
            for number, size in sizes:
                if excess <= 0:
                    break
                numbers.append(number)
                excess -= size
        database.executemany("DELETE FROM events WHERE number = ?", [(each,) for each in numbers])
        return len(numbers)

    def _recount(self) -> None:
        assert self._database is not None
        self.count, self._bytes, last = self._database.execute(
            "SELECT count(*), coalesce(sum(length(payload)), 0), coalesce(max(number), 0) "
            "FROM events"
        ).fetchone()
        self.last = max(self.last, last)

    def _sync(self, interval_s: float) -> None:
        now_s = time.monotonic()
        if self._database is None or not self._dirty or now_s - self._synced_s < interval_s:
            return
        self._synced_s, self._dirty = now_s, False
        try:
            self._database.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _close(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            with contextlib.suppress(sqlite3.Error):  # what was committed stays committed
                database.close()

    def _delete(self) -> None:
        self._close()
        self.count = self._bytes = 0
        try:
            for suffix in ("", *_SIDE_FILES):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        except OSError as error:
            raise self._unusable(error) from error

    def _set_aside(self, error: sqlite3.Error) -> None:
        """A damaged file is kept for its owner, and a new one begun."""
        self._close()
        aside = self._path.with_name(f"{self._path.name}.damaged")
        log.error(
            "%s: damaged (%s); set aside as %s and started over", self._path, error, aside.name
        )
        try:
            self._path.replace(aside)
            for suffix in _SIDE_FILES:
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        except OSError as reason:
            raise self._unusable(reason) from reason

    def _unusable(self, error: Exception) -> SinkError:
        words = error.strerror if isinstance(error, OSError) else str(error)
        what, own, elsewhere = self._words
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            return SinkError(f"{self._path}: another pi-detector uses this queue; {own}")
        return SinkError(
            f"{self._path}: cannot keep {what}: {words}; free some space, give this user the right "
            f"to write, or {elsewhere}"
        )
