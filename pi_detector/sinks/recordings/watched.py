"""Checks that the file of an open database is still the opened one, and intact.

SQLite does not notice that another program replaces, truncates or overwrites it: it keeps in memory
what it read, and writes that to wherever it belongs.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote


class _Look(NamedTuple):
    """Which file it is, its bytes, and when it was written."""

    file: tuple[int, int]
    size: int
    written_ns: int


class WatchedFile:
    """The file of a database in WAL mode, from now on.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = self._look()

    def fault(self) -> str | None:
        """What is the matter with it, or None. Cheap while nobody wrote to it.

        Raises:
            sqlite3.Error: it cannot be read as a database.
        """
        found = self._look()
        if found == self._seen:
            return None
        if found is None or self._seen is None or found.file != self._seen.file:
            return "the file was replaced or deleted"
        if found.size < self._seen.size:
            return "the file was truncated"
        self._seen = found  # a checkpoint of its own, most likely; the database never shrinks
        uri = f"file:{quote(str(self._path))}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as afresh:
            (answer,) = afresh.execute("PRAGMA quick_check(1)").fetchone()
        return None if answer == "ok" else str(answer)

    def _look(self) -> _Look | None:
        """How the file is, without opening it: closing it would take SQLite's locks away."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return _Look((found.st_dev, found.st_ino), found.st_size, found.st_mtime_ns)
