"""Records in files that stay small: JSON Lines, rotated."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from pi_detector.errors import SinkError
from pi_detector.records import Publication, Result, StatusRecord, detections_record, encode
from pi_detector.sinks.files import prepare_folder, unwritable

_OURS = re.compile(r"records-(\d{6,})\.jsonl", re.ASCII)
# A flash card wears by writes, not by bytes: many records go into one.
_BATCH_BYTES = 64 * 1024
_BATCH_S = 5.0
_MOST_WAITING_BYTES = 1024 * 1024
_SEGMENTS = 8
"""Files that share the allowance; when it is used up, the oldest is deleted."""


class RecordLogSink:
    """Keeps the latest records in the files ``records-000001.jsonl``, ... of a folder.

    They are numbered and not named by time, because the wall clock of a Pi may jump back.

    Events, status and performance records are always kept, those of frames on request. Records are
    written in batches, every five seconds and with each status record, so a power cut may cost that
    much; a full disk never cuts a line in two. Files with other names are never deleted.

    Args:
        folder: made where it does not exist.
        most_bytes: of all files together.
        detections: also keep the records of frames in which something was found.
    """

    name = "log"
    lossless = False

    def __init__(self, folder: str | Path, *, most_bytes: int, detections: bool = False) -> None:
        self._folder = Path(folder)
        self._segment_bytes = most_bytes // _SEGMENTS
        self._detections = detections
        self._segments: list[str] = []
        self._file: Path | None = None
        self._written = 0
        self._waiting = b""
        self._batch_s = 0.0

    def start(self) -> None:
        """Make the folder, and find the files of earlier runs. Raises SinkError."""
        names = prepare_folder(self._folder)
        self._segments = sorted(filter(_OURS.fullmatch, names), key=_number)
        self._batch_s = time.monotonic()
        try:
            self._continue_last()
        except OSError as error:
            raise unwritable(self._folder, error) from error

    def handle(self, item: Publication) -> None:
        """Keep a record.

        Raises:
            SinkError: the batch cannot be written; it is tried again with the next record.
        """
        if not isinstance(item, Result):
            self._add(encode(item))
        elif self._detections and len(item.detections):
            self._add(encode(detections_record(item)))
        is_due = time.monotonic() - self._batch_s >= _BATCH_S
        if is_due or len(self._waiting) >= _BATCH_BYTES or isinstance(item, StatusRecord):
            self._write()

    def close(self) -> None:
        """Write what waits. Raises SinkError."""
        self._write()

    def _add(self, line: bytes) -> None:
        if len(self._waiting) + len(line) > _MOST_WAITING_BYTES:
            raise SinkError(f"{self._folder}: {len(self._waiting)} bytes of records wait already")
        self._waiting += line

    def _continue_last(self) -> None:
        """Go on with the last file of an earlier run, unless its last line was cut off."""
        if not self._segments:
            return
        last = self._folder / self._segments[-1]
        with last.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            if not size:
                return
            file.seek(-1, os.SEEK_END)
            if file.read(1) == b"\n":
                self._file, self._written = last, size

    def _write(self) -> None:
        self._batch_s = time.monotonic()
        if not self._waiting:
            return
        try:
            if self._file is None or self._written >= self._segment_bytes:
                self._rotate()
            assert self._file is not None
            fd = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
            try:
                while self._waiting:
                    count = os.write(fd, self._waiting)
                    self._waiting = self._waiting[count:]
                    self._written += count
            finally:
                os.close(fd)
        except OSError as error:
            raise unwritable(self._folder, error) from error

    def _rotate(self) -> None:
        """Begin the next file, and delete the oldest beyond the allowance."""
        name = f"records-{_number(self._segments[-1]) + 1 if self._segments else 1:06d}.jsonl"
        self._file, self._written = self._folder / name, 0
        self._segments.append(name)
        while len(self._segments) > _SEGMENTS:
            (self._folder / self._segments.pop(0)).unlink(missing_ok=True)


def _number(name: str) -> int:
    return int(name.removeprefix("records-").removesuffix(".jsonl"))
