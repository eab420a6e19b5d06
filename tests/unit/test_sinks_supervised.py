"""A sink that fails, and comes back."""

from __future__ import annotations

import time

import pytest
from recorded import Camera
from test_sinks_stdout import a_result

from pi_detector.config.settings import RecoverySettings
from pi_detector.core.records import Publication, Result, StatusRecord, status_record
from pi_detector.errors import SinkError
from pi_detector.sinks.supervised import SupervisedSink

FULL = "/recordings: cannot write: No space left on device"


class FragileSink:
    name = "fragile"
    lossless = False

    def __init__(self) -> None:
        self.broken = False
        self.seen: list[Publication] = []
        self.starts = 0

    def start(self) -> None:
        self.starts += 1
        self.check()

    def handle(self, item: Publication) -> None:
        self.check()
        self.seen.append(item)

    def close(self) -> None:
        self.check()

    def check(self) -> None:
        if self.broken:
            raise SinkError(FULL)


def supervise(
    sink: FragileSink, mode: str = "after-start", delay_s: float = 0.02
) -> tuple[SupervisedSink, list[StatusRecord]]:
    records: list[StatusRecord] = []
    recovery = RecoverySettings(mode=mode, first_delay_s=delay_s, longest_delay_s=delay_s)  # type: ignore[arg-type]
    return SupervisedSink(sink, recovery, records.append), records


def test_an_outage_is_counted_told_and_over():
    sink = FragileSink()
    supervised, records = supervise(sink)
    supervised.start()
    supervised.handle(a_result(0))
    sink.broken = True
    for number in range(1, 4):
        supervised.handle(a_result(number))
    supervised.handle(status_record("source", "camera", "live"))
    sink.broken = False
    time.sleep(0.03)
    supervised.handle(a_result(4))
    sequences = [item.frame.sequence for item in sink.seen if isinstance(item, Result)]
    assert sequences == [0, 4]
    failed, live = records
    assert (failed.part, failed.name, failed.state, failed.reason) == (
        "sink",
        "fragile",
        "failed",
        FULL,
    )
    assert (live.state, live.lost) == ("live", 3)


def test_a_sink_that_is_down_is_left_alone_until_it_is_due():
    sink = FragileSink()
    supervised, records = supervise(sink, delay_s=3600)
    supervised.start()
    supervised.handle(a_result(0))
    sink.broken = True
    supervised.handle(a_result(1))
    sink.broken = False
    supervised.handle(a_result(2))
    assert len(sink.seen) == 1
    assert len(records) == 1


def test_events_reach_a_sink_that_is_down():
    sink = FragileSink()
    supervised, records = supervise(sink, delay_s=3600)
    supervised.start()
    supervised.handle(a_result(0))
    sink.broken = True
    supervised.handle(a_result(1))
    end = Camera(sink).record("visitor", "end", reason="gone")  # type: ignore[arg-type]
    supervised.handle(end)
    assert end not in sink.seen
    sink.broken = False
    supervised.handle(end)
    assert sink.seen[-1] is end
    assert [record.state for record in records] == ["failed"], "it may have written nothing"


def test_a_sink_that_never_worked_ends_the_run_unless_it_is_to_be_waited_for():
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
    time.sleep(0.03)
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
