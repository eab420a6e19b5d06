"""What is deleted so that the disk never fills: by age, by size, by what is free."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from pi_detector.config.outputs import RecordingSettings
from pi_detector.core.clock import clock_synchronized, utc_now
from pi_detector.errors import SinkError
from pi_detector.sinks.files import unwritable
from pi_detector.sinks.recordings import confined
from pi_detector.sinks.recordings.catalogue import Catalogue
from pi_detector.sinks.recordings.filters import milliseconds
from pi_detector.sinks.recordings.layout import KEEP

log = logging.getLogger(__name__)

MOST_DELETIONS = 50
"""In one pass; what is left over waits for the next, so that no pass takes long."""

_DAY_MS = 86_400_000
_UNLIMITED_DAYS = 36500.0


class Retention:
    """Deletes events by the settings, never one that is protected or still goes on.

    Above a limit of size, the event goes first that has used up most of the time that its label
    is kept for; among those of one label, the one that was recorded first. An age is told by the
    clock only where that can be trusted: while the system's clock is not synchronized, only events
    that were recorded without a synchronized clock grow old.
    """

    def __init__(self, catalogue: Catalogue, settings: RecordingSettings) -> None:
        self._catalogue = catalogue
        self._days: Mapping[str, float] = settings.keep_days
        self._default_days = settings.max_age_days
        self._most_bytes = round(settings.max_gb * 1e9)
        self._least_free = settings.min_free_mb * 1_000_000

    def tidy(self, now: datetime | None = None) -> int:
        """Delete what the limits ask for, at most ``MOST_DELETIONS`` events.

        Args:
            now: the wall time; None asks the clock.

        Returns:
            How many events were deleted.

        Raises:
            SinkError: they cannot be deleted.
        """
        now_ms = milliseconds(now or utc_now())
        deleted = self._delete_old(now_ms, MOST_DELETIONS)
        while deleted < MOST_DELETIONS and self._too_much():
            path = self._next_to_go(now_ms)
            if path is None:
                break
            deleted += self._delete(path)
        if deleted:
            log.debug("%d recordings deleted by age, size or free space", deleted)
        return deleted

    def make_room(self) -> None:
        """See that something can be written.

        Raises:
            SinkError: less is free than is to stay free, and there is nothing to delete.
        """
        if self._free() >= self._least_free:
            return
        self.tidy()
        if (free := self._free()) < self._least_free:
            raise SinkError(
                f"{self._catalogue.root}: {free // 1_000_000} MB are free, and "
                f"{self._least_free // 1_000_000} MB are to stay free: nothing is recorded; make "
                "room on the disk, or lower recording.min_free_mb"
            )

    def _free(self) -> int:
        return free_bytes(self._catalogue.root)

    def _too_much(self) -> bool:
        if self._most_bytes and self._catalogue.index.total_bytes() > self._most_bytes:
            return True
        return self._free() < self._least_free

    def _delete_old(self, now_ms: int, most: int) -> int:
        deleted = 0
        trusted = clock_synchronized()
        for label, days in self._labels():
            if not days:
                continue
            rows = self._catalogue.index.rows(
                "SELECT path FROM events WHERE label = ? AND keep = 0 AND complete"
                " AND aged_ms < ? AND (? OR NOT synchronized) ORDER BY number LIMIT ?",
                [label, now_ms - round(days * _DAY_MS), trusted, most - deleted],
            )
            for (path,) in rows:
                deleted += self._delete(path)
        return deleted

    def _delete(self, path: str) -> bool:
        """Delete an event, unless somebody has protected it by hand."""
        if confined.is_file(self._catalogue.root, f"{path}{KEEP}"):
            self._catalogue.index.keep(path, True)
            return False
        self._catalogue.delete(path)
        return True

    def _labels(self) -> Iterator[tuple[str, float]]:
        """The labels that occur, and for how many days each is kept; 0 for ever."""
        for label in self._catalogue.index.labels():
            yield label, self._days.get(label, self._default_days)

    def _next_to_go(self, now_ms: int) -> str | None:
        candidates = []
        for label, days in self._labels():
            oldest = self._catalogue.index.rows(
                "SELECT path, aged_ms FROM events WHERE label = ? AND keep = 0 AND complete"
                " ORDER BY number LIMIT 1",
                [label],
            )
            for path, aged_ms in oldest:
                candidates.append(((now_ms - aged_ms) / (days or _UNLIMITED_DAYS), path))
        return max(candidates)[1] if candidates else None


def free_bytes(folder: Path) -> int:
    """What this user may still write to the disk of a folder. Raises SinkError."""
    try:
        disk = os.statvfs(folder)
    except OSError as error:
        raise unwritable(folder, error) from error
    return disk.f_bavail * disk.f_frsize
