"""The inference step: which frames the model infers, and by which detector."""

from __future__ import annotations

import time

import pytest
from doubles import IMAGE, SleepingDetector

from pi_detector.core.clock import utc_now
from pi_detector.core.frame import Frame
from pi_detector.pipeline.inference import InferenceStep
from pi_detector.util.rate_limit import RateLimit


class Gate:
    """Wants each frame that it is shown, or none."""

    enabled = True

    def __init__(self, infer: bool = True) -> None:
        self.infer = infer
        self.seen: list[int] = []
        self.held: list[int] = []

    def observe(self, staged: object, now_ns: int) -> Gate:
        self.seen.append(now_ns)
        return self

    def hold(self, until_ns: int) -> None:
        self.held.append(until_ns)


def frame_at(captured_ns: int) -> Frame:
    return Frame(IMAGE, 0, captured_ns, utc_now(), "camera")


def step_of(gate: Gate | None = None, limit: RateLimit | None = None) -> InferenceStep:
    return InferenceStep(SleepingDetector(), gate, limit)  # type: ignore[arg-type]


def test_the_gate_is_asked_about_due_frames_alone() -> None:
    limit, gate, inferred = RateLimit(), Gate(), []
    limit.rate_fps = 10
    step = step_of(gate, limit)
    for number in range(30):
        now_ns = number * 10**9 // 30
        if step.infer(step.prepare(frame_at(now_ns))).outputs:
            inferred.append(now_ns)
    assert inferred == gate.seen
    assert len(inferred) == 10


def test_a_paused_or_a_still_frame_is_published_without_inference() -> None:
    gate = Gate(infer=False)
    step = step_of(gate)
    still = step.run(frame_at(5))
    paused = step.decode(step.infer(step.prepare(frame_at(6)), paused=True))
    assert [still.inferred, paused.inferred] == [False, False]
    assert gate.seen == [5], "a pause shows the gate nothing"


def test_a_busy_stage_holds_the_gate_open_beyond_this_frame() -> None:
    gate = Gate()
    step_of(gate).run(frame_at(5), busy=True)
    assert gate.held == [6]


def test_a_frame_is_inferred_and_decoded_by_the_detector_that_prepared_it() -> None:
    first, second = SleepingDetector(), SleepingDetector()
    first.labels, second.labels = {1: "first"}, {1: "second"}  # type: ignore[misc]
    step = InferenceStep(first)  # type: ignore[arg-type]
    prepared = step.prepare(frame_at(0))
    step.detector = second  # type: ignore[assignment]
    assert step.decode(step.infer(prepared)).labels == {1: "first"}
    assert step.run(frame_at(1)).labels == {1: "second"}


def test_the_latency_is_the_stages_of_a_run_and_counts_from_capture_of_a_pipeline() -> None:
    limit = RateLimit()
    step = InferenceStep(SleepingDetector(invoke_s=0.01), None, limit)  # type: ignore[arg-type]
    captured_ns = time.monotonic_ns() - 2 * 10**9
    timings = step.run(frame_at(captured_ns)).timings
    stages_ms = timings.preprocess_ms + timings.invoke_ms + timings.decode_ms
    assert timings.latency_ms == pytest.approx(stages_ms)
    assert limit.costs(0) == [], "a clock of its own says nothing about this machine"
    live = step.decode(step.infer(step.prepare(frame_at(captured_ns)))).timings
    assert live.latency_ms >= 2000
    (cost,) = limit.costs(0)
    assert (cost.latency_ms, cost.busy_ms) == (live.latency_ms, live.invoke_ms)
