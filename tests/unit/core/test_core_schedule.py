"""Schedules: hours and days, over midnight, with the sun, and where it does not rise."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from command import pi_detector

from pi_detector.config.schedule import LocationSettings, ScheduleSettings
from pi_detector.core.schedule import Schedules

BERLIN = LocationSettings(latitude=52.52, longitude=13.4)
TROMSO = LocationSettings(latitude=69.65, longitude=18.96)
REYKJAVIK = LocationSettings(latitude=64.15, longitude=-21.94)
NIGHT = ScheduleSettings(start="sunset", end="sunrise")
DAY = ScheduleSettings(start="sunrise", end="sunset")


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def is_on(schedule: ScheduleSettings, local: str, location: LocationSettings = BERLIN) -> bool:
    now = datetime.fromisoformat(local).astimezone()
    return Schedules({"it": schedule}, location).is_on(["it"], now)


# 2026-12-04 is a Friday.
@pytest.mark.parametrize(
    ("schedule", "on", "off"),
    [
        ({"start": "08:00", "end": "17:30"}, ["12-04T08:00", "12-04T17:29"], ["12-04T17:30"]),
        ({"start": "22:00", "end": "06:00"}, ["12-04T22:00", "12-04T05:59"], ["12-04T06:00"]),
        (
            {"days": ("fri",), "start": "22:00", "end": "06:00"},
            ["12-04T23:00", "12-05T05:00"],
            ["12-04T05:00", "12-05T23:00"],
        ),
        ({"days": ("sat", "sun")}, ["12-05T00:00", "12-06T23:59"], ["12-04T23:59", "12-07T00:00"]),
        ({"start": "18:00", "end": "24:00"}, ["12-04T23:59"], ["12-04T00:00", "12-04T17:59"]),
        ({"days": ("fri",), "start": "12:00", "end": "12:00"}, ["12-05T11:59"], ["12-05T12:00"]),
    ],
)
def test_hours_and_days(schedule: dict, on: list[str], off: list[str]) -> None:
    settings = ScheduleSettings(**schedule)
    assert all(is_on(settings, f"2026-{each}") for each in on)
    assert not any(is_on(settings, f"2026-{each}") for each in off)


def test_hours_by_the_sun() -> None:
    # Berlin, from an almanac: 21 June 04:43 to 21:33, 21 December 08:15 to 15:54, local time.
    for begin, end in (
        ("2026-06-21T04:43", "2026-06-21T21:33"),
        ("2026-12-21T08:15", "2026-12-21T15:54"),
    ):
        for edge, before in ((begin, False), (end, True)):
            moment = datetime.fromisoformat(edge)
            early, late = (moment + timedelta(minutes=m) for m in (-4, 4))
            assert is_on(DAY, early.isoformat()) is before
            assert is_on(DAY, late.isoformat()) is not before
            assert is_on(NIGHT, early.isoformat()) is not before
    dusk = ScheduleSettings(start="sunset-01:00", end="sunset+01:00")
    assert [is_on(dusk, f"2026-12-21T{t}") for t in ("14:45", "15:05", "16:45", "17:05")] == [
        False,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(("date", "light"), [("2026-06-21", True), ("2026-12-21", False)])
def test_where_the_sun_does_not_set_or_rise(date: str, light: bool) -> None:
    for hour in ("00:30", "06:00", "11:00", "13:00", "23:30"):
        assert is_on(DAY, f"{date}T{hour}", TROMSO) is light
        assert is_on(NIGHT, f"{date}T{hour}", TROMSO) is not light


def test_the_clock_is_set_forward() -> None:
    # In the night of 29 March 2026 the hour from 02:00 to 03:00 is left out.
    night = ScheduleSettings(start="22:00", end="06:00")
    first = datetime.fromisoformat("2026-03-28T22:00").astimezone()
    schedules = Schedules({"night": night}, LocationSettings())
    minutes = [schedules.is_on(["night"], first + timedelta(minutes=m)) for m in range(8 * 60)]
    assert minutes.count(True) == 7 * 60
    assert minutes == sorted(minutes, reverse=True)


@pytest.mark.parametrize(
    ("start", "end", "on"),
    [
        ("01:30", "02:00", ("01:30", "01:59")),
        ("01:00", "02:00", ("01:00", "01:59")),
        ("01:30", "02:30", ("01:30", "01:59")),
        ("02:15", "03:10", ("03:00", "03:09")),
        ("02:15", "02:45", None),  # does not come on this day
        ("03:00", "02:00", None),
    ],
)
def test_hours_about_the_hour_that_is_left_out(
    start: str, end: str, on: tuple[str, str] | None
) -> None:
    schedule = ScheduleSettings(start=start, end=end)
    schedules = Schedules({"it": schedule}, LocationSettings())
    midnight = datetime.fromisoformat("2026-03-29T00:00").astimezone()
    minutes = [midnight.astimezone(UTC) + timedelta(minutes=m) for m in range(23 * 60)]
    lit = [m.astimezone().strftime("%H:%M") for m in minutes if schedules.is_on(["it"], m)]
    if start > end:
        assert len(lit) == 22 * 60 + 60
    else:
        assert (lit[0], lit[-1]) == on if on else not lit


def test_the_clock_is_set_back() -> None:
    # In the night of 25 October 2026 the hour from 02:00 to 03:00 comes twice.
    schedules = Schedules({"it": ScheduleSettings(start="01:30", end="02:30")}, LocationSettings())
    midnight = datetime.fromisoformat("2026-10-25T00:00").astimezone()
    on = [schedules.is_on(["it"], midnight + timedelta(minutes=m)) for m in range(25 * 60)]
    assert on.count(True) == 90


def test_a_polar_night_has_no_gap_at_noon() -> None:
    for second in range(-2, 3):
        moment = datetime.fromisoformat("2026-12-21T12:00:00").astimezone()
        moment += timedelta(seconds=second)
        for fraction in (0, 1, 999_999):
            schedules = Schedules({"day": DAY, "night": NIGHT}, TROMSO)
            now = moment + timedelta(microseconds=fraction)
            assert schedules.states(now) == {"day": False, "night": True}, now


def test_a_sun_that_sets_after_midnight() -> None:
    # Reykjavik at midsummer: from 02:03 to 04:55 by the clock of Berlin the sun is down.
    for local, light in (
        ("2026-06-21T23:00", True),
        ("2026-06-22T01:50", True),
        ("2026-06-22T02:20", False),
        ("2026-06-22T04:40", False),
        ("2026-06-22T05:10", True),
    ):
        assert is_on(DAY, local, REYKJAVIK) is light, local
        assert is_on(NIGHT, local, REYKJAVIK) is not light, local


def test_any_of_several_and_always_without_one() -> None:
    both = {"early": ScheduleSettings(end="06:00"), "late": ScheduleSettings(start="20:00")}
    schedules = Schedules(both, LocationSettings())
    now = datetime.fromisoformat("2026-12-04T21:00").astimezone()
    assert schedules.is_on(["early", "late"], now)
    assert not schedules.is_on(["early"], now)
    assert schedules.is_on([], now)
    assert schedules.states(now) == {"early": False, "late": True}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"schedule": {"night": {"start": "25:00"}}}, "'25:00' is no time of the day"),
        ({"schedule": {"night": {"start": "sunset"}}}, "set location.latitude and location.long"),
        (
            {"schedule": {"night": {"days": ["friday"]}}},
            "schedule.night.days: expected one of",
        ),
        (
            {"detection": {"schedules": ["nigth"]}, "schedule": {"night": {}}},
            'did you mean "night"?',
        ),
        ({"recording": {"schedules": ["day"]}}, "add [schedule.day]"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, settings: dict, said: str) -> None:
    config = tmp_path / "config.toml"
    config.write_bytes(msgspec.toml.encode(settings))
    done = pi_detector("config", "check", config)
    assert done.returncode == 78
    assert said in done.stderr, done.stderr
