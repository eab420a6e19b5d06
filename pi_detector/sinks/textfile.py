"""A file of metrics for the textfile collector of node_exporter."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pi_detector.core.records import Publication, StatusRecord, status_record
from pi_detector.errors import SinkError
from pi_detector.sinks.files import write_whole
from pi_detector.util.worker import Worker

log = logging.getLogger(__name__)

_STOP_S = 2.0
# The collector runs as another user.
_MODE = 0o644


class TextfileSink:
    """Writes a file every so often, whatever is published, and removes it at the end.

    Args:
        path: of the file.
        interval_s: it is written once in this time.
        text: gives its content; called from this sink's thread.
        report: takes status records about the file.
    """

    name = "textfile"
    lossless = False

    def __init__(
        self,
        path: Path,
        interval_s: float,
        text: Callable[[], bytes],
        report: Callable[[StatusRecord], None],
    ) -> None:
        self._path = path
        self._interval_s = interval_s
        self._text = text
        self._report = report
        self._failing = False
        self._stopping = threading.Event()
        self._worker: Worker | None = None

    def start(self) -> None:
        """Write the file for the first time. Raises SinkError."""
        self._write()
        self._stopping.clear()
        self._worker = Worker("textfile", self._run)

    def handle(self, item: Publication) -> None:  # noqa: ARG002 - a sink is given all
        """Pass over all items; but what ended the thread is raised here."""
        if self._worker is not None and self._worker.error is not None:
            raise self._worker.error

    def close(self) -> None:
        """Stop writing, and remove the file: it would go on saying that all is well."""
        self._stopping.set()
        if self._worker is not None and not self._worker.join(time.monotonic() + _STOP_S):
            log.warning("%s: cannot be removed, its disk does not answer", self._path)
            return
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s: cannot be removed: %s", self._path, error.strerror)

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            try:
                self._write()
            except SinkError as error:
                self._failed(error)
            else:
                self._worked()

    def _write(self) -> None:
        write_whole(self._path, self._text(), mode=_MODE)

    def _failed(self, error: SinkError) -> None:
        if self._failing:
            return
        self._failing = True
        log.error(
            "textfile: %s; trying again every %.0f s", error, self._interval_s, extra=_of("failed")
        )
        self._report(
            status_record("sink", self.name, "failed", reason=str(error), retry_s=self._interval_s)
        )

    def _worked(self) -> None:
        if not self._failing:
            return
        self._failing = False
        log.warning("textfile: works again", extra=_of("live"))
        self._report(status_record("sink", self.name, "live"))


def _of(state: str) -> dict[str, str]:
    return {"DETECTOR_EVENT": f"sink_{state}", "DETECTOR_SINK": TextfileSink.name}
