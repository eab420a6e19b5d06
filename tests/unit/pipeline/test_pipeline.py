"""The pipeline, with real threads: what becomes of each frame, and what ends a run."""

import threading
import time

import pytest
from doubles import CountingSource, ListSink, SleepingDetector

from pi_detector.errors import SinkError, SourceLostError
from pi_detector.pipeline.pipeline import Pipeline


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

        def infer(self, staged):
            following = self.prepared[min(int(staged) + 1, 5)]
            self.met.append(following.wait(timeout=10))
            return super().infer(staged)

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

        def infer(self, staged):
            self.seen.append(int(staged))
            return super().infer(staged)

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
