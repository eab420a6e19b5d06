"""The schema of the index, and checks that a database is what this program wrote.

A folder of recordings may be untrusted, and so may its index: its rows are only trusted where a
sidecar with the same content would be.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import cache

from pi_detector.sinks.recordings.layout import MOST_ENTRY_BYTES, is_media_path, trusted_entry

SCHEMA_VERSION = 1

SCHEMA = """
CREATE TABLE events (
    number INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,
    folder TEXT NOT NULL,
    id TEXT NOT NULL,
    label TEXT NOT NULL,
    zones TEXT NOT NULL,
    started_ms INTEGER NOT NULL,
    ended_ms INTEGER NOT NULL,
    aged_ms INTEGER NOT NULL,
    synchronized INTEGER NOT NULL,
    complete INTEGER NOT NULL,
    keep INTEGER NOT NULL,
    entry BLOB NOT NULL
);
CREATE INDEX events_by_id ON events (id);
CREATE INDEX events_by_folder ON events (folder);
CREATE INDEX events_by_start ON events (started_ms);
CREATE INDEX events_by_label ON events (label, keep, number);
CREATE INDEX events_undated ON events (number) WHERE synchronized = 0;
CREATE TABLE files (path TEXT PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE event_files (
    number INTEGER NOT NULL, path TEXT NOT NULL, PRIMARY KEY (number, path)
) WITHOUT ROWID;
CREATE INDEX event_files_by_path ON event_files (path);
"""
ENTRY = f"CASE WHEN length(entry) <= {MOST_ENTRY_BYTES} THEN entry END"
"""The column, where it is small enough to be read."""

_OBJECTS = "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite!_%' ESCAPE '!'"
_MOST_FILE_BYTES = 2**50
_ODD_COLUMNS = f"""
SELECT 'events' FROM events WHERE typeof(label) != 'text' OR typeof(zones) != 'text'
    OR NOT json_valid(zones) OR typeof(folder) != 'text' OR typeof(id) != 'text'
    OR typeof(started_ms) != 'integer' OR typeof(ended_ms) != 'integer'
    OR typeof(aged_ms) != 'integer' OR synchronized NOT IN (0, 1)
    OR complete NOT IN (0, 1) OR keep NOT IN (0, 1)
UNION ALL SELECT 'files' FROM files WHERE typeof(path) != 'text' OR typeof(bytes) != 'integer'
    OR bytes NOT BETWEEN 0 AND {_MOST_FILE_BYTES}
UNION ALL SELECT 'event_files' FROM event_files WHERE typeof(path) != 'text'
LIMIT 1
"""


def harden(database: sqlite3.Connection) -> None:
    """Have SQLite trust nothing that a database brings along. Raises sqlite3.Error."""
    # Bytes that are no UTF-8 are no path either.
    database.text_factory = lambda data: data.decode("utf-8", "replace")
    database.execute("PRAGMA trusted_schema=OFF")
    database.execute("PRAGMA cell_size_check=ON")


def strange_schema(database: sqlite3.Connection) -> str | None:
    """What a database has beyond its tables, or else than them; None where all is as it was made.

    A view in the place of a table, or a trigger, would make of a query what it wants. Raises
    sqlite3.Error.
    """
    differing = sorted(_as_made() ^ set(database.execute(_OBJECTS)))
    return (
        None if not differing else f"{differing[0][0]} {differing[0][1]!r} differs from the schema"
    )


@cache
def _as_made() -> frozenset[tuple[str, str, str]]:
    with closing(sqlite3.connect(":memory:")) as model:
        model.executescript(SCHEMA)
        return frozenset(model.execute(_OBJECTS))


def strange_row(database: sqlite3.Connection) -> str | None:
    """A row that this program did not write, in words; None where there is none.

    Raises sqlite3.Error.
    """
    for (table,) in database.execute(_ODD_COLUMNS):
        return f"a row of {table} has an invalid value"
    for encoded, path in database.execute(f"SELECT {ENTRY}, path FROM events"):
        if trusted_entry(encoded, path) is None:
            return f"event {str(path)[:80]!r} is invalid"
    for (path,) in database.execute("SELECT path FROM files UNION SELECT path FROM event_files"):
        if not is_media_path(path):
            return f"file {path[:80]!r} is invalid"
    return None
