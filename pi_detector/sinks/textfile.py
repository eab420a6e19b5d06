"""A file of metrics for the textfile collector of node_exporter."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pi_detector.core.records import Publication
from pi_detector.sinks.files import make_folder, write_whole
from pi_detector.util.worker import Worker

log = logging.getLogger(__name__)

_STOP_S = 2.0
# The collector runs as another user.
_MODE = 0o644


class TextfileSink:
    """Writes a file at intervals, whatever is published, and removes it at the end.

    Args:
        path: path of the file; its folder exists, and is recreated if it vanishes.
        interval_s: time between two writes.
        text: returns its content; called from this sink's thread.
    """

    name = "textfile"
    lossless = False

    def __init__(self, path: Path, interval_s: float, text: Callable[[], bytes]) -> None:
        self._path = path
        self._interval_s = interval_s
        self._text = text
        self._written = False
        self._stopping = threading.Event()
        self._worker: Worker | None = None

    def start(self) -> None:
        """Write the file now, and from now on. Raises SinkError."""
        if self._worker is not None:  # the folder was there, and may have been deleted
            make_folder(self._path.parent)
        self._write()
        if self._worker is None or not self._worker.running:
            self._stopping.clear()
            self._worker = Worker("textfile", self._run)

    def handle(self, item: Publication) -> bool:  # noqa: ARG002 - a sink is given all
        """Skip all items.

        Returns:
            Whether the file was written since the last call.

        Raises what ended the thread.
        """
        if self._worker is not None:
            self._worker.check()
        written, self._written = self._written, False
        return written

    def close(self) -> None:
        """Stop writing, and remove the file: it would otherwise keep reporting that all is well."""
        self._stopping.set()
        if self._worker is not None and not self._worker.join(time.monotonic() + _STOP_S):
            log.warning("%s: cannot be removed because its disk does not respond", self._path)
            return
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s: cannot be removed: %s", self._path, error.strerror)

    def _run(self) -> None:
        """Write until the end, or the first failure: the sink is started again after it."""
        while not self._stopping.wait(self._interval_s):
            self._write()

    def _write(self) -> None:
        write_whole(self._path, self._text(), mode=_MODE)
        self._written = True
