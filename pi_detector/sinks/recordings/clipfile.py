"""A clip on disk: written in batches, and given its name once it is complete.

A batch is written to the card when it is large or old enough, and is then synced. Each sync also
costs some 10 to 20 KB of the file system's journal: at 100 KB/s and a batch of 5 s that is 4 % on
top of the video, and a power cut costs at most those 5 s of it.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from pi_detector.errors import SinkError
from pi_detector.sinks.files import unwritable
from pi_detector.util.whole_files import sync_folder, unfinished_path

BATCH_BYTES = 4 * 1024 * 1024
BATCH_S = 5.0


class ClipFile:
    """Writes the bytes of a clip. Its methods are called from one thread.

    Args:
        path: the clip's name, which nothing has yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._aside = unfinished_path(path)
        self._handle = -1
        self._batch = bytearray()
        self._written_at = 0.0
        self._length = 0
        self._failed = False

    def write(self, data: bytes) -> None:
        """Add whole fragments.

        Raises:
            SinkError: they cannot be written; what is on the disk then has been given its name,
                and further bytes are ignored.
        """
        if self._failed:
            return
        self._batch += data
        age_s = time.monotonic() - self._written_at
        if len(self._batch) >= BATCH_BYTES or age_s >= BATCH_S:
            self._guarded_flush()

    def finish(self) -> None:
        """Write the rest, make it durable, give the file its name. Raises SinkError."""
        if self._failed:
            return
        self._guarded_flush()
        self._name()

    def give_up(self) -> None:
        """Finish with the bytes so far, and ignore further ones. Raises SinkError."""
        try:
            if self._handle >= 0:
                self.finish()
        finally:
            self._failed = True

    def _guarded_flush(self) -> None:
        try:
            self._flush()
        except OSError as error:
            self._failed = True
            self._rescue()
            raise unwritable(self.path.parent, error) from error

    def _flush(self) -> None:
        if self._handle < 0:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(
                self._aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666
            )
            sync_folder(self.path.parent)
        rest = memoryview(self._batch)
        try:
            while rest:
                rest = rest[os.write(self._handle, rest) :]
        finally:
            rest.release()
        self._length += len(self._batch)
        self._batch.clear()
        os.fdatasync(self._handle)
        self._written_at = time.monotonic()

    def _name(self) -> None:
        try:
            os.close(self._handle)
            self._handle = -1
            if os.path.lexists(self.path):
                raise SinkError(f"{self.path}: the file exists already and is not overwritten")
            self._aside.rename(self.path)
            sync_folder(self.path.parent)
        except SinkError:
            raise
        except OSError as error:
            raise unwritable(self.path.parent, error) from error

    def _rescue(self) -> None:
        """Keep the fragments that are whole, as after a power cut."""
        with suppress(OSError, SinkError):  # the error that led here is the one to report
            if self._length == 0:
                os.close(self._handle)
                self._aside.unlink(missing_ok=True)
            else:
                os.ftruncate(self._handle, self._length)
                self._name()
