"""The daily limit of a record log."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path

from pi_detector.core.clock import utc_now
from pi_detector.core.records import encode, status_record
from pi_detector.core.states import State

log = logging.getLogger(__name__)

_FRAMES_SHARE = 0.75
"""Share of the allowance that records of frames may use; the rest is for rarer records."""


class DailyBytes:
    """The allowance of a day, which ends at midnight UTC.

    Records beyond it are dropped. The log itself shows when that began and, on the next day or at
    its end, how many records were dropped: status records of the sink, `limited` and then `live` or
    `stopped`.

    Args:
        most: bytes per day; None = no limit.
        name: name of the log, for messages.
    """

    def __init__(self, most: int | None, name: str) -> None:
        self._most, self._name = most, name
        self._day: date = utc_now().date()
        self._written = 0
        self._left_out = 0
        self._told = ""

    def start(self, files: Iterable[Path]) -> None:
        """Count what earlier runs wrote today. Raises OSError."""
        found = [file.stat() for file in files]
        self._written = sum(
            status.st_size
            for status in found
            if datetime.fromtimestamp(status.st_mtime, UTC).date() == self._day
        )

    def let_through(self, line: bytes, *, of_frame: bool) -> bytes:
        """Return the bytes to write for a record's line: the line, nothing, or a status record."""
        if self._most is None:
            return line
        told = self._new_day()
        limit = self._most * _FRAMES_SHARE if of_frame else self._most
        if self._written + len(line) > limit:
            self._left_out += 1
            told += self._tell("records of frames" if of_frame else "records")
        else:
            told += line
        self._written += len(told)
        return told

    def _new_day(self) -> bytes:
        today = utc_now().date()
        if today == self._day:
            return b""
        self._day, self._written, self._told = today, 0, ""
        return self._account("live")

    def end(self) -> bytes:
        """Return what to write last."""
        return self._account("stopped")

    def _account(self, state: State) -> bytes:
        lost, self._left_out = self._left_out, 0
        if not lost:
            return b""
        log.warning("%s: %d records were dropped", self._name, lost)
        return encode(status_record("sink", "log", state, lost=lost))

    def _tell(self, what: str) -> bytes:
        if self._told in (what, "records"):
            return b""
        self._told = what
        reason = f"{what} are dropped until 00:00 UTC: output.log_mb_per_day is reached"
        log.warning("%s: %s", self._name, reason)
        return encode(status_record("sink", "log", "limited", reason=reason))
