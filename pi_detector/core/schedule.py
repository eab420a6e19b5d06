"""When something is on: schedules of hours and days, sunrise and sunset included.

All is judged by the clock on the wall, in the system's time zone: on the day on which clocks are
set forward the hour from 02:00 to 03:00 does not come, and on the day on which they are set back it
comes twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Literal, TypeAlias

from pi_detector.config.schedule import (
    DAYS,
    Day,
    DayTime,
    LocationSettings,
    ScheduleSettings,
    parse_time,
)

SunTimes: TypeAlias = Callable[[date, Literal["sunrise", "sunset"]], datetime]
"""When the sun rises or sets on a day, in local time without a time zone."""

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours of the day, on some days.

    Attributes:
        days: on which they begin; empty is every day.
        start: when they begin.
        end: when they end; a time that is not after the start is one of the next day.
    """

    days: Sequence[Day]
    start: DayTime
    end: DayTime

    @classmethod
    def of(cls, schedule: ScheduleSettings) -> Hours:
        """The hours of a schedule, whose texts are valid."""
        start, end = parse_time(schedule.start), parse_time(schedule.end)
        assert start is not None, "checked with the settings"
        assert end is not None, "checked with the settings"
        return cls(schedule.days, start, end)

    def include(self, now: datetime, sun: SunTimes | None = None) -> bool:
        """Whether a time is within them.

        Args:
            now: local time without a time zone.
            sun: needed for hours by the sun alone.
        """
        # Those of yesterday may last beyond midnight, and those by the sun, with their offsets, may
        # begin a day before or end two days after the day that they are of.
        for offset in range(-2, 2):
            day = now.date() + offset * _DAY
            if self.days and DAYS[day.weekday()] not in self.days:
                continue
            begin, end = _moment(day, self.start, sun), _moment(day, self.end, sun)
            if self._ends_next_day(begin, end):
                end = _moment(day + _DAY, self.end, sun)
            if begin <= now < end:
                return True
        return False

    def _ends_next_day(self, begin: datetime, end: datetime) -> bool:
        start_base, end_base = self.start.base, self.end.base
        if start_base == end_base:
            return self.end.minutes <= self.start.minutes
        if "midnight" not in (start_base, end_base):
            return start_base == "sunset"
        return end <= begin


class Schedules:
    """All schedules of the settings. Immutable; may be asked from any thread.

    Args:
        schedules: section `schedule`, checked.
        location: for sunrise and sunset.

    Example:
        >>> night = ScheduleSettings(start="22:00", end="06:00")
        >>> schedules = Schedules({"night": night}, LocationSettings())
        >>> schedules.is_on(["night"], datetime(2026, 12, 1, 5, 59).astimezone())
        True
        >>> schedules.is_on([]), "without a schedule it is always on"
        (True, 'without a schedule it is always on')
    """

    def __init__(
        self, schedules: Mapping[str, ScheduleSettings], location: LocationSettings
    ) -> None:
        self._schedules = {name: Hours.of(schedule) for name, schedule in schedules.items()}
        self._location = location
        # A frame may ask, and the sun is the same all day.
        self._sun = lru_cache(maxsize=16)(self._sun_on)

    def is_on(self, names: Sequence[str], now: datetime | None = None) -> bool:
        """Whether what names these schedules is on: always without any, else while one of them is.

        Args:
            names: of schedules.
            now: aware; None is this moment. Hours are those of the system's time zone.
        """
        if not names:
            return True
        local = _local(now or datetime.now().astimezone())
        return any(self._schedules[name].include(local, self._sun) for name in names)

    def states(self, now: datetime | None = None) -> dict[str, bool]:
        """Which schedules are on, by name."""
        return {name: self.is_on([name], now) for name in self._schedules}

    def _sun_on(self, day: date, base: Literal["sunrise", "sunset"]) -> datetime:
        found = self._sun_of(day, base)
        # In high latitudes, or by the clock of another part of the world, the sun that rises on a
        # day may set after midnight. Where it does neither, both are noon.
        noon = datetime.combine(day, time(12))
        if base == "sunset" and found <= self._sun_of(day, "sunrise") and found != noon:
            return self._sun_of(day + _DAY, base)
        return found

    def _sun_of(self, day: date, base: Literal["sunrise", "sunset"]) -> datetime:
        from astral import Observer
        from astral.sun import elevation, sunrise, sunset

        noon = datetime.combine(day, time(12)).astimezone()
        assert self._location.latitude is not None, "checked with the settings"
        assert self._location.longitude is not None, "checked with the settings"
        observer = Observer(self._location.latitude, self._location.longitude)
        find = sunrise if base == "sunrise" else sunset
        try:
            return _local(find(observer, day, tzinfo=noon.tzinfo or UTC))
        except ValueError:  # polar day or night
            if elevation(observer, noon) > 0:  # it is day from midnight to midnight
                return datetime.combine(day if base == "sunrise" else day + _DAY, time())
            return _local(noon)


def _local(moment: datetime) -> datetime:
    """What the clock on the wall shows at a moment."""
    return moment.astimezone().replace(tzinfo=None)


def _moment(day: date, when: DayTime, sun: SunTimes | None) -> datetime:
    """A time of a day, as the clock on the wall shows it."""
    if when.base == "midnight":
        base = datetime.combine(day, time())
    else:
        assert sun is not None, "hours by the sun need it"
        base = sun(day, when.base)
    return base + timedelta(minutes=when.minutes)
