"""The pipeline under supervision, with real threads: what it outlives, and what it tells."""

import threading
import time

import msgspec
import numpy as np
import pytest
from doubles import CountingSource, ListSink, SleepingDetector
from waiting import PATIENCE_S, until

from pi_detector.config.settings import RecoverySettings, Settings
from pi_detector.core.geometry import Detections
from pi_detector.core.records import EventRecord, StatusRecord
from pi_detector.core.result import Result
from pi_detector.errors import SinkError, SourceLostError, SourceStuckError
from pi_detector.events.stage import EventStage
from pi_detector.pipeline import pipeline as pipeline_module
from pi_detector.pipeline.pipeline import Pipeline
from pi_detector.pipeline.supervision import Supervision


def supervision(mode="after-start", delay_s=0.01, read_timeout_s=0.1, grace_s=0.1):
    recovery = RecoverySettings(mode=mode, first_delay_s=delay_s, longest_delay_s=delay_s)
    return Supervision(recovery, read_timeout_s=read_timeout_s, grace_s=grace_s)


class Returning(CountingSource):
    """Is lost after every tenth frame."""

    def __init__(self):
        super().__init__(live=True, interval_s=0.001)
        self.losses = 0

    def read(self):
        if self.next == 10 * (self.losses + 1):
            self.losses += 1
            raise SourceLostError("counting: the stream ended")
        return super().read()


def test_a_supervised_source_comes_back_and_says_so_to_the_sinks():
    class StatusSink(ListSink):
        def handle(self, item):
            if isinstance(item, StatusRecord):
                self.sequences.append((item.part, item.state))

    source, sink = Returning(), StatusSink()
    pipeline = Pipeline(source, SleepingDetector(), [sink], supervision=supervision())
    counters = pipeline.run(threading.Event(), max_frames=25)
    assert counters.processed == 25
    assert source.losses >= 2
    assert sink.sequences[:3] == [("source", "live"), ("source", "reopening"), ("source", "live")]


def test_a_failing_sink_does_not_stop_detection():
    class Full(ListSink):
        def handle(self, item):
            if self.sequences:
                raise SinkError("disk full")
            super().handle(item)

    full, other = Full(), ListSink()
    other.name = "other"
    source = CountingSource(frames=200, live=True, interval_s=0.001)
    counters = Pipeline(source, SleepingDetector(), [full, other], supervision=supervision()).run(
        threading.Event()
    )
    assert counters.captured == 200 == counters.processed + counters.dropped
    assert len(other.sequences) + counters.sink_dropped["other"] >= counters.processed


def test_a_sink_that_hangs_does_not_stop_detection_of_a_live_source():
    class Hanging(ListSink):
        def handle(self, item):
            release.wait()

    release, other = threading.Event(), ListSink()
    hanging = Hanging(lossless=True)
    hanging.name = "hanging"
    source = CountingSource(frames=100, live=True, interval_s=0.001)
    pipeline = Pipeline(source, SleepingDetector(), [hanging, other], supervision=supervision())

    def release_at_the_end():
        while pipeline.counters.captured < 100:
            time.sleep(0.01)
        release.set()

    threading.Thread(target=release_at_the_end).start()
    counters = pipeline.run(threading.Event())
    assert counters.captured == 100 == counters.processed + counters.dropped
    assert counters.sink_dropped["hanging"] >= counters.processed - 10
    assert len(other.sequences) + counters.sink_dropped["list"] >= counters.processed


def test_a_driver_that_hangs_ends_the_run_for_a_restart():
    release = threading.Event()
    source = CountingSource(live=True, block=release)
    pipeline = Pipeline(source, SleepingDetector(), [], supervision=supervision())
    with pytest.raises(SourceStuckError, match="restart pi-detector"):
        pipeline.run(threading.Event())
    assert pipeline.unstopped == ["capture"]
    assert source.closed == 0
    release.set()


def test_progress_stands_still_while_the_detector_hangs():
    class Hanging(SleepingDetector):
        def infer(self, staged):
            frames.append(staged)
            if len(frames) == 2:
                seen.set()
                release.wait()
            return super().infer(staged)

    frames = []
    seen, release, stop = threading.Event(), threading.Event(), threading.Event()
    source = CountingSource(live=True, interval_s=0.001)
    pipeline = Pipeline(source, Hanging(), [], supervision=supervision(read_timeout_s=10))
    runner = threading.Thread(target=pipeline.run, args=[stop])
    runner.start()
    assert seen.wait(PATIENCE_S)
    before = pipeline.progressed_s
    time.sleep(0.5)
    assert pipeline.progressed_s == before > 0
    stop.set()
    release.set()
    runner.join(PATIENCE_S)
    assert pipeline.progressed_s > before


def test_progress_goes_on_while_a_source_is_waited_for():
    source, stop = Returning(), threading.Event()
    pipeline = Pipeline(source, SleepingDetector(), [], supervision=supervision(delay_s=60.0))
    runner = threading.Thread(target=pipeline.run, args=[stop])
    runner.start()
    until(lambda: pipeline.source_state == "reopening")
    for _ in range(3):
        before = pipeline.progressed_s
        until(lambda before=before: pipeline.progressed_s > before)
    assert pipeline.source_state == "reopening"
    stop.set()
    runner.join(PATIENCE_S)
    assert not runner.is_alive()


class PersonDetector(SleepingDetector):
    """Sees a person in every frame."""

    def decode(self, outputs, width, height):
        time.sleep(0.001)
        box = np.array([[1, 1, 6, 7]], np.float32)
        return Detections(box, np.ones(1, np.float32), np.ones(1, np.int64)), 0.0


class EverythingSink(ListSink):
    """Keeps what it is handed, as words."""

    def handle(self, item):
        match item:
            case Result():
                self.sequences.append("inferred" if item.inferred else "passed over")
            case EventRecord():
                self.sequences.append(item.reason or item.phase)
            case StatusRecord() if item.part == "detection":
                self.sequences.append(item.state)


def test_while_paused_frames_are_read_and_nothing_is_detected():
    settings = msgspec.convert(
        {"events": {"min_hits": 1, "window": 1, "min_duration_s": 0}}, Settings
    )
    sink, stop = EverythingSink(), threading.Event()
    pipeline = Pipeline(
        CountingSource(live=True, interval_s=0.002),
        PersonDetector(),
        [sink],
        supervision=supervision(),
        stage=EventStage(settings, {1: "person"}, {1: 0.5}),
    )
    pipeline.report_detection()
    runner = threading.Thread(target=pipeline.run, args=[stop])
    runner.start()

    def wait_until_told(word, times=1):
        until(lambda: sink.sequences.count(word) >= times, lambda: word)

    wait_until_told("new")
    pipeline.pause()
    wait_until_told("passed over")
    before = pipeline.counters.processed, pipeline.progressed_s
    wait_until_told("passed over", 50)
    assert pipeline.paused
    assert pipeline.counters.processed > before[0]
    assert pipeline.progressed_s > before[1], "the watchdog is fed"
    pipeline.resume()
    wait_until_told("new", 2)
    stop.set()
    runner.join(PATIENCE_S)

    told = sink.sequences
    assert told[0] == "live"
    # The event's reason comes before the status, and both are the same word.
    first, second = (at for at, word in enumerate(told) if word == "paused")
    assert second == first + 1
    back = told.index("live", second)
    assert set(told[1:first]) == {"inferred", "new"}
    assert set(told[second + 1 : back]) == {"passed over"}
    assert set(told[back + 1 :]) == {"inferred", "new", "shutdown"}


def test_a_sink_that_hangs_at_the_end_does_not_keep_the_others_from_being_closed(monkeypatch):
    class Hanging(ListSink):
        def handle(self, item):
            hangs.set()
            release.wait()

    monkeypatch.setattr(pipeline_module, "STOP_DEADLINE_S", 0.5)
    hangs, release, stop = threading.Event(), threading.Event(), threading.Event()
    hanging, others = Hanging(), [ListSink() for _ in range(4)]
    hanging.name = "hanging"
    source = CountingSource(live=True, interval_s=0.001)
    sinks = [hanging, *others]
    pipeline = Pipeline(source, SleepingDetector(), sinks, supervision=supervision())
    runner = threading.Thread(target=pipeline.run, args=[stop])
    runner.start()
    assert hangs.wait(PATIENCE_S)
    until(lambda: pipeline.sink_dropped["hanging"])  # its queue is full
    stop.set()
    runner.join(PATIENCE_S)
    assert pipeline.unstopped == ["sink-hanging"]
    assert [sink.closed for sink in others] == [True] * 4
    lost = pipeline.counters.sink_dropped["hanging"]
    release.set()
    assert lost >= pipeline.counters.processed - 1, "also what waited for it"


def test_a_frame_that_can_neither_be_followed_nor_passed_on_is_counted():
    class Broken(EventStage):
        def process(self, result):
            raise ValueError("broken")

        def unfollowed(self, result):
            raise ValueError("broken as well")

        def afresh(self):
            return self

    sink = ListSink()
    pipeline = Pipeline(
        CountingSource(frames=50, live=True, interval_s=0.005),
        SleepingDetector(),
        [sink],
        supervision=supervision(),
        stage=Broken(Settings(), {1: "person"}, {1: 0.5}),
    )
    counters = pipeline.run(threading.Event())
    assert counters.sink_dropped["events"] == counters.processed > 0
    assert not sink.sequences
