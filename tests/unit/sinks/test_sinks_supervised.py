"""A sink that fails, and comes back."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable

import pytest
from recorded import Camera
from results import a_result

from pi_detector.config.settings import RecoverySettings
from pi_detector.core import outage
from pi_detector.core.records import Publication, StatusRecord, status_record
from pi_detector.core.result import Result
from pi_detector.errors import ReaderGoneError, SinkError
from pi_detector.sinks import supervised as supervised_module
from pi_detector.sinks.supervised import SupervisedSink

FULL = "/recordings: cannot write: No space left on device"


class FragileSink:
    """Has nothing to write for status records."""

    name = "fragile"
    lossless = False

    def __init__(self) -> None:
        self.broken = False
        self.error: Callable[[], Exception] = lambda: SinkError(FULL)
        self.seen: list[Publication] = []
        self.starts = 0

    def start(self) -> None:
        self.starts += 1
        self.check()

    def handle(self, item: Publication) -> bool:
        self.check()
        self.seen.append(item)
        return not isinstance(item, StatusRecord)

    def close(self) -> None:
        self.check()

    def check(self) -> None:
        if self.broken:
            raise self.error()


class Clock:
    """The time of everything that is supervised here."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = time.monotonic()
        monkeypatch.setattr(outage.time, "monotonic", lambda: self.now_s)

    def wait(self, seconds: float = 1.0) -> None:
        self.now_s += seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def supervise(
    sink: FragileSink, mode: str = "after-start", delay_s: float = 0.5
) -> tuple[SupervisedSink, list[StatusRecord]]:
    records: list[StatusRecord] = []
    recovery = RecoverySettings(mode=mode, first_delay_s=delay_s, longest_delay_s=8 * delay_s)  # type: ignore[arg-type]
    return SupervisedSink(sink, recovery, records.append), records


def down(delay_s: float = 0.5) -> tuple[FragileSink, SupervisedSink, list[StatusRecord]]:
    """A sink that wrote the first result, failed at the second, and could work again."""
    sink = FragileSink()
    supervised, records = supervise(sink, delay_s=delay_s)
    supervised.start()
    supervised.handle(a_result(0))
    sink.broken = True
    supervised.handle(a_result(1))
    sink.broken = False
    return sink, supervised, records


def sequences(sink: FragileSink) -> list[int]:
    return [item.frame.sequence for item in sink.seen if isinstance(item, Result)]


def test_an_outage_is_counted_told_and_over(clock: Clock):
    sink = FragileSink()
    supervised, records = supervise(sink)
    supervised.start()
    supervised.handle(a_result(0))
    sink.broken = True
    for number in range(1, 4):
        supervised.handle(a_result(number))
    supervised.handle(status_record("source", "camera", "live"))
    sink.broken = False
    clock.wait()
    supervised.handle(a_result(4))
    assert sequences(sink) == [0, 4]
    assert sink.starts == 2, "what is missing is made again"
    failed, live = records
    assert (failed.part, failed.name, failed.state, failed.reason) == (
        "sink",
        "fragile",
        "failed",
        FULL,
    )
    assert (live.state, live.lost) == ("live", 3)


def test_a_sink_that_is_down_is_left_alone_until_it_is_due():
    sink, supervised, records = down(delay_s=3600)
    supervised.handle(a_result(2))
    assert len(sink.seen) == 1
    assert len(records) == 1


def test_events_and_status_wait_for_a_sink_that_is_down(clock: Clock):
    sink, supervised, records = down()
    told = [
        Camera(sink).record("visitor", "new"),  # type: ignore[arg-type]
        status_record("source", "camera", "live"),
        Camera(sink).record("visitor", "end", reason="gone"),  # type: ignore[arg-type]
    ]
    for item in told:
        supervised.handle(item)
    supervised.handle(a_result(2))
    assert len(sink.seen) == 1
    clock.wait()
    supervised.handle(a_result(3))
    assert sink.seen[1:4] == told, "in their order"
    assert sequences(sink) == [0, 3]
    assert [(record.state, record.lost) for record in records] == [("failed", 0), ("live", 2)]


def test_what_waits_has_a_bound(clock: Clock, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(supervised_module, "MOST_KEPT", 3)
    sink, supervised, records = down()
    told = [Camera(sink).record(f"visitor {n}", "new") for n in range(5)]  # type: ignore[arg-type]
    for item in told:
        supervised.handle(item)
    clock.wait()
    supervised.handle(a_result(2))
    assert sink.seen[1:4] == told[2:]
    assert records[-1].lost == 3


def test_only_what_was_written_ends_an_outage(clock: Clock):
    _sink, supervised, records = down()
    for _ in range(3):
        clock.wait(10)
        supervised.handle(status_record("source", "camera", "live"))
    assert [record.state for record in records] == ["failed"]
    supervised.handle(a_result(2))
    assert [record.state for record in records] == ["failed", "live"]


@pytest.mark.parametrize("mode", ["after-start", "always"])
@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("can't start new thread"),
        OSError(errno.EMFILE, "Too many open files"),
        MemoryError(),
        BrokenPipeError("of a socket of its own"),
    ],
    ids=repr,
)
def test_whatever_it_raises_is_its_own_failure(
    error: Exception, mode: str, clock: Clock, caplog: pytest.LogCaptureFixture
):
    sink = FragileSink()
    supervised, records = supervise(sink, mode)
    sink.error, sink.broken = lambda: error, True
    supervised.start()
    for number in range(5):
        supervised.handle(a_result(number))
        clock.wait(60)
    assert caplog.text.count("Traceback (most recent call last)") == 1
    assert type(error).__name__ in (records[0].reason or "")
    assert [record.state for record in records] == ["failed"]
    sink.broken = False
    supervised.handle(a_result(5))
    assert sequences(sink) == [5]
    assert [record.state for record in records] == ["failed", "live"]
    sink.broken = True
    supervised.close()
    assert "sink_failed" in {getattr(each, "DETECTOR_EVENT", "") for each in caplog.records}


def test_a_sink_that_fails_at_every_other_try_is_tried_less_and_less_often(clock: Clock):
    sink = FragileSink()
    supervised, records = supervise(sink)
    supervised.start()
    supervised.handle(a_result(0))
    for number in range(1, 1000):
        sink.broken = not sink.broken
        supervised.handle(a_result(number))
        clock.wait(0.1)
    assert len(records) < 120, "in 100 seconds, with delays of 2 to 4 seconds"
    clock.wait(60)
    sink.broken = False
    supervised.handle(a_result(0))
    clock.wait(60)
    sink.broken = True
    supervised.handle(a_result(0))
    assert (records[-1].retry_s or 0) <= 0.5, "it had worked for a while"


def test_a_reader_that_is_gone_ends_the_run():
    sink = FragileSink()
    supervised, _ = supervise(sink)
    supervised.start()
    sink.error, sink.broken = lambda: ReaderGoneError("gone"), True
    with pytest.raises(BrokenPipeError):
        supervised.handle(a_result(0))


def test_a_sink_that_never_worked_ends_the_run_unless_it_is_to_be_waited_for(clock: Clock):
    sink = FragileSink()
    sink.broken = True
    supervised, records = supervise(sink)
    with pytest.raises(SinkError):
        supervised.start()
    sink.broken = False
    supervised.start()
    sink.broken = True
    with pytest.raises(SinkError):
        supervised.handle(a_result(0))

    waited_for, records = supervise(sink, mode="always")
    waited_for.start()
    sink.broken = False
    clock.wait()
    waited_for.handle(a_result(0))
    assert len(sink.seen) == 1
    assert [record.state for record in records] == ["failed", "live"]


def test_closing_a_sink_that_is_down_ends_its_outage():
    sink = FragileSink()
    supervised, records = supervise(sink, delay_s=3600)
    supervised.start()
    supervised.handle(a_result(0))
    sink.broken = True
    supervised.handle(a_result(1))
    supervised.handle(a_result(2))
    supervised.close()
    assert [(record.state, record.lost) for record in records] == [("failed", 0), ("stopped", 2)]


def test_a_sink_that_cannot_finish_says_so_and_the_others_are_closed(
    caplog: pytest.LogCaptureFixture,
):
    sink = FragileSink()
    supervised, _ = supervise(sink)
    supervised.start()
    sink.broken = True
    supervised.close()
    assert FULL in caplog.text
