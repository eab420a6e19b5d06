"""Schedules of a running service: what is reported of them, and to whom."""

from __future__ import annotations

from pi_detector.config.schedule import ScheduleSettings
from pi_detector.config.settings import Settings
from pi_detector.core.current import CurrentState
from pi_detector.core.records import StatusRecord
from pi_detector.daemon.hours import Hours
from pi_detector.sinks.web.overview import Watch

ALWAYS = ScheduleSettings()


def test_each_schedule_is_reported_at_its_change_and_when_it_is_removed() -> None:
    told: list[StatusRecord] = []
    hours = Hours(Settings(schedule={"day": ALWAYS, "night": ALWAYS}), told.append)
    hours.step()
    hours.step()
    assert [(r.part, r.name, r.state) for r in told] == [
        ("schedule", "day", "live"),
        ("schedule", "night", "live"),
    ]
    told.clear()
    hours.apply(Settings(schedule={"day": ALWAYS}))
    hours.step()
    assert [(r.name, r.state) for r in told] == [("night", "stopped"), ("day", "live")]


def test_a_schedule_that_was_removed_is_shown_nowhere() -> None:
    told: list[StatusRecord] = []
    hours = Hours(Settings(schedule={"day": ALWAYS, "night": ALWAYS}), told.append)
    hours.step()
    hours.apply(Settings(schedule={"day": ALWAYS}))
    now, page = CurrentState(), Watch()
    for record in told:
        now.note(record)
        page.note(record)
    assert [name for part, name in now.statuses if part == "schedule"] == ["day"]
    shown = page.overview(name="", viewers=0, max_viewers=1, places="", login=False)
    assert shown.schedules == {"day": True}
