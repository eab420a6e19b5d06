"""The index of the recordings: an SQLite database, rebuilt from the sidecars if it is lost.

Its rows follow the files: a row is written once its files are in place, and is deleted before they
are. ``synchronous=NORMAL`` in WAL mode may lose the last rows in a power cut, never the database;
since those rows come back from the sidecars at the next start, the syncs of ``FULL`` would gain
nothing. The writer never blocks readers in other processes. Source: https://www.sqlite.org/wal.html
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from pi_detector.errors import RecordingNotFoundError, SinkError
from pi_detector.sinks.recordings.filters import Filter, conditions, milliseconds
from pi_detector.sinks.recordings.layout import INDEX_NAME, Entry, parent, trusted_entry
from pi_detector.sinks.recordings.marks import Mark, read_mark
from pi_detector.sinks.recordings.schema import (
    ENTRY,
    SCHEMA,
    SCHEMA_VERSION,
    harden,
    strange_row,
    strange_schema,
)
from pi_detector.sinks.recordings.watched import WatchedFile

log = logging.getLogger(__name__)

_BUSY_TIMEOUT_S = 5.0
_WAL_PAGES = 256  # of 4 KiB: SQLite's default of 1000 is much beside a small index
# "No such table" is SQLITE_ERROR: another program's database.
_DAMAGES = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
_BYTES_BESIDE = 4096  # a sidecar occupies a block


class IndexDamagedError(SinkError):
    """The database is damaged or of another version, and must be rebuilt."""


class IndexFullError(SinkError):
    """The disk has no room for a change of the database."""


@dataclass(frozen=True, slots=True)
class Row:
    """An event in the index.

    Attributes:
        entry: what its sidecar said, with those of its files that exist.
        keep: it is protected from being deleted by itself.
        size: bytes of its files, those that it shares included.
        mark: what its owner said of it.
    """

    entry: Entry
    keep: bool
    size: int
    mark: Mark | None = None


class Index:
    """The database. Its methods may be called from several threads, one at a time.

    Args:
        root: the folder of the recordings.
        write: change it; else it is only read.
        create: make it where it does not exist.

    Raises:
        IndexDamagedError: it is damaged, or of another version.
        RecordingNotFoundError: it does not exist, and is not to be made.
        SinkError: the disk or the permissions do not allow it.
    """

    def __init__(self, root: Path, *, write: bool = False, create: bool = False) -> None:
        self.path = root / INDEX_NAME
        if self.path.is_symlink():
            raise SinkError(f"{self.path}: a symbolic link; replace it with the file itself")
        if not create and not _exists(self.path):
            raise RecordingNotFoundError(
                f"{root}: no recordings in it; set recording.path, or name the folder with --folder"
            )
        mode = "mode=rwc" if create else "mode=rw" if write else "mode=ro"
        try:
            self._connect(mode, write, create)
        except IndexDamagedError:
            raise
        except SinkError:
            # Who may not write there cannot open a database that nobody has open, unless as one
            # that does not change.
            if write or self.path.with_name(f"{INDEX_NAME}-wal").exists():
                raise
            self._connect("immutable=1", write, create)

    def _connect(self, mode: str, write: bool, create: bool) -> None:
        uri = f"file:{quote(str(self.path))}?{mode}"
        try:
            self._database = sqlite3.connect(
                uri,
                uri=True,
                timeout=_BUSY_TIMEOUT_S,
                isolation_level=None,
                check_same_thread=False,
            )
        except sqlite3.Error as error:
            raise self._told(error) from error
        try:
            self._open(write, create)
        except sqlite3.Error as error:
            self._database.close()
            raise self._told(error) from error
        except IndexDamagedError:
            self._database.close()
            raise

    def _open(self, write: bool, create: bool) -> None:
        harden(self._database)
        version = self._one("PRAGMA user_version")
        if create and version == 0 and not self._one("SELECT count(*) FROM sqlite_master"):
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.executescript(
                f"BEGIN; {SCHEMA} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;"
            )
        elif version != SCHEMA_VERSION:
            raise self._damaged(f"version {version}, not {SCHEMA_VERSION}")
        if write:
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.execute(f"PRAGMA wal_autocheckpoint={_WAL_PAGES}")
        if create and (found := self._one("PRAGMA quick_check(1)")) != "ok":
            raise self._damaged(found)
        strange = strange_schema(self._database)
        if strange is None and create:
            strange = strange_row(self._database)
        if strange is not None:
            raise self._damaged(strange)
        self._file = WatchedFile(self.path)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def check(self) -> None:
        """See that the file is still the database that was opened. Cheap while nothing changed.

        SQLite would not notice: it has in memory what it read.

        Raises:
            IndexDamagedError: it was replaced, cut off or overwritten.
        """
        try:
            fault = self._file.fault()
        except sqlite3.Error as error:
            raise self._told(error) from error
        if fault is not None:
            raise self._damaged(fault)

    def put(self, entry: Entry, sizes: dict[str, int], keep: bool | None = None) -> None:
        """Add an event, or change it.

        Args:
            entry: whose files all exist.
            sizes: path of each of its files to its bytes.
            keep: protect it; None leaves that as it is.
        """
        event = entry.event
        started_ms, ended_ms = milliseconds(event.started), milliseconds(event.time)
        with self._transaction() as database:
            number = self._number_of(entry)
            kept = database.execute("SELECT keep FROM events WHERE number = ?", [number]).fetchone()
            if keep is None:
                keep = bool(kept and kept[0])
            aged_ms, synchronized = self._age(number, entry)
            if event.clock_synchronized:
                # What was recorded before the clock was set is at least as old as this.
                database.execute(
                    "UPDATE events SET aged_ms = ?, synchronized = 1"
                    " WHERE synchronized = 0 AND number < ?",
                    [aged_ms, number],
                )
            database.execute(
                "INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    number,
                    entry.path,
                    parent(entry.path),
                    event.id,
                    event.label,
                    json.dumps(event.entered),
                    started_ms,
                    max(started_ms, ended_ms),
                    aged_ms,
                    synchronized,
                    entry.complete,
                    keep,
                    msgspec.json.encode(msgspec.structs.replace(entry, number=number)),
                ],
            )
            self._link(number, sizes)

    def _age(self, number: int, entry: Entry) -> tuple[int, bool]:
        """When an event began as far as its age is concerned, and whether that can be trusted.

        A clock that was set during the event dates the end of it, not its beginning: that
        is its duration earlier. An event recorded without such a clock is at least as old as
        the next one recorded with one.
        """
        event = entry.event
        if event.clock_synchronized:
            return milliseconds(event.time) - round(event.duration_s * 1000), True
        row = self._database.execute(
            "SELECT aged_ms FROM events WHERE number >= ? AND synchronized ORDER BY number LIMIT 1",
            [number],
        ).fetchone()
        return (milliseconds(event.started), False) if row is None else (int(row[0]), True)

    def _number_of(self, entry: Entry) -> int:
        """The number of an event: the one that it has, else the one it wants where it is free."""
        row = self._database.execute(
            "SELECT number FROM events WHERE path = ?", [entry.path]
        ).fetchone()
        if row is not None:
            return int(row[0])
        taken = self._database.execute("SELECT 1 FROM events WHERE number = ?", [entry.number])
        return self.next_number() if taken.fetchone() else entry.number

    def _link(self, number: int, sizes: dict[str, int]) -> None:
        self._unlink(number, keeping=sizes)
        self._database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?)", sizes.items())
        self._database.executemany(
            "INSERT OR IGNORE INTO event_files VALUES (?, ?)", [(number, path) for path in sizes]
        )

    def _unlink(self, number: int, keeping: Iterable[str] = ()) -> list[str]:
        """Take an event's files off it. Returns those that no other event has."""
        held = {
            path
            for (path,) in self._database.execute(
                "SELECT path FROM event_files WHERE number = ?", [number]
            )
        }
        gone = sorted(held - set(keeping))
        orphans = []
        for path in gone:
            self._database.execute(
                "DELETE FROM event_files WHERE number = ? AND path = ?", [number, path]
            )
            shared = self._database.execute("SELECT 1 FROM event_files WHERE path = ?", [path])
            if shared.fetchone() is None:
                self._database.execute("DELETE FROM files WHERE path = ?", [path])
                orphans.append(path)
        return orphans

    def delete(self, path: str) -> list[str]:
        """Delete an event. Returns the paths of its files that no other event has."""
        with self._transaction() as database:
            row = database.execute("SELECT number FROM events WHERE path = ?", [path]).fetchone()
            if row is None:
                return []
            orphans = self._unlink(row[0])
            database.execute("DELETE FROM events WHERE number = ?", row)
        return orphans

    def only_of(self, path: str) -> list[str]:
        """The paths of an event's files that no other event has."""
        query = (
            "SELECT event_files.path FROM event_files JOIN events USING (number)"
            " WHERE events.path = ? AND NOT EXISTS (SELECT 1 FROM event_files AS other WHERE"
            " other.path = event_files.path AND other.number != event_files.number)"
        )
        return [name for (name,) in self.rows(query, [path])]

    def keep(self, path: str, keep: bool) -> None:
        """Protect an event, or no longer."""
        with self._transaction() as database:
            database.execute("UPDATE events SET keep = ? WHERE path = ?", [keep, path])

    def next_number(self) -> int:
        """The number of the next event."""
        return int(self._one("SELECT coalesce(max(number), 0) + 1 FROM events"))

    def total_bytes(self) -> int:
        """What all recordings occupy."""
        return int(self._one("SELECT coalesce(sum(bytes), 0) FROM files")) + _BYTES_BESIDE * int(
            self._one("SELECT count(*) FROM events")
        )

    def held_bytes(self) -> int:
        """Bytes of the events that must not be deleted: protected and ongoing ones."""
        held = "SELECT number FROM events WHERE keep OR NOT complete"
        files = f"SELECT path FROM event_files WHERE number IN ({held})"
        return int(
            self._one(f"SELECT coalesce(sum(bytes), 0) FROM files WHERE path IN ({files})")
        ) + _BYTES_BESIDE * int(self._one(f"SELECT count(*) FROM ({held})"))

    def has(self, path: str) -> bool:
        """Whether an event is in the index."""
        return bool(self.rows("SELECT 1 FROM events WHERE path = ?", [path]))

    def select(self, wanted: Filter) -> Iterator[Row]:
        """The events that a filter lets through, the latest start first.

        Rows that no sidecar would be trusted for are left out: the index may be anybody's.
        """
        where, values = conditions(wanted)
        query = (
            f"SELECT path, {ENTRY}, keep, (SELECT json_group_array(path) FROM event_files WHERE"
            " event_files.number = events.number AND typeof(path) = 'text'), (SELECT total(CASE"
            " WHEN typeof(bytes) = 'integer' THEN bytes END) FROM event_files JOIN files"
            " USING (path) WHERE event_files.number = events.number)"
            f" FROM events WHERE {' AND '.join(where)} ORDER BY started_ms DESC, number DESC"
        )
        if wanted.limit is not None:
            query += f" LIMIT {int(wanted.limit)}"
        for path, encoded, keep, paths, size in self.rows(query, values):
            entry = trusted_entry(encoded, path)
            if entry is None:
                log.warning("%s: skipped an untrusted row", self.path)
                continue
            there = set(json.loads(paths))
            files = tuple(media for media in entry.files if media.path in there)
            found = msgspec.structs.replace(entry, files=files)
            yield Row(found, bool(keep), int(size), read_mark(self.path.parent, path))

    def labels(self) -> list[str]:
        """The labels that occur, in order."""
        query = "SELECT DISTINCT label FROM events WHERE typeof(label) = 'text' ORDER BY label"
        return [label for (label,) in self.rows(query)]

    def rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query. Raises SinkError or IndexDamagedError."""
        try:
            with closing(self._database.execute(query, values)) as cursor:
                return cursor.fetchall()
        except sqlite3.Error as error:
            raise self._told(error) from error

    def _one(self, query: str) -> Any:
        (row,) = self._database.execute(query)
        return row[0]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing. Raises SinkError or IndexDamagedError."""
        try:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._told(error) from error

    def _damaged(self, why: object) -> IndexDamagedError:
        return IndexDamagedError(f"{self.path}: damaged: {why}; 'pi-detector run' rebuilds it")

    def _told(self, error: sqlite3.Error) -> SinkError:
        if getattr(error, "sqlite_errorcode", None) in _DAMAGES:
            return self._damaged(error)
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            return IndexFullError(f"{self.path}: {error}; free some space")
        return SinkError(
            f"{self.path}: {error}; free some space, or give this user the right to read and write"
        )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise SinkError(f"{path}: {error.strerror}; read it as a permitted user") from error
