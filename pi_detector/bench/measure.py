"""Rounds of a benchmark: one case after the other, again and again.

What else the machine does meanwhile, and how warm it gets, falls on all cases alike.
"""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from numpy.typing import NDArray

from pi_detector.bench.frames import MemorySource
from pi_detector.bench.results import Case, Figure, figure_of
from pi_detector.config.settings import Settings
from pi_detector.core.frame import ImageArray
from pi_detector.core.records import detections_record, encode
from pi_detector.detector.bundle import Bundle
from pi_detector.detector.detector import Detector
from pi_detector.detector.runtime import Interpreter
from pi_detector.events.motion import MotionGate
from pi_detector.pipeline.build import make_detector, make_gate, make_looking, make_stage
from pi_detector.pipeline.inference import InferenceStep
from pi_detector.pipeline.looks import LookBudget, PlannedLooks
from pi_detector.pipeline.pipeline import Pipeline
from pi_detector.sinks.base import Sink
from pi_detector.sinks.stdout import JsonLinesSink
from pi_detector.telemetry.meter import Meter

Figures = dict[str, float]


class _MeteredInterpreter:
    """An interpreter that sums processor time during ``invoke``.

    Args:
        interpreter: what runs.
        clock: processor time in seconds, of the process or of the thread that invokes.

    Attributes:
        cpu_s: the sum; may be set.
    """

    def __init__(self, interpreter: Interpreter, clock: Callable[[], float]) -> None:
        self.cpu_s = 0.0
        self._interpreter = interpreter
        self._clock = clock

    def allocate_tensors(self) -> None:
        self._interpreter.allocate_tensors()

    def get_input_details(self) -> list[dict[str, Any]]:
        return self._interpreter.get_input_details()

    def get_output_details(self) -> list[dict[str, Any]]:
        return self._interpreter.get_output_details()

    def tensor(self, tensor_index: int) -> Callable[[], NDArray[Any]]:
        return self._interpreter.tensor(tensor_index)

    def invoke(self) -> None:
        before_s = self._clock()
        self._interpreter.invoke()
        self.cpu_s += self._clock() - before_s


def metered(
    detector: Detector, clock: Callable[[], float] = time.process_time
) -> _MeteredInterpreter:
    """Have a detector's interpreter sum what its invokes use, by a clock of processor time."""
    interpreter = _MeteredInterpreter(detector._interpreter, clock)
    detector._interpreter = interpreter
    return interpreter


class Subject:
    """A case that can be measured.

    Args:
        bundle: the model.
        settings: of the daemon, the case's runtime and threads among them.
        images: (H, W, 3) uint8 RGB, all of one size, at least one.

    Raises:
        PiDetectorError: the runtime is not installed, or cannot run the model.
    """

    def __init__(
        self,
        bundle: Bundle,
        settings: Settings,
        images: Sequence[ImageArray],
    ) -> None:
        self.model = settings.model
        self._settings = settings
        self._bundle = bundle
        self._images = images
        self._detector = make_detector(settings, bundle)
        self._metered = metered(self._detector)
        self._rounds: dict[str, list[float]] = defaultdict(list)

    def round(self, frames: int) -> None:
        """Measure all stages, then the pipeline, over so many frames each."""
        figures = self.stages(frames)
        figures |= self.pipeline(frames, figures["invoke_cpu_ms"])
        for name, value in figures.items():
            self._rounds[name].append(value)

    def forget(self) -> None:
        """The rounds so far warmed the machine up."""
        self._rounds.clear()

    def add(self, name: str, value: float) -> None:
        """Add the value of another figure's round."""
        self._rounds[name].append(value)

    def case(self) -> Case:
        """The case, with the figures of all rounds so far."""
        detector = self._detector
        figures: dict[str, Figure] = {
            name: figure_of(values) for name, values in self._rounds.items()
        }
        height, width = self._images[0].shape[:2]
        return Case(
            detector.name,
            self._bundle.sha256,
            detector.runtime,
            detector.threads,
            width,
            height,
            figures,
        )

    def stages(self, frames: int) -> Figures:
        """Medians of the stages, one after the other on one thread; the CPU time of an invoke."""
        step, source = InferenceStep(self._detector), MemorySource(self._images)
        times_ms: dict[str, list[float]] = defaultdict(list)
        self._metered.cpu_s = 0.0
        for _ in range(frames):
            result = step.run(source.read())
            started = time.perf_counter()
            encode(detections_record(result))
            times_ms["encode_ms"].append((time.perf_counter() - started) * 1000)
            times_ms["preprocess_ms"].append(result.timings.preprocess_ms)
            times_ms["invoke_ms"].append(result.timings.invoke_ms)
            times_ms["decode_ms"].append(result.timings.decode_ms)
        medians = {name: statistics.median(values) for name, values in times_ms.items()}
        return medians | {"invoke_cpu_ms": self._metered.cpu_s / frames * 1000}

    def pipeline(self, frames: int, invoke_cpu_ms: float) -> Figures:
        """Throughput, latency and CPU time of the real pipeline, events and records included."""
        meter = Meter()
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
            sinks: list[Sink] = [JsonLinesSink(nowhere), meter]
            detector = self._detector
            stage = make_stage(self._settings, detector)
            gate, looking = _looks_of(self._settings)
            pipeline = Pipeline(
                MemorySource(self._images), detector, sinks, stage=stage, gate=gate, looking=looking
            )
            cpu_s, started_s = time.process_time(), time.monotonic()
            counters = pipeline.run(threading.Event(), max_frames=frames)
            seconds = time.monotonic() - started_s
            cpu_ms = (time.process_time() - cpu_s) / counters.processed * 1000
        stages, looks = meter.take_all()
        latency = stages.latency
        invoke_cpu_ms *= sum((looks or {}).values()) / counters.processed or 1.0
        figures = {
            "pipeline_fps": counters.processed / seconds,
            "pipeline_cpu_ms": cpu_ms,
            "outside_invoke_cpu_ms": max(0.0, cpu_ms - invoke_cpu_ms),
        }
        if latency is not None:
            figures["pipeline_latency_ms"] = latency.p50
        return figures


def _looks_of(settings: Settings) -> tuple[MotionGate | None, PlannedLooks | None]:
    """What chooses the looks, where there are several; no gate keeps the model from frames."""
    looking = make_looking(settings, LookBudget(live=False))
    if looking is None:
        return None, None
    motion = msgspec.structs.replace(settings.motion, enabled=False)
    return make_gate(msgspec.structs.replace(settings, motion=motion)), looking


def run_rounds(
    subjects: Sequence[Subject],
    rounds: int,
    frames: int,
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Measure all subjects in turn, after a round that warms up; every second round backwards.

    Args:
        subjects: the cases.
        rounds: that count, at least one.
        frames: of a stage, and of a pipeline, a round.
        progress: receives the number of the round that begins; 0 warms up.
    """
    for number in range(rounds + 1):
        progress(number)
        for subject in subjects if number % 2 else reversed(subjects):
            subject.round(frames)
            if number == 0:
                subject.forget()
