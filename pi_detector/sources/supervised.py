"""A live source that is reopened when it fails."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Literal

from pi_detector.config.settings import RecoverySettings
from pi_detector.core.frame import Frame
from pi_detector.core.outage import words_of
from pi_detector.core.packets import TakePacket
from pi_detector.core.records import StatusRecord, status_record
from pi_detector.errors import (
    ConfigError,
    DependencyMissingError,
    PiDetectorError,
    SourceStalledError,
    SourceStuckError,
)
from pi_detector.sources.base import (
    Adjustable,
    Controls,
    Source,
    interrupt,
    limit_rate,
    rest,
    send_packets,
)
from pi_detector.util.backoff import Backoff

log = logging.getLogger(__name__)

State = Literal["starting", "live", "stalled", "reopening"]

OPEN_LIMIT_S = 45.0
"""Opening a camera takes this long at most, the start of its process included, beside the time that
a read may take."""
# Waiting repairs none of these; the last can only be repaired by a restart.
_FINAL = (ConfigError, DependencyMissingError, SourceStuckError)
_REMINDER_S = 3600.0


class SupervisedSource:
    """Keeps a live source running: ``starting`` -> ``live`` -> ``stalled`` -> ``reopening`` -> ...

    A source that fails is closed and reopened after a delay; the delays grow until it stays live
    for longer than the last of them. Each change is logged and published as a ``status`` record.

    Every call of the source has a deadline, which ``overdue`` compares with the clock: a thread
    inside a driver cannot be interrupted, but other threads can notice that it hangs.

    Args:
        source: a live source.
        recovery: mode and delays.
        read_timeout_s: time after which the source itself ends a read.
        grace_s: time by which the source may exceed its own deadlines before it counts as stuck.
        report: receives the status records, on the thread that reads.

    Attributes:
        state: see above.
    """

    live = True

    def __init__(
        self,
        source: Source,
        recovery: RecoverySettings,
        *,
        read_timeout_s: float,
        grace_s: float,
        report: Callable[[StatusRecord], None],
    ) -> None:
        self.state: State = "starting"
        self._source = source
        self._mode = recovery.mode
        self._backoff = Backoff(recovery.first_delay_s, recovery.longest_delay_s)
        self._read_limit_s = read_timeout_s + grace_s
        self._interval_s = 0.0
        self._grace_s = grace_s
        self._report = report
        self._stopping = threading.Event()
        self._model_size: tuple[int, int] | None = None
        self._is_open = False
        self._was_live = False
        self._live_since_s = 0.0
        self._delay_s = 0.0
        self._told: tuple[str, float] = ("", 0.0)
        self._deadline_s = time.monotonic() + OPEN_LIMIT_S + self._read_limit_s

    @property
    def name(self) -> str:
        """Name of the source."""
        return self._source.name

    def open(self, model_size: tuple[int, int] | None = None) -> None:
        """Open the source.

        Raises:
            PiDetectorError: it cannot be opened, and must not be retried.
        """
        self._model_size = model_size
        try:
            self._open()
        except Exception as error:  # noqa: BLE001 - as in read
            self._failed(error)

    def read(self) -> Frame | None:
        """Return the next frame, reopening the source as often as needed; None once stopped.

        Raises:
            PiDetectorError: the source failed, and must not be retried.
            SourceStuckError: it could not be closed.
        """
        while not self._stopping.is_set():
            try:
                if not self._is_open:
                    self._open()
                self._allow(self._read_limit_s + self._interval_s)
                frame = self._source.read()
            except Exception as error:  # noqa: BLE001 - out of descriptors, threads, memory...
                self._failed(error)
                continue
            if frame is not None and self.state != "live":
                self._now_live()
            return frame
        return None

    def limit_rate(self, rate_fps: float | None) -> bool:
        """Read at most so many frames per second, see ``Paced``. From any thread."""
        obeys = limit_rate(self._source, rate_fps)
        self._interval_s = 1 / rate_fps if obeys and rate_fps else 0.0
        return obeys

    def rest(self, still: bool) -> None:
        """Say whether nothing moves, see ``Resting``. From any thread."""
        rest(self._source, still)

    def send_packets(self, take: TakePacket) -> None:
        """Give the packets away, see ``SendsPackets``."""
        send_packets(self._source, take)

    def adjust(self, controls: Controls) -> bool:
        """Set controls of the camera, see ``Adjustable``. From any thread."""
        return isinstance(self._source, Adjustable) and self._source.adjust(controls)

    def close(self) -> None:
        """Close the source.

        Raises:
            SourceStuckError: it cannot be closed.
        """
        self._is_open = False
        self._allow(self._read_limit_s)
        try:
            self._source.close()
        except PiDetectorError as error:
            raise SourceStuckError(str(error)) from error

    def _let_go(self) -> None:
        """Close the source before a retry. Raises SourceStuckError."""
        try:
            self.close()
        except SourceStuckError:
            raise
        except Exception as error:  # noqa: BLE001 - the next try shows whether it matters
            log.debug("%s: not closed: %s", self.name, words_of(error))

    def stop(self) -> None:
        """End a wait for the next retry, now and in future. Safe to call from any thread."""
        self._stopping.set()

    def interrupt(self) -> None:
        """Stop, and end what the source does where it can be ended. From any thread."""
        self.stop()
        interrupt(self._source)

    @property
    def overdue(self) -> bool:
        """Whether the source, or the driver behind it, hangs: a deadline has passed."""
        return time.monotonic() > self._deadline_s

    def _open(self) -> None:
        self._allow(OPEN_LIMIT_S + self._read_limit_s)
        self._source.open(self._model_size)
        self._is_open = True

    def _allow(self, seconds: float) -> None:
        self._deadline_s = time.monotonic() + seconds

    def _now_live(self) -> None:
        was, self.state = self.state, "live"
        self._was_live = True
        self._live_since_s = time.monotonic()
        log.log(
            logging.INFO if was == "starting" else logging.WARNING,
            "%s: live%s",
            self.name,
            "" if was == "starting" else " again",
            extra={"DETECTOR_EVENT": "source_live", "DETECTOR_SOURCE": self.name},
        )
        self._told = ("", 0.0)
        self._report(status_record("source", self.name, "live"))

    def _failed(self, error: Exception) -> None:
        """Close the source and wait for the retry, or raise an error that must not be retried."""
        if self.state == "live":
            if time.monotonic() - self._live_since_s > self._delay_s:
                self._backoff.reset()
            self.state = "stalled" if isinstance(error, SourceStalledError) else "reopening"
        if isinstance(error, _FINAL) or not (self._was_live or self._mode == "always"):
            raise error
        if self.state == "starting":
            self.state = "reopening"
        self._delay_s = self._backoff.next_s()
        self._tell(error)
        self._let_go()
        self.state = "reopening"
        self._allow(self._delay_s + self._grace_s)
        self._stopping.wait(self._delay_s)

    def _tell(self, error: Exception) -> None:
        """Log why it failed, unless that was logged within the hour."""
        reason, now_s = words_of(error), time.monotonic()
        if reason == self._told[0] and now_s - self._told[1] < _REMINDER_S:
            log.debug("%s; retrying in %.1f s", reason, self._delay_s)
            return
        self._told = (reason, now_s)
        stalled = self.state == "stalled"
        log.warning(
            "%s; retrying in %.1f s, and until it recovers",
            reason,
            self._delay_s,
            exc_info=None if isinstance(error, PiDetectorError) else error,
            extra={
                "DETECTOR_EVENT": "source_stalled" if stalled else "source_lost",
                "DETECTOR_SOURCE": self.name,
            },
        )
        self._report(
            status_record("source", self.name, self.state, reason=reason, retry_s=self._delay_s)
        )
