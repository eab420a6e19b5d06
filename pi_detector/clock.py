"""Wall time, and whether it can be trusted: a Pi has no clock battery."""

from __future__ import annotations

import ctypes
import time
from datetime import UTC, datetime

_STA_UNSYNC = 0x40
_TIME_ERROR = 5
_TIMEX_BYTES = 208  # sizeof(struct timex) on 64-bit Linux
_STATUS_OFFSET = 40  # offsetof(struct timex, status) on 64-bit Linux
_REFRESH_S = 1.0

_checked_at = -_REFRESH_S
_synchronized = False


def utc_now() -> datetime:
    """The wall time in UTC, aware."""
    return datetime.now(UTC)


def clock_synchronized() -> bool:
    """Whether the kernel says that its clock is disciplined (NTP, chrony, PTP).

    Source: adjtimex(2): ``STA_UNSYNC`` in the status word. Asked at most once a second.
    """
    global _checked_at, _synchronized
    now = time.monotonic()
    if now - _checked_at >= _REFRESH_S:
        buffer = ctypes.create_string_buffer(_TIMEX_BYTES)
        state = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
        status = int.from_bytes(buffer.raw[_STATUS_OFFSET : _STATUS_OFFSET + 4], "little")
        _synchronized = 0 <= state < _TIME_ERROR and not status & _STA_UNSYNC
        _checked_at = now
    return _synchronized
