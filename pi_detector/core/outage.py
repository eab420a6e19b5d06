"""Outages of one part of the run: logged once, retried after growing delays."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pi_detector.core.records import StatusRecord, status_record
from pi_detector.core.states import Part
from pi_detector.errors import PiDetectorError
from pi_detector.util.backoff import Backoff

log = logging.getLogger(__name__)

FIRST_DELAY_S, LONGEST_DELAY_S = 0.5, 30.0


class Outage:
    """Keeps track of a part that fails and recovers; detection continues meanwhile.

    The first failure of an outage is logged and published as a ``status`` record, with its
    traceback where it is none of pi-detector's own errors; the same traceback is logged once. The
    delays start over only after the part has worked for longer than the last of them, so that one
    that fails at every other try is not busy with failing.

    Args:
        part: of the status records.
        name: of the part, for status records and log messages.
        report: takes the status records.
        first_s: the longest that the first delay may be, in seconds.
        longest_s: the longest that any delay may be.

    Attributes:
        down: it failed, and has not worked since.
    """

    def __init__(
        self,
        part: Part,
        name: str,
        report: Callable[[StatusRecord], None],
        *,
        first_s: float = FIRST_DELAY_S,
        longest_s: float = LONGEST_DELAY_S,
    ) -> None:
        self.down = False
        self._part: Part = part
        self._name = name
        self._report = report
        self._backoff = Backoff(first_s, longest_s)
        self._due_s = self._delay_s = 0.0
        self._works_since_s = time.monotonic()
        self._traced = ""

    @property
    def left_s(self) -> float:
        """How long the part is to be left alone, in seconds; 0 when it may be tried."""
        return max(0.0, self._due_s - time.monotonic()) if self.down else 0.0

    def failed(self, error: Exception) -> None:
        """It failed: log it once, and set the time of the next try."""
        now_s = time.monotonic()
        if not self.down and now_s - self._works_since_s > self._delay_s:
            self._backoff.reset()
        self._delay_s = self._backoff.next_s()
        self._due_s = now_s + self._delay_s
        reason = words_of(error)
        trace = self._new_trace(error)
        log.log(
            logging.DEBUG if self.down and not trace else logging.ERROR,
            "%s: %s; retrying in %.1f s; detection continues",
            self._name,
            reason,
            self._delay_s,
            exc_info=error if trace else None,
            extra=self._fields("failed"),
        )
        if not self.down:
            self.down = True
            self._report(
                status_record(
                    self._part, self._name, "failed", reason=reason, retry_s=self._delay_s
                )
            )

    def worked(self, lost: int = 0) -> None:
        """It did its work, which ends an outage.

        Args:
            lost: results that were lost meanwhile.
        """
        if not self.down:
            return
        self.down = False
        self._works_since_s = time.monotonic()
        log.warning(
            "%s: recovered%s",
            self._name,
            f"; at most {lost} results were lost" if lost else "",
            extra=self._fields("live"),
        )
        self._report(status_record(self._part, self._name, "live", lost=lost))

    def stopped(self, lost: int = 0) -> None:
        """It is stopped, whether it failed or not."""
        if self.down:
            self.down = False
            self._report(status_record(self._part, self._name, "stopped", lost=lost))

    @contextmanager
    def contain(self) -> Iterator[None]:
        """Do a piece of its work: an exception is the part's failure, and goes no further."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, detection continues
            self.failed(error)
        else:
            self.worked()

    def _new_trace(self, error: Exception) -> bool:
        """Whether the error is unexpected, and its traceback another than the last one logged."""
        if isinstance(error, PiDetectorError):
            return False
        where = traceback.extract_tb(error.__traceback__)[-1:]
        trace = f"{type(error).__name__} {[(frame.filename, frame.lineno) for frame in where]}"
        before, self._traced = self._traced, trace
        return trace != before

    def _fields(self, state: str) -> dict[str, str]:
        fields = {"DETECTOR_EVENT": f"{self._part}_{state}"}
        return fields | {"DETECTOR_SINK": self._name} if self._part == "sink" else fields


def words_of(error: BaseException) -> str:
    """What an error says; an unexpected one with its kind, without which it may say little."""
    if isinstance(error, PiDetectorError):
        return str(error)
    return f"unexpected {type(error).__name__}: {error}" if str(error) else f"{error!r}"
