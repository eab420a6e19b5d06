"""A source that fails in all its ways, and what its supervisor makes of that."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from pi_detector.config.settings import RecoverySettings
from pi_detector.core.clock import utc_now
from pi_detector.core.frame import Frame
from pi_detector.core.records import StatusRecord
from pi_detector.errors import (
    ConfigError,
    PiDetectorError,
    SourceLostError,
    SourceNotFoundError,
    SourceStalledError,
    SourceStuckError,
)
from pi_detector.sources.supervised import SupervisedSource

IMAGE = np.zeros((8, 8, 3), np.uint8)
Step = PiDetectorError | str
GONE = SourceLostError("camera: the stream ended")
STALL = SourceStalledError("camera: no frame for 5.0 s")
ABSENT = SourceNotFoundError("no camera at /dev/video0")


class ScriptedSource:
    """Does what a script says: at each open and read, an error or a frame."""

    live = True
    name = "camera"

    def __init__(self, opens: list[Step], reads: list[Step], close: PiDetectorError | None = None):
        self.opens, self.reads, self.close_error = iter(opens), iter(reads), close
        self.is_open = False
        self.opened, self.closed, self.frames = 0, 0, 0

    def open(self, model_size: tuple[int, int] | None = None) -> None:
        assert not self.is_open, "opened twice"
        self.opened += 1
        self._next(self.opens)
        self.is_open = True

    def read(self) -> Frame | None:
        assert self.is_open
        if self._next(self.reads) == "end":
            return None
        self.frames += 1
        return Frame(IMAGE, self.frames - 1, time.monotonic_ns(), utc_now(), self.name)

    def close(self) -> None:
        self.closed += 1
        self.is_open = False
        if self.close_error is not None:
            raise self.close_error

    @staticmethod
    def _next(script: Iterator[Step]) -> Step:
        step = next(script, "frame")
        if isinstance(step, PiDetectorError):
            raise step
        return step


def supervise(
    source: ScriptedSource,
    mode: str = "after-start",
    delay_s: float = 0.01,
    read_timeout_s: float = 0.1,
    grace_s: float = 0.1,
) -> tuple[SupervisedSource, list[StatusRecord]]:
    records: list[StatusRecord] = []
    recovery = RecoverySettings(mode=mode, first_delay_s=delay_s, longest_delay_s=delay_s)  # type: ignore[arg-type]
    supervised = SupervisedSource(
        source,
        recovery,
        read_timeout_s=read_timeout_s,
        grace_s=grace_s,
        report=records.append,
    )
    return supervised, records


def numbers(supervised: SupervisedSource, count: int) -> list[int]:
    frames = [supervised.read() for _ in range(count)]
    return [frame.sequence for frame in frames if frame is not None]


def test_a_source_that_works_is_left_alone():
    source = ScriptedSource([], [])
    supervised, records = supervise(source)
    supervised.open((8, 8))
    assert numbers(supervised, 5) == [0, 1, 2, 3, 4]
    assert (supervised.state, source.opened, source.closed) == ("live", 1, 0)
    assert [record.state for record in records] == ["live"]


def test_a_lost_source_is_opened_until_it_is_there_again():
    source = ScriptedSource(["ok", ABSENT, ABSENT], ["frame", "frame", GONE])
    supervised, records = supervise(source)
    supervised.open()
    assert numbers(supervised, 4) == [0, 1, 2, 3]
    assert source.opened == 4
    assert [(r.state, r.reason) for r in records] == [
        ("live", None),
        ("reopening", str(GONE)),
        ("reopening", str(ABSENT)),
        ("live", None),
    ]
    assert records[1].retry_s is not None
    assert 0.005 <= records[1].retry_s <= 0.01


def test_a_stall_is_told_from_a_loss():
    source = ScriptedSource([], ["frame", STALL])
    supervised, records = supervise(source)
    supervised.open()
    assert numbers(supervised, 2) == [0, 1]
    assert [record.state for record in records] == ["live", "stalled", "live"]


def test_a_reason_is_told_once_and_not_at_every_try(caplog: pytest.LogCaptureFixture):
    source = ScriptedSource(["ok", *[ABSENT] * 20], ["frame", GONE])
    supervised, records = supervise(source, delay_s=0.001)
    supervised.open()
    numbers(supervised, 2)
    assert [record.reason for record in records].count(str(ABSENT)) == 1
    warnings = [r for r in caplog.records if r.levelname == "WARNING"]
    assert [r.__dict__["DETECTOR_EVENT"] for r in warnings] == [
        "source_lost",
        "source_lost",
        "source_live",
    ]


def test_a_source_that_never_worked_ends_the_run_unless_it_is_to_be_waited_for():
    supervised, records = supervise(ScriptedSource([ABSENT], []))
    with pytest.raises(SourceNotFoundError):
        supervised.open()
    assert records == []

    supervised, records = supervise(ScriptedSource([ABSENT], []), mode="always")
    supervised.open()
    assert numbers(supervised, 1) == [0]
    assert [record.state for record in records] == ["reopening", "live"]


def test_a_first_read_that_fails_ends_the_run_too():
    supervised, _ = supervise(ScriptedSource([], [STALL]))
    supervised.open()
    with pytest.raises(SourceStalledError):
        supervised.read()


def test_what_waiting_cannot_mend_ends_the_run():
    supervised, _ = supervise(ScriptedSource([ConfigError("source.uri: nonsense")], []), "always")
    with pytest.raises(ConfigError):
        supervised.open()


def test_a_source_that_cannot_be_closed_needs_a_restart():
    lost = SourceLostError("picamera:0 cannot be closed; restart pi-detector")
    supervised, _ = supervise(ScriptedSource([], ["frame", GONE], close=lost))
    supervised.open()
    supervised.read()
    with pytest.raises(SourceStuckError, match="restart pi-detector"):
        supervised.read()


def test_the_end_of_a_source_is_its_end():
    supervised, _ = supervise(ScriptedSource([], ["frame", "end"]))
    supervised.open()
    assert supervised.read() is not None
    assert supervised.read() is None


def test_a_stop_ends_a_long_wait_at_once():
    supervised, _ = supervise(ScriptedSource([], ["frame", GONE]), delay_s=3600)
    supervised.open()
    supervised.read()
    threading.Timer(0.1, supervised.stop).start()
    started = time.monotonic()
    assert supervised.read() is None
    assert time.monotonic() - started < 10


class Blocking(ScriptedSource):
    """Hangs in one of its methods until it is released."""

    def __init__(self, where: str) -> None:
        super().__init__([], ["frame", GONE] if where == "close" else [])
        self.where, self.released = where, threading.Event()

    def open(self, model_size: tuple[int, int] | None = None) -> None:
        if self.where == "open":
            self.released.wait()
        super().open(model_size)

    def read(self) -> Frame | None:
        if self.where == "read" and self.frames:
            self.released.wait()
        return super().read()

    def close(self) -> None:
        if self.where == "close":
            self.released.wait()
        super().close()


@pytest.mark.parametrize("where", ["read", "close"])
def test_a_driver_that_hangs_is_seen_from_outside(where: str):
    source = Blocking(where)
    supervised, _ = supervise(source)
    supervised.open()
    supervised.read()
    reader = threading.Thread(target=supervised.read, daemon=True)
    reader.start()
    assert not supervised.overdue
    wait_until(lambda: supervised.overdue)
    supervised.stop()
    source.released.set()
    reader.join(10)
    assert not reader.is_alive()


def test_a_wait_before_the_next_try_is_no_hang():
    supervised, _ = supervise(ScriptedSource([], ["frame", GONE]), delay_s=1.0)
    supervised.open()
    supervised.read()
    reader = threading.Thread(target=supervised.read, daemon=True)
    reader.start()
    wait_until(lambda: supervised.state == "reopening")
    end = time.monotonic() + 0.4  # longer than the deadline of a read, 0.2 s
    while time.monotonic() < end and supervised.state == "reopening":
        assert not supervised.overdue
        time.sleep(0.01)
    supervised.stop()
    reader.join(10)


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
