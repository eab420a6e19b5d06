"""The pipeline, with real threads, and rooms that keep to the protocols but cost nothing."""

import threading
import time
from dataclasses import dataclass

import msgspec
import numpy as np
import pytest

from pi_detector.clock import utc_now
from pi_detector.config.settings import RecoverySettings, Settings
from pi_detector.detector.detector import Inferred
from pi_detector.errors import SinkError, SourceLostError, SourceStuckError
from pi_detector.events.stage import EventStage
from pi_detector.frame import Frame
from pi_detector.geometry import Detections
from pi_detector.pipeline import Pipeline, Supervision
from pi_detector.records import EventRecord, Result, StatusRecord

IMAGE = np.zeros((8, 8, 3), np.uint8)


class CountingSource:
    def __init__(self, frames=None, live=False, interval_s=0.0, error=None, block=None):
        self.name, self.live = "counting", live
        self.frames, self.interval_s, self.error, self.block = frames, interval_s, error, block
        self.next, self.opened, self.closed = 0, None, 0

    def open(self, model_size=None):
        self.opened = model_size

    def read(self):
        if self.block is not None and self.next:
            self.block.wait()
        if self.next == self.frames:
            if self.error:
                raise self.error
            return None
        time.sleep(self.interval_s)
        self.next += 1
        return Frame(IMAGE, self.next - 1, time.monotonic_ns(), utc_now(), self.name)

    def close(self):
        self.closed += 1


@dataclass
class Ready:
    frame: Frame
    preprocess_ms: float = 0.0


class SleepingDetector:
    """Like an interpreter: it releases the GIL for a fixed time."""

    input_size, labels = (8, 8), {1: "person"}

    def __init__(self, prepare_s=0.0, invoke_s=0.0):
        self.prepare_s, self.invoke_s = prepare_s, invoke_s

    def prepare(self, frame):
        time.sleep(self.prepare_s)
        return Ready(frame)

    def infer(self, ready):
        time.sleep(self.invoke_s)
        return Inferred(ready.frame, None, self.invoke_s * 1e3)

    def decode(self, inferred):
        return Detections(), 0.0


class ListSink:
    def __init__(self, lossless=True, handle_s=0.0, error=None):
        self.name, self.lossless, self.handle_s, self.error = "list", lossless, handle_s, error
        self.sequences, self.started, self.closed = [], False, False

    def start(self):
        self.started = True

    def handle(self, item):
        if not isinstance(item, Result):
            return
        time.sleep(self.handle_s)
        if self.error:
            raise self.error
        self.sequences.append(item.frame.sequence)

    def close(self):
        self.closed = True


def test_every_frame_of_a_file_is_processed_once_and_in_order():
    source, sink = CountingSource(frames=200), ListSink()
    counters = Pipeline(source, SleepingDetector(), [sink]).run(threading.Event())
    assert sink.sequences == list(range(200))
    assert (counters.captured, counters.processed, counters.dropped) == (200, 200, 0)
    assert source.opened == (8, 8)
    assert source.closed == 1
    assert sink.closed


def test_of_a_live_source_the_newest_frame_wins_and_every_frame_is_accounted_for():
    source = CountingSource(frames=200, live=True, interval_s=0.001)
    sink = ListSink()
    counters = Pipeline(source, SleepingDetector(invoke_s=0.01), [sink]).run(threading.Event())
    assert counters.captured == 200
    assert counters.dropped > 50
    assert counters.captured == counters.processed + counters.dropped + counters.abandoned
    assert sink.sequences == sorted(sink.sequences)
    assert len(sink.sequences) + counters.sink_dropped["list"] == counters.processed


def test_preparing_the_next_frame_overlaps_detection_of_this_one():
    class Meeting(SleepingDetector):
        """Its detection of a frame lasts until the next one is being prepared."""

        def __init__(self):
            super().__init__()
            self.prepared = [threading.Event() for _ in range(6)]
            self.met = []

        def prepare(self, frame):
            self.prepared[frame.sequence].set()
            return super().prepare(frame)

        def infer(self, ready):
            following = self.prepared[min(ready.frame.sequence + 1, 5)]
            self.met.append(following.wait(timeout=10))
            return super().infer(ready)

    detector = Meeting()
    Pipeline(CountingSource(frames=6), detector, []).run(threading.Event())
    assert detector.met == [True] * 6


def test_a_slow_sink_loses_results_of_its_own_and_counts_them():
    source, slow, fast = CountingSource(frames=100), ListSink(False, 0.01), ListSink()
    slow.name = "slow"
    counters = Pipeline(source, SleepingDetector(), [slow, fast]).run(threading.Event())
    assert fast.sequences == list(range(100))
    assert len(slow.sequences) + counters.sink_dropped["slow"] == 100
    assert counters.sink_dropped["slow"] > 0


def test_it_stops_when_told_and_publishes_what_was_processed():
    source, sink, stop = CountingSource(live=True, interval_s=0.005), ListSink(), threading.Event()
    threading.Timer(0.3, stop.set).start()
    started = time.monotonic()
    counters = Pipeline(source, SleepingDetector(), [sink]).run(stop)
    assert time.monotonic() - started < 5
    assert len(sink.sequences) + counters.sink_dropped["list"] == counters.processed > 0


def test_it_ends_after_the_frames_asked_for():
    source = CountingSource(live=False)
    counters = Pipeline(source, SleepingDetector(), []).run(threading.Event(), max_frames=7)
    assert counters.processed == 7


def test_a_lost_source_ends_the_run_with_its_error_after_its_last_frame():
    source = CountingSource(frames=5, error=SourceLostError("camera: gone"))
    sink = ListSink()
    with pytest.raises(SourceLostError, match="camera: gone"):
        Pipeline(source, SleepingDetector(), [sink]).run(threading.Event())
    assert sink.sequences == list(range(5))


@pytest.mark.parametrize("error", [SinkError("disk full"), BrokenPipeError()])
def test_a_failing_sink_ends_the_run_with_its_error(error):
    source = CountingSource(live=True, interval_s=0.001)
    with pytest.raises(type(error)):
        Pipeline(source, SleepingDetector(), [ListSink(error=error)]).run(threading.Event())
    assert source.closed == 1


def test_a_source_that_never_returns_is_named_and_does_not_hold_up_the_stop():
    release, stop = threading.Event(), threading.Event()
    source = CountingSource(live=True, block=release)
    pipeline = Pipeline(source, SleepingDetector(), [])
    threading.Timer(0.1, stop.set).start()
    started = time.monotonic()
    pipeline.run(stop)
    assert time.monotonic() - started < 5
    assert pipeline.unstopped == ["capture"]
    assert source.closed == 0
    release.set()


def test_a_sink_that_cannot_start_leaves_the_source_closed():
    class Unstartable(ListSink):
        def start(self):
            raise SinkError("/nowhere: not writable")

    source = CountingSource(frames=1)
    with pytest.raises(SinkError, match="nowhere"):
        Pipeline(source, SleepingDetector(), [Unstartable()]).run(threading.Event())
    assert source.opened is None


def test_a_detector_is_replaced_without_losing_a_frame():
    class Named(SleepingDetector):
        def __init__(self, name):
            super().__init__()
            self.labels, self.seen = {1: name}, []

        def infer(self, ready):
            self.seen.append(ready.frame.sequence)
            return super().infer(ready)

    first, second, sink = Named("first"), Named("second"), ListSink()
    source = CountingSource(frames=100, interval_s=0.002)
    pipeline = Pipeline(source, first, [sink])
    threading.Timer(0.1, pipeline.replace_detector, [second]).start()
    pipeline.run(threading.Event())
    assert first.seen + second.seen == list(range(100)) == sink.sequences
    assert second.seen


def test_sinks_are_replaced_without_losing_a_result():
    old, new = ListSink(), ListSink()
    pipeline = Pipeline(CountingSource(frames=100, interval_s=0.002), SleepingDetector(), [old])
    threading.Timer(0.1, pipeline.replace_sinks, [[new]]).start()
    pipeline.run(threading.Event())
    assert old.sequences + new.sequences == list(range(100))
    assert new.sequences
    assert old.closed
    assert new.closed


def test_sinks_that_cannot_start_do_not_replace_others():
    class Unstartable(ListSink):
        def start(self):
            raise SinkError("/nowhere: not writable")

    old, errors = ListSink(), []

    def replace():
        try:
            pipeline.replace_sinks([Unstartable()])
        except SinkError as error:
            errors.append(error)

    pipeline = Pipeline(CountingSource(frames=50, interval_s=0.002), SleepingDetector(), [old])
    threading.Timer(0.05, replace).start()
    pipeline.run(threading.Event())
    assert len(errors) == 1
    assert old.sequences == list(range(50))


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
        def infer(self, ready):
            frames.append(ready)
            if len(frames) == 2:
                seen.set()
                release.wait()
            return super().infer(ready)

    frames = []
    seen, release, stop = threading.Event(), threading.Event(), threading.Event()
    source = CountingSource(live=True, interval_s=0.001)
    pipeline = Pipeline(source, Hanging(), [], supervision=supervision(read_timeout_s=10))
    runner = threading.Thread(target=pipeline.run, args=[stop])
    runner.start()
    assert seen.wait(10)
    before = pipeline.progressed_s
    time.sleep(0.5)
    assert pipeline.progressed_s == before > 0
    stop.set()
    release.set()
    runner.join(10)
    assert pipeline.progressed_s > before


def test_progress_goes_on_while_a_source_is_waited_for():
    source, stop = Returning(), threading.Event()
    pipeline = Pipeline(source, SleepingDetector(), [], supervision=supervision(delay_s=2.0))
    runner = threading.Thread(target=pipeline.run, args=[stop])
    runner.start()
    while pipeline.source_state != "reopening":
        time.sleep(0.01)
    time.sleep(0.2)
    before = pipeline.progressed_s
    time.sleep(0.4)
    assert pipeline.source_state == "reopening"
    assert pipeline.progressed_s > before
    stop.set()
    runner.join(10)
    assert not runner.is_alive()


class PersonDetector(SleepingDetector):
    """Sees a person in every frame."""

    def decode(self, inferred):
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
    pipeline.tell_detection()
    runner = threading.Thread(target=pipeline.run, args=[stop])
    runner.start()

    def wait_until_told(word, times=1):
        end = time.monotonic() + 20
        while sink.sequences.count(word) < times:
            assert time.monotonic() < end, word
            time.sleep(0.005)

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
    runner.join(10)

    told = sink.sequences
    assert told[0] == "live"
    # The event's reason comes before the status, and both are the same word.
    first, second = (at for at, word in enumerate(told) if word == "paused")
    assert second == first + 1
    back = told.index("live", second)
    assert set(told[1:first]) == {"inferred", "new"}
    assert set(told[second + 1 : back]) == {"passed over"}
    assert set(told[back + 1 :]) == {"inferred", "new", "shutdown"}
