"""Stopping on a signal, also when the main thread is stuck in C code."""

from __future__ import annotations

import logging
import os
import select
import signal
import threading
import time
from types import FrameType

logger = logging.getLogger(__name__)

STOP_DEADLINE_S = 5.0
EXIT_SECOND_SIGINT = 130
# Wrappers such as timeout(1) signal the process and its group: that is one wish, not two.
SAME_WISH_S = 0.5
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def stop_on_signals(deadline_s: float = STOP_DEADLINE_S) -> threading.Event:
    """Make SIGINT and SIGTERM ask for an end instead of ending the process.

    A thread of its own reads the signals from a pipe that the C handler writes to: an event that
    is set in a Python handler may deadlock with the main thread that waits for it, and a main
    thread inside a camera's driver runs no Python handlers at all.

    Args:
        deadline_s: after the first signal the process has this long to end; then it is ended.

    Returns:
        The event that the first signal sets. A second SIGINT ends the process at once.
    """
    stop = threading.Event()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in _SIGNALS:
        signal.signal(number, _leave_to_the_pipe)
    threading.Thread(
        target=_watch, args=(reader, stop, deadline_s), name="signals", daemon=True
    ).start()
    return stop


def _leave_to_the_pipe(number: int, frame: FrameType | None) -> None:
    """A Python handler must exist for the C handler to write to the wakeup pipe."""


def _watch(reader: int, stop: threading.Event, deadline_s: float) -> None:
    first = _next_signal(reader, None)
    logger.debug("%s: stopping", signal.Signals(first or signal.SIGTERM).name)
    asked = time.monotonic()
    stop.set()
    while (left_s := asked + deadline_s - time.monotonic()) > 0:
        number = _next_signal(reader, left_s)
        if number == signal.SIGINT and time.monotonic() - asked > SAME_WISH_S:
            os._exit(EXIT_SECOND_SIGINT)
    logger.error("something did not stop within %.0f s; ending the process", deadline_s)
    os._exit(os.EX_SOFTWARE)


def _next_signal(reader: int, timeout_s: float | None) -> int | None:
    """The next of the signals, or None after ``timeout_s``."""
    while select.select([reader], [], [], timeout_s)[0]:
        number = os.read(reader, 1)[0]
        if number in _SIGNALS:
            return number
    return None
