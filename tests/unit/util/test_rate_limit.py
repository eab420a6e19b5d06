"""The limit of the rate of inference, and the gate beside it."""

from __future__ import annotations

import numpy as np
import pytest

from pi_detector.core.clock import utc_now
from pi_detector.core.frame import Frame
from pi_detector.detector.detector import Inferred, Prepared
from pi_detector.pipeline.inference import see
from pi_detector.util.rate_limit import Cost, RateLimit

IMAGE = np.zeros((8, 8, 3), np.uint8)


def inferred(pace: RateLimit, camera_fps: float, seconds: float) -> int:
    count = 0
    for number in range(round(camera_fps * seconds)):
        now_ns = round(number / camera_fps * 1e9)
        if pace.is_due(now_ns):
            pace.step(now_ns)
            count += 1
    return count


@pytest.mark.parametrize("rate_fps", [0.1, 1, 7, 20, 29, 60])
def test_the_rate_is_met_on_average_at_any_camera(rate_fps: float) -> None:
    pace = RateLimit()
    pace.rate_fps = rate_fps
    assert inferred(pace, 30, 60) == pytest.approx(60 * min(rate_fps, 30), abs=1.01)


def test_without_a_limit_every_frame_is_due() -> None:
    assert inferred(RateLimit(), 30, 2) == 60


def test_after_a_break_no_crowd_of_frames_is_let_through() -> None:
    pace = RateLimit()
    pace.rate_fps = 1
    pace.step(0)
    hour_ns = 3600 * 10**9
    through = 0
    for number in range(30):
        now_ns = hour_ns + number * 33_000_000
        if pace.is_due(now_ns):
            pace.step(now_ns)
            through += 1
    assert through <= 2


def test_costs_are_those_of_the_last_seconds() -> None:
    pace = RateLimit()
    for second in range(5000):
        pace.note(Cost(second * 10**9, 1, second))
    assert [cost.latency_ms for cost in pace.costs(4997 * 10**9)] == [4997, 4998, 4999]
    assert len(pace.costs(0)) == 2048


class Detector:
    def infer(self, prepared: Prepared) -> Inferred:
        return Inferred(prepared.frame, None, 1.0)  # type: ignore[arg-type]


class Gate:
    """Asks for each frame that it is shown."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def observe(self, staged: object, now_ns: int) -> Gate:
        self.seen.append(now_ns)
        return self

    infer = True


def test_the_gate_is_asked_about_due_frames_alone() -> None:
    pace, gate = RateLimit(), Gate()
    pace.rate_fps = 10
    through = []
    for number in range(30):
        now_ns = number * 10**9 // 30
        frame = Frame(IMAGE, number, now_ns, utc_now(), "camera")
        seen = see(Detector(), Prepared(frame, IMAGE, 0.0), gate, busy=False, pace=pace)  # type: ignore[arg-type]
        if seen.inferred is not None:
            through.append(now_ns)
    assert through == gate.seen
    assert len(through) == 10
