"""Repairs at the start: makes files and index agree, however the last run ended."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from pi_detector.errors import SinkError
from pi_detector.sinks.files import unwritable
from pi_detector.sinks.recordings import confined
from pi_detector.sinks.recordings.catalogue import Catalogue
from pi_detector.sinks.recordings.layout import (
    CLIP,
    KEEP,
    SIDECAR,
    Media,
    is_event_path,
    is_media_path,
    read_sidecar,
    trusted_entry,
    write_sidecar,
)
from pi_detector.sinks.recordings.salvage import can_salvage, played_s, salvage
from pi_detector.util.whole_files import finished_name

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Findings:
    """The repairs.

    Attributes:
        salvaged: clips that were cut off and play again.
        lost: clips of which nothing plays.
        indexed: events added to the index again, or updated in it.
        dropped: events without any files left.
    """

    salvaged: int = 0
    lost: int = 0
    indexed: int = 0
    dropped: int = 0

    def __str__(self) -> str:
        return (
            f"{self.salvaged} clips salvaged, {self.lost} clips lost, {self.indexed} events "
            f"restored in the index, {self.dropped} events without files dropped"
        )


def reconcile(catalogue: Catalogue) -> Findings:
    """Salvage unfinished clips, and make the index agree with the files.

    Raises:
        SinkError: the disk does not allow it.
    """
    return _Reconciliation(catalogue).run()


@dataclass
class _Reconciliation:
    catalogue: Catalogue
    found: Findings = field(default_factory=Findings)

    def run(self) -> Findings:
        try:
            folders = list(_day_folders(self.catalogue.root))
            for folder in folders:
                self._clear_unfinished(folder)
            for folder in folders:
                self._agree(folder)
        except OSError as error:
            if isinstance(error, SinkError):
                raise
            raise unwritable(self.catalogue.root, error) from error
        known = set(folders)
        for path, folder in self.catalogue.index.rows("SELECT path, folder FROM events"):
            if folder not in known:
                self._drop(str(path))
        return self.found

    def _clear_unfinished(self, folder: str) -> None:
        """Salvage clips; delete other files that were being written."""
        root = self.catalogue.root
        for name in _names(root / folder):
            finished = finished_name(name)
            if finished is None:
                continue
            part, path = root / folder / name, f"{folder}/{finished}"
            if is_media_path(path) and path.endswith(CLIP):
                self._salvage(part, root / path)
            elif is_media_path(path) or is_event_path(path.removesuffix(SIDECAR)):
                part.unlink()

    def _salvage(self, part: Path, path: Path) -> None:
        if not can_salvage():
            log.warning("%s: an unfinished clip; install PyAV to salvage it", part)
        elif os.path.lexists(path):  # cannot come from a power cut; both are somebody's
            log.warning("%s: left alone because %s exists", part, path.name)
        elif salvage(part, path) is None:
            self.found.lost += 1
        else:
            self.found.salvaged += 1

    def _agree(self, folder: str) -> None:
        index = self.catalogue.index
        names = set(_names(self.catalogue.root / folder))
        rows = {
            str(path): (bool(complete), bool(keep))
            for path, complete, keep in index.rows(
                "SELECT path, complete, keep FROM events WHERE folder = ?", [folder]
            )
        }
        sidecars = {
            path
            for name in names
            if name.endswith(SIDECAR)
            and is_event_path(path := f"{folder}/{name.removesuffix(SIDECAR)}")
        }
        for path in sorted(sidecars - rows.keys()):
            self._index(path)
        for path, (complete, keep) in rows.items():
            if not complete or path not in sidecars or self._lacks_files(path, names):
                self._index(path)
            elif (marked := f"{path.rpartition('/')[2]}{KEEP}" in names) != keep:
                index.keep(path, marked)

    def _lacks_files(self, path: str, names: set[str]) -> bool:
        files = self.catalogue.index.rows(
            "SELECT event_files.path FROM event_files JOIN events USING (number)"
            " WHERE events.path = ?",
            [path],
        )
        own = path.rpartition("/")[0]
        for (file,) in files:
            folder, _, name = str(file).rpartition("/")
            there = name in names if folder == own else self._has(str(file))
            if not there:
                return True
        return False

    def _index(self, path: str) -> None:
        """Bring an event's sidecar and row into agreement with its files."""
        root, index = self.catalogue.root, self.catalogue.index
        entry = read_sidecar(root, path)
        if entry is None:  # the row knows what the sidecar said
            encoded = index.rows("SELECT entry FROM events WHERE path = ?", [path])
            entry = trusted_entry(encoded[0][0], path) if encoded else None
        if entry is None:
            log.warning("%s%s: unreadable; the event is not listed", root / path, SIDECAR)
            return
        files = tuple(self._measured(media) for media in entry.files if self._has(media.path))
        if not files:
            self._drop(path)
            return
        settled = msgspec.structs.replace(
            entry,
            files=files,
            complete=True,
            interrupted=entry.interrupted or entry.event.phase != "end",
        )
        if settled != entry or not self._has(f"{path}{SIDECAR}"):
            write_sidecar(root, settled)
        self.catalogue.add(settled, keep=self._has(f"{path}{KEEP}"))
        self.found.indexed += 1

    def _has(self, path: str) -> bool:
        return confined.is_file(self.catalogue.root, path)

    def _measured(self, media: Media) -> Media:
        """A clip whose duration nobody wrote down, with its duration."""
        if media.kind != "clip" or media.duration_s is not None or not can_salvage():
            return media
        seconds = played_s(self.catalogue.root / media.path)
        return msgspec.structs.replace(media, duration_s=seconds)

    def _drop(self, path: str) -> None:
        self.catalogue.delete(path)
        self.found.dropped += 1


def _day_folders(root: Path) -> Iterator[str]:
    """The folders ``YYYY/MM/DD``, relative to the folder of the recordings, in order."""
    for year in _numbered(root, 4):
        for month in _numbered(root / year, 2):
            for day in _numbered(root / year / month, 2):
                yield f"{year}/{month}/{day}"


def _numbered(folder: Path, digits: int) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(
            entry.name
            for entry in entries
            if re.fullmatch(rf"\d{{{digits}}}", entry.name, re.ASCII)
            and entry.is_dir(follow_symlinks=False)
        )


def _names(folder: Path) -> list[str]:
    """The files in a folder; links are none, wherever they lead."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_file(follow_symlinks=False))
    return []
