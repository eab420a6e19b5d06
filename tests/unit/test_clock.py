from __future__ import annotations

import ctypes
import time
from datetime import UTC, datetime, timedelta

import pytest

from pi_detector import clock

_STA_UNSYNC = 0x40


class Timex(ctypes.Structure):
    """``struct timex`` of linux/timex.h, laid out by the ABI of the machine that runs the test."""

    _fields_ = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time", ctypes.c_long * 2),
        ("tick", ctypes.c_long),
        ("ppsfreq", ctypes.c_long),
        ("jitter", ctypes.c_long),
        ("shift", ctypes.c_int),
        ("stabil", ctypes.c_long),
        ("counters", ctypes.c_long * 4),
        ("tai", ctypes.c_int),
        ("reserved", ctypes.c_int * 11),
    ]


def test_the_offsets_are_those_of_this_machine() -> None:
    assert ctypes.sizeof(Timex) == clock._TIMEX_BYTES
    assert Timex.status.offset == clock._STATUS_OFFSET


def test_it_agrees_with_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_checked_at", -clock._REFRESH_S)
    timex = Timex()
    state = ctypes.CDLL(None).adjtimex(ctypes.byref(timex))
    disciplined = state in range(5) and not timex.status & _STA_UNSYNC
    assert clock.clock_synchronized() == disciplined


def test_the_kernel_is_asked_at_most_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_checked_at", time.monotonic())
    for cached in (True, False):
        monkeypatch.setattr(clock, "_synchronized", cached)
        assert clock.clock_synchronized() is cached


def test_just_after_boot_the_kernel_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = clock.clock_synchronized()
    monkeypatch.setattr(clock, "_checked_at", -clock._REFRESH_S)
    monkeypatch.setattr(clock, "_synchronized", not asked)
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    assert clock.clock_synchronized() is asked


def test_utc_now_is_aware() -> None:
    now = clock.utc_now()
    assert now.utcoffset() == timedelta(0)
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=5)
