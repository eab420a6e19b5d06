"""Deletes recordings so that the disk never fills: by age, by size, by free space."""

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
    """Deletes events according to the settings, but never a protected or ongoing one.

    Above a limit of size, the event is deleted first that has used up the largest share of its
    label's retention time; within a label, the one recorded first. Nothing is deleted if that would
    not meet the limit: protected events alone may exceed it, or another program may have filled the
    disk.

    Only events dated by a synchronized clock age, and only while the clock is synchronized: a Pi
    has no clock battery, and its first events may be dated 2016. Those are limited by size, after
    all others, until a later event dates them.

    Attributes:
        overfull: protected and ongoing events exceeded ``max_gb`` at the last pass.
    """

    def __init__(self, catalogue: Catalogue, settings: RecordingSettings) -> None:
        self._catalogue = catalogue
        self._days: Mapping[str, float] = settings.keep_days
        self._default_days = settings.max_age_days
        self._most_bytes = round(settings.max_gb * 1e9)
        self._least_free = settings.min_free_mb * 1_000_000
        self._held_bytes: int | None = None
        self.overfull = False

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
        self._held_bytes, self.overfull = None, False
        deleted = self._delete_old(now_ms, MOST_DELETIONS)
        while deleted < MOST_DELETIONS and self._deletion_helps():
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
            SinkError: less is free than is to stay free, and deleting would not make it more.
        """
        if self._free() >= self._least_free:
            return
        self.tidy()
        if (free := self._free()) < self._least_free:
            raise SinkError(
                f"{self._catalogue.root}: {free // 1_000_000} MB free, less than "
                f"recording.min_free_mb = {self._least_free // 1_000_000}: nothing is recorded; "
                "free space on the disk, or lower recording.min_free_mb"
            )

    def check_size(self) -> None:
        """See that what is not to be deleted leaves something of ``max_gb``.

        Raises:
            SinkError: it does not.
        """
        if not self.overfull:
            return
        self.tidy()
        if self.overfull:
            raise SinkError(
                f"{self._catalogue.root}: protected and ongoing events take "
                f"{self._held() / 1e9:.2f} GB, more than recording.max_gb = "
                f"{self._most_bytes / 1e9:g}: nothing more is recorded; raise recording.max_gb, "
                "or unprotect some events with 'pi-detector events keep --off'"
            )

    def _free(self) -> int:
        return free_bytes(self._catalogue.root)

    def _deletion_helps(self) -> bool:
        """Whether a limit is exceeded that is met once enough is deleted."""
        total, free = self._catalogue.index.total_bytes(), self._free()
        if self._most_bytes and total > self._most_bytes:
            self.overfull = self._held() > self._most_bytes
            if not self.overfull:
                return True
        return free < self._least_free <= free + total - self._held()

    def _held(self) -> int:
        """Bytes that cannot be deleted; asked for once in a pass."""
        if self._held_bytes is None:
            self._held_bytes = self._catalogue.index.held_bytes()
        return self._held_bytes

    def _delete_old(self, now_ms: int, most: int) -> int:
        deleted = 0
        if not clock_synchronized():
            return deleted
        for label, days in self._labels():
            if not days:
                continue
            rows = self._catalogue.index.rows(
                "SELECT path FROM events WHERE label = ? AND keep = 0 AND complete"
                " AND synchronized AND aged_ms < ? ORDER BY number LIMIT ?",
                [label, now_ms - round(days * _DAY_MS), most - deleted],
            )
            for (path,) in rows:
                deleted += self._delete(path)
        return deleted

    def _delete(self, path: str) -> bool:
        """Delete an event, unless it was protected in the meantime."""
        if confined.is_file(self._catalogue.root, f"{path}{KEEP}"):
            self._catalogue.index.keep(path, True)
            self._held_bytes = None
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
                "SELECT path, aged_ms, synchronized, number FROM events WHERE label = ?"
                " AND keep = 0 AND complete ORDER BY number LIMIT 1",
                [label],
            )
            for path, aged_ms, dated, number in oldest:
                # What no clock dated is younger than all that one did: see Index.put.
                used = (now_ms - aged_ms) / (days or _UNLIMITED_DAYS) if dated else 0.0
                candidates.append(((bool(dated), used, -number), path))
        return max(candidates)[1] if candidates else None


def free_bytes(folder: Path) -> int:
    """What this user may still write to the disk of a folder. Raises SinkError."""
    try:
        disk = os.statvfs(folder)
    except OSError as error:
        raise unwritable(folder, error) from error
    return disk.f_bavail * disk.f_frsize
