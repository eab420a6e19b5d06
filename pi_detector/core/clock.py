"""Wall time, and whether it can be trusted: a Pi has no clock battery."""

from __future__ import annotations

import ctypes
import errno
import threading
import time
from datetime import UTC, datetime

from pi_detector.util.programs import asked

_STA_UNSYNC = 0x40
_TIME_ERROR = 5
_TIMEX_BYTES = 208  # sizeof(struct timex) on 64-bit Linux
_STATUS_OFFSET = 40  # offsetof(struct timex, status) on 64-bit Linux
_REFRESH_S = 1.0

_TIMEDATECTL = ("timedatectl", "show", "--property=NTPSynchronized", "--value")
_TIMEDATECTL_TIMEOUT_S = 10.0
# Each question starts systemd-timedated and costs three lines of the journal: soon after a boot
# the answer is about to change, later it hardly does.
_FIRST_PAUSE_S = 15.0
_LONGEST_PAUSE_S = 900.0

_checked_at = -_REFRESH_S
_synchronized = False
_timedated: _Timedated | None = None


def utc_now() -> datetime:
    """The wall time in UTC, aware."""
    return datetime.now(UTC)


def clock_synchronized() -> bool:
    """Whether the kernel says that its clock is disciplined (NTP, chrony, PTP).

    Source: adjtimex(2): ``STA_UNSYNC`` in the status word, read at most once per second. In a
    sandbox that forbids the call, such as systemd's ``ProtectClock=yes``, systemd-timedated makes
    it for us: it is asked in the background, the answer is up to 15 minutes old, and the clock is
    not synchronized until the first one is there.
    """
    global _checked_at, _synchronized, _timedated
    now = time.monotonic()
    if now - _checked_at >= _REFRESH_S:
        _checked_at = now
        answer = _ask_kernel()
        if answer is None:
            _timedated = _timedated or _Timedated()
            answer = _timedated.synchronized
        _synchronized = answer
    return _synchronized


def _ask_kernel() -> bool | None:
    """The kernel's answer, or None where this process may not ask."""
    buffer = ctypes.create_string_buffer(_TIMEX_BYTES)
    state = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    if state < 0:
        return None if ctypes.get_errno() == errno.EPERM else False
    status = int.from_bytes(buffer.raw[_STATUS_OFFSET : _STATUS_OFFSET + 4], "little")
    return state < _TIME_ERROR and not status & _STA_UNSYNC


class _Timedated:
    """A thread that asks systemd-timedated now and then.

    Attributes:
        synchronized: its last answer; False without one.
    """

    def __init__(self) -> None:
        self.synchronized = False
        threading.Thread(target=self._run, name="clock", daemon=True).start()

    def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            self.synchronized = _ask_timedated()
            time.sleep(_LONGEST_PAUSE_S if self.synchronized else pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _ask_timedated() -> bool:
    """The answer of ``timedatectl``; False where it has none."""
    answer = asked(_TIMEDATECTL, _TIMEDATECTL_TIMEOUT_S)
    return answer is not None and answer.stdout.strip() == "yes"
