"""The limit of the rate of inference."""

from __future__ import annotations

import pytest

from pi_detector.util.rate_limit import Cost, RateLimit


def inferred(limit: RateLimit, camera_fps: float, seconds: float) -> int:
    count = 0
    for number in range(round(camera_fps * seconds)):
        now_ns = round(number / camera_fps * 1e9)
        if limit.is_due(now_ns):
            limit.step(now_ns)
            count += 1
    return count


@pytest.mark.parametrize("rate_fps", [0.1, 1, 7, 20, 29, 60])
def test_the_rate_is_met_on_average_at_any_camera(rate_fps: float) -> None:
    limit = RateLimit()
    limit.rate_fps = rate_fps
    assert inferred(limit, 30, 60) == pytest.approx(60 * min(rate_fps, 30), abs=1.01)


def test_without_a_limit_every_frame_is_due() -> None:
    assert inferred(RateLimit(), 30, 2) == 60


def test_after_a_break_no_crowd_of_frames_is_let_through() -> None:
    limit = RateLimit()
    limit.rate_fps = 1
    limit.step(0)
    hour_ns = 3600 * 10**9
    through = 0
    for number in range(30):
        now_ns = hour_ns + number * 33_000_000
        if limit.is_due(now_ns):
            limit.step(now_ns)
            through += 1
    assert through <= 2


def test_costs_are_those_of_the_last_seconds() -> None:
    limit = RateLimit()
    for second in range(5000):
        limit.note(Cost(second * 10**9, 1, second))
    assert [cost.latency_ms for cost in limit.costs(4997 * 10**9)] == [4997, 4998, 4999]
    assert len(limit.costs(0)) == 2048
