"""Signals: stop and reload, even when the main thread is stuck in C code."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

from pi_detector.util.poll import ready

logger = logging.getLogger(__name__)

STOP_DEADLINE_S = 8.0
EXIT_SECOND_SIGINT = 130
# Wrappers such as timeout(1) signal the process and its group: that is one request, not two.
SAME_WISH_S = 0.5


class Signals:
    """Handles SIGINT and SIGTERM as a request to stop, and SIGHUP as a request to reload.

    A separate thread reads the signals from a pipe that the C handler writes to: setting an event
    in a Python handler may deadlock with the main thread that waits for it, and a main thread
    inside a camera driver runs no Python handlers at all.

    SIGHUP reloads if the command can do that, else it stops. It always stops if it comes because
    the terminal of the process was closed. A SIGHUP that was ignored at the start, as by nohup(1),
    stays ignored.

    Args:
        reloads: SIGHUP reloads; one that comes before ``on_hangup`` was called waits for it.
        deadline_s: time for the process to end after the first signal to stop; then it is killed.

    Attributes:
        stop: set by the first signal to stop. A second SIGINT ends the process at once.
    """

    def __init__(self, *, reloads: bool = False, deadline_s: float = STOP_DEADLINE_S) -> None:
        self.stop = threading.Event()
        self._deadline_s = deadline_s
        self._reloads = reloads
        self._hangup: Callable[[], None] | None = None
        self._early_hangup = False
        self._hanging_up = threading.Lock()
        self._on_stop: Callable[[], None] = _nothing_to_stop
        self._had_terminal = _has_terminal()
        self._reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _leave_to_the_pipe)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, _leave_to_the_pipe)
        threading.Thread(target=self._watch, name="signals", daemon=True).start()
        accept_hangup()

    def on_hangup(self, action: Callable[[], None]) -> None:
        """Call ``action`` on SIGHUP, on the signal thread; at once if a SIGHUP has come before."""
        with self._hanging_up:
            self._hangup = action
            if self._early_hangup:
                action()

    def _hang_up(self) -> None:
        with self._hanging_up:
            if self._hangup is None:
                logger.debug(
                    "SIGHUP: the settings will be reloaded once the initial ones are applied"
                )
                self._early_hangup = True
            else:
                self._hangup()

    def on_stop(self, action: Callable[[], None]) -> None:
        """Call ``action`` on the first signal to stop, on the signal thread."""
        self._on_stop = action
        if self.stop.is_set():  # it has come already
            action()

    def _watch(self) -> None:
        number = self._next(None)
        while number == signal.SIGHUP and self._reloads and not self._terminal_closed():
            self._hang_up()
            number = self._next(None)
        logger.debug("%s: stopping", signal.Signals(number or signal.SIGTERM).name)
        asked = time.monotonic()
        self.stop.set()
        self._on_stop()
        while (left_s := asked + self._deadline_s - time.monotonic()) > 0:
            number = self._next(left_s)
            if number == signal.SIGINT and time.monotonic() - asked > SAME_WISH_S:
                os._exit(EXIT_SECOND_SIGINT)
        logger.error("stop not finished within %.0f s; ending the process", self._deadline_s)
        os._exit(os.EX_SOFTWARE)

    def _next(self, timeout_s: float | None) -> int | None:
        """The next signal, or None after ``timeout_s``."""
        while ready([self._reader], timeout_s=timeout_s):
            number = os.read(self._reader, 1)[0]
            if number in {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}:
                return number
        return None

    def _terminal_closed(self) -> bool:
        return self._had_terminal and not _has_terminal()


def accept_hangup() -> None:
    """Unblock SIGHUP; one that came during the start is delivered now. See ``entry``."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


def _nothing_to_stop() -> None:
    """No action: nothing blocks beyond the reach of the event."""


def _has_terminal() -> bool:
    """Whether the process has a controlling terminal that still exists."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _leave_to_the_pipe(number: int, frame: FrameType | None) -> None:
    """Do nothing: a Python handler must exist for the C handler to write to the wakeup pipe."""
