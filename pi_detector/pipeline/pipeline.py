"""The machine on one screen: threads, hand-offs, order of start and stop.

    capture thread     caller's thread  decode thread  events thread  a thread a sink
    read, preprocess -[1]->  invoke  -[1]->  decode  -[8]->  track, tell  -[8]->  publish

Preprocessing of the next frame and decoding of the last one overlap the invoke of this one (the
interpreter releases the GIL), so the interpreter alone bounds the throughput. Of a live source the
newest frame wins, and what it replaces is counted, as is what a slow sink does not see; of a file
every frame is processed, and a lossless sink makes the others wait. A pace and a motion gate, where
there are, spare frames the invoke.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from pi_detector.config.settings import RecoverySettings
from pi_detector.core.current import CurrentState
from pi_detector.core.records import Publication, Result, State, StatusRecord, status_record
from pi_detector.detector.detector import Detector, Prepared
from pi_detector.errors import SourceStuckError
from pi_detector.events.feed import EventFeed
from pi_detector.events.motion import MotionGate
from pi_detector.events.stage import EventStage
from pi_detector.pipeline.inference import Seen, decoded, see
from pi_detector.pipeline.sink_runner import SinkRunner
from pi_detector.sinks.base import Sink
from pi_detector.sinks.supervised import SupervisedSink
from pi_detector.sources.base import Interruptible, Source
from pi_detector.sources.supervised import SupervisedSource
from pi_detector.util.bounded_queue import BoundedQueue
from pi_detector.util.rate_limit import Cost, RateLimit
from pi_detector.util.worker import Worker

log = logging.getLogger(__name__)

STOP_DEADLINE_S = 4.0
POLL_S = 0.1
# A thread that returns from C code waits this long for the GIL while another one runs Python.
SWITCH_INTERVAL_S = 0.0005


@dataclass(frozen=True, slots=True)
class Supervision:
    """How failures are lived through; without, each of them ends the run.

    Attributes:
        recovery: mode and delays.
        read_timeout_s: after which the source ends a read.
        grace_s: how long the source may exceed its deadlines before the process gives up on it.
    """

    recovery: RecoverySettings
    read_timeout_s: float
    grace_s: float = 10.0


@dataclass(slots=True)
class Counters:
    """What a run did; ``captured`` = ``processed`` + ``dropped`` + ``abandoned``.

    Attributes:
        captured: frames read from the source.
        processed: frames that went through the detector.
        dropped: frames that a newer one replaced before detection.
        abandoned: frames in flight when the run was stopped.
        sink_dropped: items that a slow sink did not see, by the sink's name.
        seconds: from the first to the last processed frame.
    """

    captured: int = 0
    processed: int = 0
    dropped: int = 0
    abandoned: int = 0
    sink_dropped: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


class Pipeline:
    """Source, detector and sinks, run together.

    Args:
        source: not open.
        detector: finds the objects.
        sinks: not started.
        supervision: of a live source and its sinks; None ends the run at the first failure.
        stage: makes events of detections; None publishes detections alone.
        gate: says which frames are worth detection; None takes all.
        pace: limits the rate of inference; None does not.
        tells_source: have status records tell the state of a source that is not supervised; that
            of one that is they always do.

    Attributes:
        counters: what this run did so far.
        unstopped: names of the threads that did not end within their deadline.
        progressed_s: monotonic time at which the machine was last known to be well: a frame went
            through the detector, or the detector waits for a source that is within its deadlines.
        running: set once all threads run; what ``replace_`` does is for afterwards.
        last_found: label of the best detection in the last frame that had any, and when that was
            (monotonic seconds); None before the first.
    """

    def __init__(
        self,
        source: Source,
        detector: Detector,
        sinks: Sequence[Sink],
        *,
        supervision: Supervision | None = None,
        stage: EventStage | None = None,
        gate: MotionGate | None = None,
        pace: RateLimit | None = None,
        tells_source: bool = False,
    ) -> None:
        self.counters = Counters()
        self.unstopped: list[str] = []
        self.progressed_s = 0.0
        self.running = threading.Event()
        self.last_found: tuple[str, float] | None = None
        self._paused = self._pause_wanted = self._tell_wanted = False
        self._supervision = supervision if source.live else None
        self._supervisor = self._supervised(source)
        self._source = self._supervisor or source
        self._tells_source = tells_source and self._supervisor is None
        self._detector = detector
        self._gate = gate
        self._pace = pace
        self._current = CurrentState()
        self._giving = threading.Lock()
        self._outlets = self._outlets_of(sinks)
        recovery = self._supervision.recovery if self._supervision else None
        self._feed = EventFeed(stage, self._to_sinks, recovery) if stage else None
        self._events = SinkRunner(self._feed, lossless=not source.live) if self._feed else None
        self._frames: BoundedQueue[tuple[Detector, Prepared]] = BoundedQueue(
            1, lossless=not source.live
        )
        # Decoding takes a fraction of an invoke, so that the detector never waits here for long.
        self._seen: BoundedQueue[Seen | StatusRecord] = BoundedQueue(1, lossless=True)

    @property
    def source_name(self) -> str:
        """Name of the source."""
        return self._source.name

    @property
    def source_state(self) -> str:
        """State of a supervised source; else ``live``."""
        return self._supervisor.state if self._supervisor else "live"

    @property
    def sink_dropped(self) -> dict[str, int]:
        """Items that a slow sink did not see so far, by its name; from 0 after a replacement."""
        return {outlet.name: outlet.dropped for outlet in self._runners}

    def run(self, stop: threading.Event, max_frames: int | None = None) -> Counters:
        """Run until the source ends, ``stop`` is set, or ``max_frames`` are processed.

        Raises:
            PiDetectorError: the source or a sink failed.
            BrokenPipeError: the reader of standard output is gone.
        """
        switch_interval = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        capture: Worker | None = None
        decode: Worker | None = None
        try:
            for outlet in self._runners:
                outlet.start()
            for outlet in self._runners:
                outlet.run()
            decode = Worker("decode", self._decode)
            capture = Worker("capture", self._capture)
            self.running.set()
            self._detect(stop, max_frames)
        finally:
            self._shut_down(capture, decode)
            sys.setswitchinterval(switch_interval)
        for error in (capture.error, decode.error, *(outlet.error for outlet in self._runners)):
            if error is not None:
                raise error
        return self.counters

    def publish(self, item: Publication) -> None:
        """Hand an item to the events, and by them to all sinks. May be called from any thread."""
        if self._events is not None:
            self._events.put(item)
        else:
            self._to_sinks(item)

    def pause(self) -> None:
        """Detect nothing until ``resume``; frames go on to be read. May be called from any thread.

        Open events end. It takes effect with the next frame, and is then told by a status record.
        """
        self._pause_wanted = True

    def resume(self) -> None:
        """Detect again after a ``pause``. May be called from any thread."""
        self._pause_wanted = False

    @property
    def paused(self) -> bool:
        """Whether detection is paused."""
        return self._paused

    def tell_detection(self) -> None:
        """Have a status record tell whether detection is paused. May be called from any thread."""
        self._tell_wanted = True

    def replace_detector(self, detector: Detector) -> None:
        """Detect with another detector from the next captured frame on; no frame is lost."""
        self._detector = detector

    def replace_gate(self, gate: MotionGate | None) -> None:
        """Judge motion by another gate, or not at all, from the next frame on."""
        self._gate = gate

    def replace_stage(self, stage: EventStage) -> None:
        """Follow objects by another stage, which takes over what the one before follows.

        Only where there was one before.
        """
        assert self._feed is not None, "the threads are those of the start"
        self._feed.replace(stage)

    def replace_sinks(self, sinks: Sequence[Sink]) -> None:
        """Publish to other sinks. The old ones are given what was meant for them, then closed.

        A sink that is among both goes on. A new one that catches up is given what holds now, so
        that it and its items are all that there is: nothing is missing, nothing comes twice.

        Raises:
            SinkError: a new sink cannot be started; the old ones go on.
        """
        kept = [outlet for outlet in self._outlets if outlet.origin in sinks]
        going_on = [outlet.origin for outlet in kept]
        outlets = self._outlets_of([sink for sink in sinks if sink not in going_on])
        deadline = time.monotonic() + STOP_DEADLINE_S
        with ExitStack() as undo:
            for outlet in outlets:
                outlet.start()
                undo.callback(outlet.finish, deadline)
            undo.pop_all()
        old = [outlet for outlet in self._outlets if outlet not in kept]
        with self._giving:
            self._outlets = [*outlets, *kept]
            now = self._current.copy()
        try:
            for outlet in old:
                outlet.finish(deadline)
        finally:
            for outlet in outlets:
                outlet.run(now)

    def _capture(self) -> None:
        try:
            self._source.open(self._detector.input_size)
            if self._tells_source:
                self.publish(status_record("source", self._source.name, "live"))
            while (frame := self._source.read()) is not None:
                self.counters.captured += 1
                detector = self._detector
                if not self._frames.put((detector, detector.prepare(frame))):
                    return
        finally:
            self._frames.close()

    def _to_sinks(self, item: Publication) -> None:
        with self._giving:
            self._current.note(item)
            for outlet in self._outlets:
                outlet.put(item)

    @property
    def _runners(self) -> tuple[SinkRunner, ...]:
        return (*self._event_outlet(), *self._outlets)

    def _event_outlet(self) -> tuple[SinkRunner, ...]:
        return () if self._events is None else (self._events,)

    def _detect(self, stop: threading.Event, max_frames: int | None) -> None:
        started = None
        while not stop.is_set() and not any(outlet.error for outlet in self._runners):
            if max_frames is not None and self.counters.processed >= max_frames:
                return
            self._obey_pause()
            ready = self._frames.get(POLL_S)
            if ready is not None:
                started = started or time.monotonic()
                if not self._seen.put(self._see(*ready)):
                    return
                self.counters.seconds = time.monotonic() - started
            elif self._frames.ended:
                if self._feed is not None:
                    self._feed.end_reason = "source_ended"
                if self._tells_source:  # behind its last frame
                    self._seen.put(status_record("source", self._source.name, "stopped"))
                return
            elif self._supervisor is None:
                continue
            elif self._supervisor.overdue:
                raise SourceStuckError(
                    f"{self._source.name}: its driver hangs, and lets go of the camera only when "
                    "the process ends; restart pi-detector"
                )
            self.progressed_s = time.monotonic()

    def _obey_pause(self) -> None:
        # Behind the frames that were inferred before it.
        if self._paused != self._pause_wanted or self._tell_wanted:
            self._paused, self._tell_wanted = self._pause_wanted, False
            state: State = "paused" if self._paused else "live"
            self._seen.put(status_record("detection", "detection", state))

    def _see(self, detector: Detector, prepared: Prepared) -> Seen:
        busy = self._feed is not None and self._feed.busy
        paused = self._paused
        seen = see(detector, prepared, self._gate, busy=busy, pace=self._pace, paused=paused)
        self.counters.processed += 1
        self.counters.dropped = self._frames.dropped
        return replace(seen, dropped=self.counters.dropped)

    def _decode(self) -> None:
        try:
            while (item := self._seen.get()) is not None:
                self.publish(self._decoded(item) if isinstance(item, Seen) else item)
        finally:
            self._seen.close(discard=True)

    def _decoded(self, seen: Seen) -> Result:
        result = decoded(seen)
        found = result.detections.class_id
        if len(found):
            best = int(found[0])
            self.last_found = (result.labels.get(best, str(best)), time.monotonic())
        latency_ms = (time.monotonic_ns() - result.frame.captured_ns) / 1e6
        timings = replace(result.timings, latency_ms=latency_ms)
        if self._pace is not None and result.inferred:
            busy_ms = timings.invoke_ms + timings.decode_ms
            self._pace.note(Cost(result.frame.captured_ns, busy_ms, latency_ms))
        return replace(result, timings=timings, dropped=seen.dropped)

    def _supervised(self, source: Source) -> SupervisedSource | None:
        if self._supervision is None:
            return None
        return SupervisedSource(
            source,
            self._supervision.recovery,
            read_timeout_s=self._supervision.read_timeout_s,
            grace_s=self._supervision.grace_s,
            report=self.publish,
        )

    def _outlets_of(self, sinks: Sequence[Sink]) -> list[SinkRunner]:
        if self._supervision is None:
            lossy = self._source.live
            return [SinkRunner(sink, lossless=sink.lossless and not lossy) for sink in sinks]
        recovery = self._supervision.recovery
        return [
            SinkRunner(SupervisedSink(sink, recovery, self.publish), lossless=False, origin=sink)
            for sink in sinks
        ]

    def _shut_down(self, capture: Worker | None, decode: Worker | None) -> None:
        """Stop all in the order of the data; what cannot be stopped is raised in the end."""
        deadline = time.monotonic() + STOP_DEADLINE_S
        if isinstance(self._source, Interruptible):
            self._source.interrupt()
        self._frames.close(discard=True)
        self._seen.close()
        if decode is not None and not decode.join(deadline):
            self.unstopped.append("decode")
        with ExitStack() as stopping:
            for outlet in reversed(self._outlets):
                stopping.callback(self._finish, outlet, deadline)
            for outlet in self._outlets:  # at once: a slow one must not take the others' time
                stopping.callback(outlet.end)
            for outlet in self._event_outlet():
                stopping.callback(self._finish, outlet, deadline)
            if capture is None or capture.join(deadline):
                self._source.close()
            else:
                log.warning("capture did not stop within %.0f s", STOP_DEADLINE_S)
                self.unstopped.append("capture")
        counters = self.counters
        counters.dropped = self._frames.dropped
        counters.abandoned = counters.captured - counters.processed - counters.dropped
        counters.sink_dropped = self.sink_dropped

    def _finish(self, outlet: SinkRunner, deadline: float) -> None:
        outlet.finish(deadline)
        if outlet.stuck:
            self.unstopped.append(f"sink-{outlet.name}")
