"""The pipeline over frames in memory: throughput, and processor time inside and outside invoke."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from pi_detector.bench.frames import MemorySource
from pi_detector.bench.measure import metered
from pi_detector.config.settings import Settings
from pi_detector.core.frame import ImageArray
from pi_detector.detector.bundle import Bundle
from pi_detector.detector.detector import Detector
from pi_detector.pipeline.build import make_detector, make_stage
from pi_detector.pipeline.pipeline import Pipeline
from pi_detector.sinks.base import Sink
from pi_detector.sinks.stdout import JsonLinesSink
from pi_detector.telemetry.meter import Meter


@dataclass(frozen=True)
class Cost:
    """Of a run.

    Attributes:
        fps: frames a second.
        invoke_cpu_ms: processor time of an ``invoke()``; with one thread alone.
        outside_cpu_ms: the rest of the processor time of a frame; with one thread alone.
        invoke_share: of the detecting thread's processor time; with one thread alone. A throughput
            that nothing else on the machine disturbs is this much of 1 / invoke at most.
    """

    fps: float
    invoke_cpu_ms: float
    outside_cpu_ms: float
    invoke_share: float


class Subject:
    """A pipeline that can be run again and again.

    Args:
        bundle: the model.
        settings: of the daemon.
        images: (H, W, 3) uint8 RGB, all of one size.
        sinks: how many write JSON to /dev/null.
    """

    def __init__(
        self, bundle: Bundle, settings: Settings, images: Sequence[ImageArray], sinks: int = 1
    ) -> None:
        self.detector: Detector = make_detector(settings, bundle)
        # Of the thread: while it invokes, others scale and decode.
        self._interpreter = metered(self.detector, time.thread_time)
        self._settings, self._images, self._sinks = settings, images, sinks

    def invoke_ms(self, count: int) -> float:
        """Median milliseconds of ``invoke()`` alone."""
        times = []
        for _ in range(count):
            started_s = time.perf_counter()
            self._interpreter.invoke()
            times.append(time.perf_counter() - started_s)
        return statistics.median(times) * 1e3

    def scaling_ms(self, count: int) -> float:
        """Median milliseconds of scaling a frame to the model's input."""
        source = MemorySource(self._images)
        prepared = (self.detector.prepare(source.read()) for _ in range(count))
        return statistics.median(each.preprocess_ms for each in prepared)

    def detections(self) -> float:
        """How many a frame the detector hands to the tracker, on the average."""
        source = MemorySource(self._images)
        counts = [
            len(self.detector.run(self.detector.prepare(source.read()))[0]) for _ in self._images
        ]
        return statistics.mean(counts)

    def run(self, frames: int) -> Cost:
        """Run the pipeline, with tracking and the meter."""
        with ExitStack() as stack:
            sinks: list[Sink] = [
                JsonLinesSink(stack.enter_context(open(os.devnull, "wb")))  # noqa: PTH123
                for _ in range(self._sinks)
            ]
            stage = make_stage(self._settings, self.detector)
            source = MemorySource(self._images)
            pipeline = Pipeline(source, self.detector, [*sinks, Meter()], stage=stage)
            self._interpreter.cpu_s = 0.0
            cpu_s, thread_s = time.process_time(), time.thread_time()
            counters = pipeline.run(threading.Event(), max_frames=frames)
            cpu_s, thread_s = time.process_time() - cpu_s, time.thread_time() - thread_s
        inside_s = self._interpreter.cpu_s
        return Cost(
            frames / counters.seconds,
            inside_s / frames * 1e3,
            (cpu_s - inside_s) / frames * 1e3,
            inside_s / thread_s,
        )
