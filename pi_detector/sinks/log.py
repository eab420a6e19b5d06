"""Record logs: rotated JSON Lines files of limited size."""

from __future__ import annotations

import os
import time
from pathlib import Path

from pi_detector.core.records import Publication, StatusRecord, detections_record, encode
from pi_detector.core.result import Result
from pi_detector.errors import SinkError
from pi_detector.sinks.daily import DailyBytes
from pi_detector.sinks.files import prepare_folder, unwritable
from pi_detector.sinks.segments import Segments

# A flash card wears by writes, not by bytes: many records go into one.
_BATCH_BYTES = 64 * 1024
_BATCH_S = 5.0
_MOST_WAITING_BYTES = 1024 * 1024


class RecordLogSink:
    """Keeps the latest records in the files of a folder.

    Events, status and performance records are always kept, records of frames on request. Records
    are written in batches, every five seconds and with each status record, and not synced to the
    card: a crash of the program loses five seconds at most, a power cut also what the kernel had
    not written yet (half a minute by default). A full disk never cuts a line in two.

    Args:
        folder: created if it does not exist.
        most_bytes: size of all files together.
        most_daily_bytes: bytes written per day; records beyond that are dropped, and counted in the
            log. None = no limit.
        detections: also keep the records of frames with detections.
        compress: compress full files.
    """

    name = "log"
    lossless = False

    def __init__(
        self,
        folder: str | Path,
        *,
        most_bytes: int,
        most_daily_bytes: int | None = None,
        detections: bool = False,
        compress: bool = True,
    ) -> None:
        self.setup = (folder, most_bytes, most_daily_bytes, detections, compress)
        self._folder = Path(folder)
        self._daily = DailyBytes(most_daily_bytes, str(folder))
        self._segments = Segments(self._folder, most_bytes=most_bytes, compress=compress)
        self._detections = detections
        self._file: Path | None = None
        self._written = 0
        self._waiting = b""
        self._batch_s = 0.0

    def start(self) -> None:
        """Make the folder, and find the files of earlier runs. Raises SinkError."""
        names = prepare_folder(self._folder)
        self._batch_s = 0.0 if self._waiting else time.monotonic()
        try:
            self._segments.start(names)
            self._daily.start(self._segments.paths())
            self._file = self._segments.last()
            self._written = 0 if self._file is None else self._file.stat().st_size
        except OSError as error:
            raise unwritable(self._folder, error) from error

    def handle(self, item: Publication) -> bool:
        """Keep a record.

        Returns:
            Whether a batch was written.

        Raises:
            SinkError: the batch cannot be written; it is retried with the next record.
        """
        if not isinstance(item, Result):
            self._add(encode(item), of_frame=False)
        elif self._detections and len(item.detections):
            self._add(encode(detections_record(item)), of_frame=True)
        is_due = time.monotonic() - self._batch_s >= _BATCH_S
        if is_due or len(self._waiting) >= _BATCH_BYTES or isinstance(item, StatusRecord):
            return self._write()
        return False

    def close(self) -> None:
        """Write what waits. Raises SinkError."""
        self._waiting += self._daily.end()
        self._write()

    def _add(self, line: bytes, *, of_frame: bool) -> None:
        if len(self._waiting) + len(line) > _MOST_WAITING_BYTES:
            raise SinkError(
                f"{self._folder}: {len(self._waiting)} bytes of records are already waiting"
            )
        self._waiting += self._daily.let_through(line, of_frame=of_frame)

    def _write(self) -> bool:
        self._batch_s = time.monotonic()
        if not self._waiting:
            return False
        try:
            if self._file is None or self._written >= self._segments.segment_bytes:
                self._file, self._written = self._segments.begin(), 0
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
        return True
