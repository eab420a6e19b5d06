"""When something is on: schedules of hours and days, sunrise and sunset included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

from pi_detector.config.schedule import (
    DAYS,
    Day,
    DayTime,
    LocationSettings,
    ScheduleSettings,
    parse_time,
)

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Hours:
    """A schedule whose texts are parsed."""

    days: tuple[Day, ...]
    start: DayTime
    end: DayTime

    @classmethod
    def of(cls, schedule: ScheduleSettings) -> _Hours:
        start, end = parse_time(schedule.start), parse_time(schedule.end)
        assert start is not None, "checked with the settings"
        assert end is not None, "checked with the settings"
        return cls(schedule.days, start, end)


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
        self._schedules = {name: _Hours.of(schedule) for name, schedule in schedules.items()}
        self._location = location
        # A frame may ask, and the sun is the same all day.
        self._sun = lru_cache(maxsize=8)(self._sun_of)

    def is_on(self, names: Sequence[str], now: datetime | None = None) -> bool:
        """Whether what names these schedules is on: always without any, else while one of them is.

        Args:
            names: of schedules.
            now: aware; None is this moment. Hours are those of the system's time zone.
        """
        return not names or any(self._is_on(self._schedules[name], now) for name in names)

    def states(self, now: datetime | None = None) -> dict[str, bool]:
        """Which schedules are on, by name."""
        return {name: self.is_on([name], now) for name in self._schedules}

    def _is_on(self, hours: _Hours, now: datetime | None) -> bool:
        now = (now or datetime.now().astimezone()).astimezone()
        start, end = hours.start, hours.end
        # The hours of yesterday may go on after midnight, those of tomorrow begin before it.
        for day in (now.date() - _DAY, now.date(), now.date() + _DAY):
            if hours.days and DAYS[day.weekday()] not in hours.days:
                continue
            begin, finish = self._at(day, start), self._at(day, end)
            if finish < begin or (finish == begin and start == end):
                finish = self._at(day + _DAY, end)
            if begin <= now < finish:
                return True
        return False

    def _at(self, day: date, when: DayTime) -> datetime:
        """A time of a day as a moment, aware, in the system's time zone."""
        if when.base == "midnight":
            day, minutes = day + when.minutes // (24 * 60) * _DAY, when.minutes % (24 * 60)
            return datetime.combine(day, time(*divmod(minutes, 60))).astimezone()
        sun = self._sun(day, when.base == "sunrise")
        return sun + timedelta(minutes=when.minutes)

    def _sun_of(self, day: date, rises: bool) -> datetime:
        from astral import Observer
        from astral.sun import elevation, sunrise, sunset

        noon = datetime.combine(day, time(12)).astimezone()
        assert self._location.latitude is not None, "checked with the settings"
        assert self._location.longitude is not None, "checked with the settings"
        observer = Observer(self._location.latitude, self._location.longitude)
        try:
            found = (sunrise if rises else sunset)(observer, day, tzinfo=noon.tzinfo or UTC)
        except ValueError:  # polar day or night
            if elevation(observer, noon) > 0:  # it is day from midnight to midnight
                begin = datetime.combine(day, time()).astimezone()
                return begin if rises else datetime.combine(day + _DAY, time()).astimezone()
            return noon if rises else noon + timedelta(seconds=1)
        return found.astimezone()
