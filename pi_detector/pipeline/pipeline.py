"""A run on one screen: its threads, the queues between them, the order of start and stop.

    thread  capture              the caller's  decode         sink-events      sink-NAME
    work    read, prepare  [1]>  infer  [1]>   decode  [8]>   track, zones [8]> publish
    code    capture.py           detection.py  decoding.py    events/feed.py   sink_runner.py
            |-------------- inference.py -------------|       |------- publishing.py -------|

A number is the capacity of the queue before the next thread.

Preparing the next frame and decoding the last one overlap the invoke of this one (the interpreter
releases the GIL), so the interpreter alone bounds the throughput. Of a live source the newest frame
wins, and what it replaces is counted, as is what a slow sink does not see; of a file every frame is
processed, and a lossless sink makes the others wait.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from pi_detector.core.records import Publication, StatusRecord, status_record
from pi_detector.core.states import State
from pi_detector.detector.detector import Detector, Prepared
from pi_detector.events.motion import MotionGate
from pi_detector.events.stage import EventStage
from pi_detector.pipeline.capture import Capture
from pi_detector.pipeline.counters import Counters
from pi_detector.pipeline.decoding import Decoding
from pi_detector.pipeline.detection import DetectionLoop
from pi_detector.pipeline.inference import Inference, InferenceStep
from pi_detector.pipeline.live_changes import STOP_DEADLINE_S, LiveChanges
from pi_detector.pipeline.looks import Looking
from pi_detector.pipeline.privacy import PrivacyMasks
from pi_detector.pipeline.publishing import Publishing
from pi_detector.pipeline.supervision import Supervision
from pi_detector.sinks.base import Sink
from pi_detector.sources.base import Source
from pi_detector.util.bounded_queue import BoundedQueue
from pi_detector.util.rate_limit import RateLimit
from pi_detector.util.worker import Worker

log = logging.getLogger(__name__)

# A thread that returns from C code waits this long for the GIL while another one runs Python.
SWITCH_INTERVAL_S = 0.0005


class Pipeline(LiveChanges):
    """Source, detector and sinks, run together.

    Args:
        source: not open.
        detector: finds the objects.
        sinks: not started.
        supervision: of a live source and its sinks; None ends the run at the first failure.
        stage: makes events of detections; None publishes detections alone.
        gate: finds the frames that are worth inference; None takes all.
        rate_limit: limits the rate of inference; None does not.
        looking: chooses the looks at each frame; None looks at the whole frame alone.
        privacy: blackens parts of every frame; None blackens nothing.
        max_fps: limits the rate at which frames are read; None does not.
        reports_source: publish status records also of a source that is not supervised; one that is
            supervised always reports its state.

    Attributes:
        counters: what this run did so far.
        source_name: name of the source.
        running: set once all threads run; ``LiveChanges`` are for afterwards.
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
        rate_limit: RateLimit | None = None,
        looking: Looking | None = None,
        privacy: PrivacyMasks | None = None,
        max_fps: float | None = None,
        reports_source: bool = False,
    ) -> None:
        self.counters = Counters()
        self.running = threading.Event()
        self.source_name = source.name
        self._unstopped: list[str] = []
        supervision = supervision if source.live else None
        self._publishing = Publishing(sinks, stage, supervision, live=source.live)
        if supervision is not None:
            source, reports_source = supervision.of_source(source, self.publish), False
        self._reports_source = reports_source

        self._step = InferenceStep(detector, gate, rate_limit, looking, privacy)
        self._frames = BoundedQueue[Prepared](1, lossless=not source.live)
        # Decoding takes a fraction of an invoke, so that the detector never waits here for long.
        self._inferences = BoundedQueue[Inference | StatusRecord](1, lossless=True)
        self._capture = Capture(
            source,
            self._step,
            self._frames,
            self.counters,
            report=self.publish if reports_source else None,
        )
        self._capture.limit_rate(max_fps)
        self._detection = DetectionLoop(
            self._step,
            self._frames,
            self._inferences,
            self.counters,
            busy=lambda: self._publishing.busy,
            tracked=lambda: self._publishing.tracked,
            rest=self._capture.rest,
            wait_is_progress=self._capture.check_deadlines,
        )
        self._decoding = Decoding(self._step, self._inferences, self.publish)

    def run(self, stop: threading.Event, max_frames: int | None = None) -> Counters:
        """Run until the source ends, ``stop`` is set, or ``max_frames`` are processed.

        Raises:
            PiDetectorError: the source or a sink failed.
            BrokenPipeError: the reader of standard output is gone.
        """
        capture: Worker | None = None
        decode: Worker | None = None
        with _quick_thread_switches():
            try:
                self._publishing.start()
                decode = Worker("decode", self._decoding.run)
                capture = Worker("capture", self._capture.run)
                self.running.set()
                if self._detection.run(lambda: self._is_over(stop, max_frames)):
                    self._source_ended()
            finally:
                self._shut_down(capture, decode)
        for error in (capture.error, decode.error, *self._publishing.errors):
            if error is not None:
                raise error
        return self.counters

    def publish(self, item: Publication) -> None:
        """Queue an item for the events, and through them for all sinks. From any thread."""
        self._publishing.put(item)

    @property
    def paused(self) -> bool:
        """Whether detection is paused."""
        return self._detection.paused

    @property
    def progressed_s(self) -> float:
        """When the run was last known to be well, see ``DetectionLoop``; monotonic seconds."""
        return self._detection.progressed_s

    @property
    def last_found(self) -> tuple[str, float] | None:
        """The last best detection: its label, and when that was, in monotonic seconds."""
        return self._decoding.last_found

    @property
    def source_state(self) -> State:
        """State of a supervised source; else ``live``."""
        return self._capture.state

    @property
    def sink_dropped(self) -> dict[str, int]:
        """Items that a slow sink did not see so far, by its name; from 0 after a replacement."""
        return self._publishing.dropped

    @property
    def unstopped(self) -> list[str]:
        """Names of the threads that did not end within their deadline."""
        return [*self._unstopped, *self._publishing.unstopped]

    def _is_over(self, stop: threading.Event, max_frames: int | None) -> bool:
        enough = max_frames is not None and self.counters.processed >= max_frames
        return stop.is_set() or enough or bool(self._publishing.errors)

    def _source_ended(self) -> None:
        if self._publishing.feed is not None:
            self._publishing.feed.end_reason = "source_ended"
        if self._reports_source:  # behind its last frame
            self._inferences.put(status_record("source", self.source_name, "stopped"))

    def _shut_down(self, capture: Worker | None, decode: Worker | None) -> None:
        """Stop all in the order of the data; what cannot be stopped is raised in the end."""
        deadline = time.monotonic() + STOP_DEADLINE_S
        self._capture.interrupt()
        self._frames.close(discard=True)
        self._inferences.close()
        if decode is not None and not decode.join(deadline):
            self._unstopped.append("decode")
        with ExitStack() as stopping:
            stopping.callback(self._publishing.finish, deadline)
            if capture is None or capture.join(deadline):
                self._capture.close()
            else:
                log.warning("capture did not stop within %.0f s", STOP_DEADLINE_S)
                self._unstopped.append("capture")
        counters = self.counters
        counters.dropped = self._frames.dropped
        counters.abandoned = counters.captured - counters.processed - counters.dropped
        counters.sink_dropped = self.sink_dropped


@contextmanager
def _quick_thread_switches() -> Iterator[None]:
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before_s)
