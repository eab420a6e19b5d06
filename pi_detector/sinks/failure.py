"""The failure of a sink that waits for a server: logged and reported once per reason."""

from __future__ import annotations

import logging
from collections.abc import Callable

from pi_detector.core.records import StatusRecord, status_record

log = logging.getLogger(__name__)


class Failure:
    """Logs and reports why a connection fails, when the reason changes, and that it works again.

    Args:
        name: of the connection, for records and logs.
        report: takes status records.

    Attributes:
        reason: why it fails, or None.
    """

    def __init__(self, name: str, report: Callable[[StatusRecord], None]) -> None:
        self.reason: str | None = None
        self._name = name
        self._report = report

    def failed(
        self,
        reason: str,
        outlook: str,
        *,
        retry_s: float | None = None,
        error: Exception | None = None,
    ) -> None:
        """The connection failed.

        Args:
            reason: in words.
            outlook: what happens next, in words.
            retry_s: seconds until the next try.
            error: unexpected, logged with its traceback.
        """
        if reason == self.reason:
            log.debug("%s: %s; %s", self._name, reason, outlook)
            return
        self.reason = reason
        fields = self._fields("sink_failed")
        log.error("%s: %s; %s", self._name, reason, outlook, exc_info=error, extra=fields)
        self._report(status_record("sink", self._name, "failed", reason=reason, retry_s=retry_s))

    def over(self, words: str, *, lost: int = 0) -> None:
        """The connection works again, or for the first time.

        Args:
            words: for the log.
            lost: what was lost meanwhile.
        """
        self.reason = None
        log.info("%s: %s", self._name, words, extra=self._fields("sink_live"))
        self._report(status_record("sink", self._name, "live", lost=lost))

    def _fields(self, event: str) -> dict[str, str]:
        return {"DETECTOR_EVENT": event, "DETECTOR_SINK": self._name}
