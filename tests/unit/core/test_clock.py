from __future__ import annotations

import ctypes
import errno
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pi_detector.core import clock

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


@pytest.fixture
def timedatectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a program in the place of timedatectl."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def put(script: str) -> None:
        program = tmp_path / "timedatectl"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    return put


@pytest.mark.parametrize(
    ("script", "synchronized"),
    [
        ('[ "$*" = "show --property=NTPSynchronized --value" ] && echo yes', True),
        ("echo no", False),
        ("echo 'Failed to connect to bus' >&2; exit 1", False),
    ],
)
def test_the_answer_of_timedated(
    timedatectl: Callable[[str], None], script: str, synchronized: bool
) -> None:
    timedatectl(script)
    assert clock._ask_timedated() is synchronized


@pytest.mark.usefixtures("timedatectl")
def test_without_timedatectl_the_clock_is_not_synchronized() -> None:
    assert clock._ask_timedated() is False


def test_where_the_call_is_forbidden_timedated_is_asked(
    timedatectl: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Forbidding:
        def adjtimex(self, buffer: object) -> int:
            ctypes.set_errno(errno.EPERM)
            return -1

    timedatectl("echo yes")
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: Forbidding())
    monkeypatch.setattr(clock, "_timedated", None)
    deadline = time.monotonic() + 10
    synchronized = False
    while not synchronized and time.monotonic() < deadline:
        monkeypatch.setattr(clock, "_checked_at", -clock._REFRESH_S)
        synchronized = clock.clock_synchronized()
        time.sleep(0.01)
    assert synchronized


def test_utc_now_is_aware() -> None:
    now = clock.utc_now()
    assert now.utcoffset() == timedelta(0)
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=5)
