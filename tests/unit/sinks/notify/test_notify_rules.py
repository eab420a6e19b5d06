"""Which events a message is sent about, by the clocks of the frames alone."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from notified import a_rule, event

from pi_detector.config.schedule import LocationSettings, ScheduleSettings
from pi_detector.core.records import EventRecord
from pi_detector.core.schedule import Schedules
from pi_detector.sinks.notify.rules import Rule


class Told:
    """What a rule made of events: kinds and numbers of events."""

    def __init__(self, **settings: Any) -> None:
        self.rule = Rule("phone", a_rule(**settings), lambda _: UTC)
        self.groups: list[str] = []

    def __call__(self, record: EventRecord) -> list[str]:
        found = list(self.rule.occasions(record))
        self.groups += [each.group for each in found]
        return [each.when for each in found]


def test_a_visit_is_told_once_and_its_end_where_asked_for() -> None:
    told, both = Told(), Told(when=["new", "end"])
    visit = [
        event(1, 0),
        event(1, 2, "update", revision=1),
        event(1, 4, "update", revision=2),
        event(1, 9, "end", revision=3),
    ]
    assert [told(each) for each in visit] == [["new"], [], [], []]
    assert [both(each) for each in visit] == [["new"], [], [], ["end"]]


@pytest.mark.parametrize("reason", ["shutdown", "reload", "paused", "source_lost", "failed"])
def test_an_end_that_is_none_is_not_told(reason: Any) -> None:
    told = Told(when=["end"])
    told(event(1))
    assert told(event(1, 5, "end", revision=1, reason=reason)) == []
    told(event(2))
    assert told(event(2, 5, "end", revision=1, reason="source_ended")) == ["end"]


def test_labels_and_scores() -> None:
    told = Told(labels=["person"], min_score=0.7)
    assert told(event(1, label="car")) == []
    assert told(event(2, score=0.6)) == []
    assert told(event(2, 2, "update", revision=1, score=0.7)) == ["new"]
    assert told(event(2, 4, "update", revision=2, score=0.9)) == []


def test_a_zone_counts_from_the_moment_at_which_the_object_is_in_it() -> None:
    told = Told(zones=["door"], when=["new", "end"])
    assert told(event(1, 0, zones=("street",))) == []
    assert told(event(1, 2, "update", revision=1, zones=("street", "door"))) == ["new"]
    assert told(event(1, 4, "update", revision=2, zones=(), entered=("street", "door"))) == []
    assert told(event(1, 6, "end", revision=3, entered=("street", "door"))) == ["end"]
    assert told(event(2, 0, zones=("street",))) == []
    assert told(event(2, 6, "end", revision=1, entered=("street",))) == []


def test_loitering_and_crossings() -> None:
    told = Told(when=["loitering", "crossing"], zones=["door"], lines=["gate"])
    assert told(event(1)) == []
    update = {"phase": "update", "revision": 1, "zones": ("door",)}
    assert told(event(1, 2, changes=(("loitering", "yard"),), **update)) == []
    assert told(event(1, 4, changes=(("loitering", "door"),), **update)) == ["loitering"]
    changes = (("in", "gate"), ("out", "road"), ("entered", "door"))
    assert told(event(1, 6, changes=changes, **update)) == ["crossing"]
    assert told(event(1, 8, changes=(("out", "gate"),), label="car", **update)) == ["crossing"]


def test_a_cooldown_is_of_a_label_and_a_kind() -> None:
    told = Told(cooldown_s=60, when=["new", "end"])
    assert told(event(1, 0)) == ["new"]
    assert told(event(1, 5, "end", revision=1)) == ["end"]
    assert told(event(2, 10)) == []
    assert told(event(3, 11, label="car")) == ["new"]
    assert told(event(4, 59.9)) == []
    assert told(event(5, 60.0)) == ["new"]
    # An event without a message does not restart the cooldown.
    assert told(event(6, 119.9)) == []
    assert told(event(7, 120)) == ["new"]


def test_several_in_ten_seconds_are_one_message() -> None:
    told = Told(group_s=10, cooldown_s=60)
    assert [told(event(number, at_s)) for number, at_s in ((1, 0), (2, 4), (3, 9.9))] == [
        ["new"]
    ] * 3
    assert len(set(told.groups)) == 1
    assert told(event(4, 10)) == []  # the group is over, and quiet is kept from its last on
    assert told(event(5, 69.8)) == []
    assert told(event(6, 69.95)) == ["new"]
    assert len(set(told.groups)) == 2


def test_a_group_is_complete_ten_seconds_after_its_first() -> None:
    rule = Rule("phone", a_rule(group_s=10))
    first, second = (next(rule.occasions(event(n, at_s))) for n, at_s in ((1, 0), (2, 7)))
    assert first.due_ns == second.due_ns == event().monotonic_ns + 10**10
    alone = next(Rule("phone", a_rule()).occasions(event()))
    assert alone.due_ns == event().monotonic_ns


def at_hour(number: int, day: int, hour: int, minute: int = 0) -> EventRecord:
    """An event of November 2026, in which the 23rd is a Monday."""
    wall = datetime(2026, 11, day, hour, minute, tzinfo=UTC)
    return event(number, now=(wall, round(wall.timestamp() * 1e9)))


@pytest.mark.parametrize(
    ("settings", "told_at", "quiet_at"),
    [
        ({"hours": ["08:00-12:30"]}, [(24, 8, 0), (24, 12, 29)], [(24, 7, 59), (24, 12, 30)]),
        ({"hours": ["22:00-06:00"]}, [(24, 22, 0), (24, 5, 59), (24, 0, 0)], [(24, 6, 0)]),
        ({"hours": ["00:00-24:00"]}, [(24, 0, 0), (24, 23, 59)], []),
        ({"hours": ["06:00-07:00", "20:00-21:00"]}, [(24, 6, 30), (24, 20, 30)], [(24, 12, 0)]),
        ({"days": ["sat", "sun"]}, [(28, 0, 0), (29, 23, 59)], [(27, 23, 59), (30, 0, 0)]),
        # The night of Friday goes into Saturday, that of Thursday does not count.
        (
            {"hours": ["22:00-06:00"], "days": ["fri"]},
            [(27, 22, 0), (28, 5, 59)],
            [(27, 5, 59), (27, 21, 59), (28, 6, 0), (28, 22, 0)],
        ),
    ],
)
def test_hours_and_days(
    settings: dict[str, Any],
    told_at: list[tuple[int, int, int]],
    quiet_at: list[tuple[int, int, int]],
) -> None:
    for number, moment in enumerate(told_at):
        assert Told(**settings)(at_hour(number, *moment)) == ["new"], moment
    for number, moment in enumerate(quiet_at):
        assert Told(**settings)(at_hour(number, *moment)) == [], moment


def test_hours_are_those_of_the_machine_also_when_its_clock_changes() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    rule = Rule("phone", a_rule(hours=["03:00-04:00"]), lambda _: berlin)
    summer = datetime(2026, 7, 1, 1, 30, tzinfo=UTC)
    winter = datetime(2026, 12, 1, 1, 30, tzinfo=UTC)
    assert [each.when for each in rule.occasions(event(1, now=(summer, 1)))] == ["new"]
    assert list(rule.occasions(event(2, now=(winter, 2)))) == []
    other = Rule("phone", a_rule(hours=["03:00-04:00"]), lambda _: timezone(timedelta(hours=2)))
    assert [each.when for each in other.occasions(event(3, now=(winter, 3)))] == ["new"]


def test_a_rule_has_the_hours_of_a_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    try:
        schedules = Schedules(
            {
                "night": ScheduleSettings(days=("fri",), start="22:00", end="06:00"),
                "dark": ScheduleSettings(start="sunset", end="sunrise"),
            },
            LocationSettings(latitude=52.5, longitude=13.4),  # sunset at 14:59, sunrise at 6:45
        )
        for name, told_at, quiet_at in (
            ("night", [(27, 22, 0), (28, 5, 59)], [(27, 5, 59), (28, 6, 0), (28, 22, 0)]),
            ("dark", [(24, 15, 30), (24, 6, 0)], [(24, 14, 30), (24, 7, 30)]),
        ):
            for moments, expected in ((told_at, ["new"]), (quiet_at, [])):
                for number, moment in enumerate(moments):
                    rule = Rule("phone", a_rule(schedules=[name]), schedules=schedules)
                    found = [each.when for each in rule.occasions(at_hour(number, *moment))]
                    assert found == expected, (name, moment)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_what_came_at_a_quiet_time_is_not_told_later() -> None:
    told = Told(hours=["13:00-14:00"], when=["new", "end"])
    assert told(event(1, 0)) == []  # at noon
    assert told(event(1, 3600, "update", revision=1)) == []
    assert told(event(1, 3700, "end", revision=2)) == []
    only_ends = Told(hours=["13:00-14:00"], when=["end"])
    only_ends(event(1, 0))
    assert only_ends(event(1, 3700, "end", revision=1)) == ["end"]


def test_after_a_reload_those_who_are_here_are_nothing_new() -> None:
    told = Told(when=["new", "end"])
    told.rule.know(event(1))
    assert told(event(1, 2, "update", revision=1)) == []
    assert told(event(1, 4, "end", revision=2)) == ["end"]


def test_a_rule_that_runs_for_ever_remembers_a_bounded_number_of_events() -> None:
    told = Told()
    for number in range(3000):
        told(event(number, number))
    assert len(told.rule._events) <= 1000
