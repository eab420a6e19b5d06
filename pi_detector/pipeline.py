"""The machine on one screen: threads, hand-offs, order of start and stop.

    capture thread          caller's thread          a thread a sink
    read, preprocess  ->[1]->  invoke, decode  ->[8]->  publish

Capture and preprocessing of the next frame overlap the invoke of this one (the interpreter
releases the GIL), so the interpreter alone bounds the throughput. Of a live source the newest
frame wins, and what it replaces is counted; of a file every frame is processed. A sink that
is slow loses results of its own and counts them; only a lossless sink makes the others wait.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pi_detector.detector.detector import Detector, Prepared
from pi_detector.handoff import Handoff
from pi_detector.records import Result, Timings
from pi_detector.sinks.base import Sink
from pi_detector.sources.base import Source

log = logging.getLogger(__name__)

SINK_QUEUE = 8
STOP_DEADLINE_S = 4.0
POLL_S = 0.1
# A thread that returns from C code waits this long for the GIL while another one runs Python.
SWITCH_INTERVAL_S = 0.0005


@dataclass(slots=True)
class Counters:
    """What a run did; ``captured`` = ``processed`` + ``dropped`` + ``abandoned``.

    Attributes:
        captured: frames read from the source.
        processed: frames that went through the detector.
        dropped: frames that a newer one replaced before detection.
        abandoned: frames in flight when the run was stopped.
        sink_dropped: results that a slow sink did not see, by the sink's name.
        seconds: from the first to the last processed frame.
    """

    captured: int = 0
    processed: int = 0
    dropped: int = 0
    abandoned: int = 0
    sink_dropped: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


class Worker:
    """A thread that keeps its exception for the one who joins it."""

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        self.name = name
        self.error: BaseException | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
            self.error = error

    def join(self, deadline: float) -> bool:
        """Wait until ``deadline`` (monotonic seconds). Returns whether the thread ended."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        return not self._thread.is_alive()


class Pipeline:
    """Source, detector and sinks, run together.

    Attributes:
        counters: what this run did so far.
        unstopped: names of the threads that did not end within their deadline.
    """

    def __init__(self, source: Source, detector: Detector, sinks: Sequence[Sink]) -> None:
        self.counters = Counters()
        self.unstopped: list[str] = []
        self._source = source
        self._detector = detector
        self._sinks = sinks
        self._frames: Handoff[Prepared] = Handoff(1, lossless=not source.live)
        self._results = [Handoff[Result](SINK_QUEUE, sink.lossless) for sink in sinks]

    def run(self, stop: threading.Event, max_frames: int | None = None) -> Counters:
        """Run until the source ends, ``stop`` is set, or ``max_frames`` are processed.

        Raises:
            PiDetectorError: the source or a sink failed.
            BrokenPipeError: the reader of standard output is gone.
        """
        switch_interval = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        workers: list[Worker] = []
        try:
            for sink in self._sinks:
                sink.start()
            self._source.open(self._detector.input_size)
            for sink, results in zip(self._sinks, self._results, strict=True):
                workers.append(Worker(f"sink-{sink.name}", self._publisher(sink, results)))
            workers.append(Worker("capture", self._capture))
            self._detect(stop, max_frames, workers)
        finally:
            self._shut_down(workers)
            sys.setswitchinterval(switch_interval)
        for worker in workers:
            if worker.error is not None:
                raise worker.error
        return self.counters

    def _capture(self) -> None:
        try:
            while (frame := self._source.read()) is not None:
                self.counters.captured += 1
                if not self._frames.put(self._detector.prepare(frame)):
                    return
        finally:
            self._frames.close()

    def _detect(
        self, stop: threading.Event, max_frames: int | None, workers: Sequence[Worker]
    ) -> None:
        started = None
        while not stop.is_set() and not any(w.error for w in workers):
            if max_frames is not None and self.counters.processed >= max_frames:
                return
            prepared = self._frames.get(POLL_S)
            if prepared is None:
                if self._frames.ended:
                    return
                continue
            started = started or time.monotonic()
            self._hand_out(self._process(prepared))
            self.counters.seconds = time.monotonic() - started

    def _process(self, prepared: Prepared) -> Result:
        detections, invoke_ms, decode_ms = self._detector.detect(prepared)
        latency_ms = (time.monotonic_ns() - prepared.frame.captured_ns) / 1e6
        self.counters.processed += 1
        self.counters.dropped = self._frames.dropped
        return Result(
            frame=prepared.frame,
            detections=detections,
            labels=self._detector.labels,
            timings=Timings(prepared.preprocess_ms, invoke_ms, decode_ms, latency_ms),
            dropped=self.counters.dropped,
        )

    def _hand_out(self, result: Result) -> None:
        for results in self._results:
            results.put(result)

    @staticmethod
    def _publisher(sink: Sink, results: Handoff[Result]) -> Callable[[], None]:
        def publish() -> None:
            try:
                while (result := results.get()) is not None:
                    sink.handle(result)
            finally:
                results.close(discard=True)

        return publish

    def _shut_down(self, workers: Sequence[Worker]) -> None:
        """Stop in the order of the data, so that what was processed is still published."""
        deadline = time.monotonic() + STOP_DEADLINE_S
        self._frames.close(discard=True)
        for results in self._results:
            results.close()
        for worker in workers:
            if not worker.join(deadline):
                log.warning("%s did not stop within %.0f s", worker.name, STOP_DEADLINE_S)
                self.unstopped.append(worker.name)
        if "capture" not in self.unstopped:
            self._source.close()
        for sink in self._sinks:
            if f"sink-{sink.name}" not in self.unstopped:
                sink.close()
        counters = self.counters
        counters.dropped = self._frames.dropped
        counters.abandoned = counters.captured - counters.processed - counters.dropped
        counters.sink_dropped = {
            sink.name: results.dropped
            for sink, results in zip(self._sinks, self._results, strict=True)
        }
