"""The governor's decisions, on a thermal model of a board."""

from __future__ import annotations

import random
import sys
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from where import CHECKOUT

from pi_detector.config.governor import GovernorSettings
from pi_detector.governor.policy import Governor, Level, Reading

sys.path.insert(0, str(CHECKOUT / "benchmarks"))
from governor import HOUR_S, Board, Course, simulate, summer_day

TARGET = 75.0
HOT_RISE = 55.0
HELD = GovernorSettings(enabled=True, temperature_celsius=TARGET)
FULL = Level(None, 4)

unhurried = settings(
    deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def most_changes_an_hour(course: Course) -> int:
    hour = round(HOUR_S)
    starts = range(0, max(1, len(course.levels) - hour + 1), 600)
    return max(course.changes(start, start + hour) for start in starts)


def test_a_summer_day_throttles_without_and_not_with_the_governor() -> None:
    without = simulate(Board(full_rise=HOT_RISE), summer_day, 9 * HOUR_S, None)
    assert sum(without.throttled) > HOUR_S
    assert max(without.celsius) >= 80

    governed = simulate(Board(full_rise=HOT_RISE), summer_day, 9 * HOUR_S, HELD)
    assert not any(governed.throttled)
    assert max(governed.celsius) <= TARGET + 2
    assert most_changes_an_hour(governed) <= 20
    assert min(governed.fps) >= HELD.min_fps


@unhurried
@given(
    tau_s=st.floats(60, 600),
    full_rise=st.floats(20, 65),
    idle_rise=st.floats(5, 15),
    air=st.floats(-10, 45),
    invoke_s=st.floats(0.03, 0.5),
    fan=st.floats(0.6, 1),
    noise=st.floats(0, 0.5),
)
@example(
    tau_s=60, full_rise=65, idle_rise=5, air=45, invoke_s=0.03, fan=0.6, noise=0.5
)  # the quickest to heat
def test_any_board_that_can_be_held_is_held(
    tau_s: float,
    full_rise: float,
    idle_rise: float,
    air: float,
    invoke_s: float,
    fan: float,
    noise: float,
) -> None:
    """The sun comes after an hour, for one; from hour 2.5 to 3.5 the fan is slower."""

    def weather(now_s: float) -> tuple[float, float]:
        sun = 10 if HOUR_S <= now_s < 2 * HOUR_S else 0
        return air + sun, fan if 2.5 * HOUR_S <= now_s < 3.5 * HOUR_S else 1.0

    board = Board(
        tau_s, full_rise, idle_rise, invoke_s, noise=noise, celsius=air, random=random.Random(7)
    )
    course = simulate(board, weather, 4 * HOUR_S, HELD)
    assert min(course.fps) >= min(HELD.min_fps, 1 / invoke_s)
    assert most_changes_an_hour(course) <= 40
    least_rise = idle_rise + (full_rise - idle_rise) * HELD.min_fps * invoke_s / board.cores
    if max(air + 10 + least_rise, air + least_rise / fan) < TARGET - 3:
        assert max(course.celsius) <= TARGET + 2
        assert not any(course.throttled)
        assert not any(level.missed for level in course.levels)


def test_it_recovers_slowly_when_it_cools_down() -> None:
    def weather(now_s: float) -> tuple[float, float]:
        return (50.0 if now_s < HOUR_S else 10.0), 1.0

    course = simulate(Board(full_rise=HOT_RISE), weather, 3 * HOUR_S, HELD)
    assert course.levels[round(HOUR_S) - 1].rungs > 0
    assert course.levels[-1] == FULL
    rises = [
        second
        for second, (a, b) in enumerate(pairwise(course.levels))
        if b.rungs < a.rungs and second > HOUR_S
    ]
    assert all(later - sooner >= 100 for sooner, later in pairwise(rises))


def test_a_board_that_cannot_be_held_says_so_and_keeps_the_lowest_rate() -> None:
    settings = GovernorSettings(enabled=True, temperature_celsius=40, min_fps=2, model="small")
    course = simulate(Board(), lambda _: (35.0, 1.0), HOUR_S, settings)
    last = course.levels[-1]
    assert (last.rate_fps, last.threads, last.small) == (2, 1, True)
    assert last.missed == ("temperature",)
    assert min(course.fps) == 2


def test_rate_then_threads_then_model_give_way() -> None:
    settings = GovernorSettings(enabled=True, min_fps=5, model="small")
    governor, levels = Governor(settings, threads=3), []
    for second in range(200):
        level = governor.decide(Reading(full_fps=10, celsius=76), second)
        if not levels or level != levels[-1]:
            levels.append(level)
    assert [(level.rate_fps, level.threads, level.small) for level in levels] == [
        (8.5, 3, False),
        (7.22, 3, False),
        (6.14, 3, False),
        (5.22, 3, False),
        (5, 3, False),
        (5, 2, False),
        (5, 1, False),
        (5, 1, True),
        (5, 1, True),
    ]
    assert [level.missed for level in levels[-2:]] == [(), ("temperature",)]


def test_looks_give_way_first_and_the_rate_stays_what_it_was() -> None:
    settings = GovernorSettings(enabled=True, min_fps=5, model="small")
    governor, levels = Governor(settings, threads=2), []
    for second in range(200):
        level = governor.decide(Reading(full_fps=6, celsius=76, looks=4), second)
        if not levels or level != levels[-1]:
            levels.append(level)
    assert [(level.looks, level.rate_fps, level.threads, level.small) for level in levels[:8]] == [
        (3, 6, 2, False),
        (2, 6, 2, False),
        (1, 6, 2, False),
        (1, 5.1, 2, False),
        (1, 5, 2, False),
        (1, 5, 1, False),
        (1, 5, 1, True),
        (1, 5, 1, True),
    ]
    assert [level.rungs for level in levels[:3]] == [1, 2, 3]


def test_looks_come_back_last_when_it_is_cool_again() -> None:
    governor = Governor(HELD, threads=2)
    for second in range(30):
        level = governor.decide(Reading(full_fps=6, celsius=79, looks=4), second)
    assert level.looks == 1
    seen = []
    for second in range(30, 6000):
        level = governor.decide(Reading(full_fps=6, celsius=50, looks=4), second)
        if not seen or level != seen[-1]:
            seen.append(level)
    looks = [each.looks for each in seen]
    assert looks[-4:] == [1, 2, 3, None]
    assert all(each.rate_fps == 6 for each in seen[-4:-1])
    assert level == Level(None, 2)


def test_fewer_looks_shorten_the_latency_without_a_limit_of_the_rate() -> None:
    governor = Governor(GovernorSettings(enabled=True, latency_ms=200), threads=4)
    level = FULL
    for second in range(100):
        looks = 4 if level.looks is None else level.looks
        reading = Reading(full_fps=5, latency_ms=70 * looks, looks=4)
        level = governor.decide(reading, second)
    assert (level.looks, level.rate_fps, level.missed) == (2, None, ())


@pytest.mark.parametrize("looks", [0, 1])
def test_a_single_look_is_not_given_up(looks: int) -> None:
    governor = Governor(HELD, threads=4)
    level = governor.decide(Reading(full_fps=10, celsius=76, looks=looks), 0)
    assert (level.looks, level.rate_fps) == (None, 8.5)


def test_throttling_acts_at_once_and_without_a_sensor() -> None:
    governor = Governor(HELD, threads=4)
    assert governor.decide(Reading(full_fps=10), 0) == FULL
    level = governor.decide(Reading(full_fps=10, throttled="clock capped"), 1)
    assert level.rungs == 2
    assert "clock capped" in level.reason
    for second in range(2, 300):
        level = governor.decide(Reading(full_fps=10), second)
    assert level == FULL


def test_nothing_is_lowered_while_no_frames_come() -> None:
    governor = Governor(HELD, threads=4)
    assert governor.decide(Reading(full_fps=0, celsius=90), 0) == FULL


def test_a_lower_rate_ends_the_wait_and_holds_the_latency() -> None:
    board = Board(invoke_s=0.25)  # 90 ms on four threads, and up to 30 ms of waiting
    settings = GovernorSettings(enabled=True, latency_ms=110)
    course = simulate(board, lambda _: (20.0, 1.0), HOUR_S, settings)
    assert course.latency_ms[0] > 110
    assert course.latency_ms[-1] <= 110
    assert course.levels[-1].threads == 4
    assert not course.levels[-1].missed
    assert course.changes() <= 20


def test_the_smaller_model_holds_a_latency_that_no_rate_can() -> None:
    settings = GovernorSettings(enabled=True, latency_ms=80, model="small")
    course = simulate(Board(invoke_s=0.25), lambda _: (20.0, 1.0), HOUR_S, settings)
    held = [latency <= 80 for latency in course.latency_ms]
    assert sum(held) > 0.9 * len(held)
    assert course.levels[-1].small
    assert course.changes() <= 20


def test_a_latency_that_cannot_be_held_costs_two_rungs_and_is_told() -> None:
    settings = GovernorSettings(enabled=True, latency_ms=20)
    course = simulate(Board(invoke_s=0.25), lambda _: (20.0, 1.0), HOUR_S, settings)
    assert course.levels[-1].rungs == 2
    assert course.levels[-1].missed == ("latency",)


def test_other_settings_are_taken_up_from_the_level_in_force() -> None:
    governor = Governor(GovernorSettings(enabled=True, model="small"), threads=2)
    for second in range(200):
        low = governor.decide(Reading(full_fps=10, celsius=90), second)
    assert low.small
    governor.apply(GovernorSettings(enabled=True, min_fps=8))
    level = governor.decide(Reading(full_fps=10, celsius=90), 200)
    assert (level.rate_fps, level.threads, level.small) == (8, 1, False)
    governor.apply(GovernorSettings(enabled=True, temperature_celsius=0, latency_ms=1000))
    for second in range(201, 2000):
        level = governor.decide(Reading(full_fps=10, celsius=90, latency_ms=50), second)
    assert level == Level(None, 2)


@given(
    st.lists(
        st.builds(
            Reading,
            full_fps=st.floats(0, 1000),
            celsius=st.none() | st.floats(-50, 150),
            latency_ms=st.none() | st.floats(0, 1e6),
            throttled=st.sampled_from(["", "throttled"]),
            looks=st.integers(0, 8),
        ),
        max_size=200,
    ),
    st.floats(0.1, 240),
    st.integers(1, 8),
)
@unhurried
def test_whatever_the_sensors_say_the_level_makes_sense(
    readings: list[Reading], min_fps: float, threads: int
) -> None:
    settings = GovernorSettings(enabled=True, latency_ms=50, min_fps=min_fps)
    governor, now_s = Governor(settings, threads), 0.0
    for reading in readings:
        now_s += random.Random(now_s).choice([0.5, 2, 30, 700])
        level = governor.decide(reading, now_s)
        assert level.rate_fps is None or level.rate_fps >= round(min_fps, 2)
        assert 1 <= level.threads <= threads
        assert not level.small
        assert level.looks is None or 1 <= level.looks < 8
        unlimited = level.rate_fps is None and level.looks is None and level.threads == threads
        assert (level.rungs == 0) == unlimited


@pytest.mark.parametrize("threads", [1, 4])
def test_full_speed_is_no_limit(threads: int) -> None:
    governor = Governor(HELD, threads)
    assert governor.decide(Reading(full_fps=10, celsius=50), 0) == Level(None, threads)
