"""Settings of schedules: hours of the day and days of the week."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, get_args

import msgspec

from pi_detector.config.section import Part, Reload, Section

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = get_args(Day)
"""The days of the week, as ``date.weekday`` counts them."""
_TIME = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d|24:00")
_OF_THE_SUN = re.compile(r"(sunrise|sunset)(?:([+-])((?:0\d|1[01]):[0-5]\d))?")


class ScheduleSettings(Section, frozen=True):
    """Hours of the day, for `detection.schedules`, `recording.schedules` and messages.

    Attributes:
        days: Days on which the hours begin; empty = every day.
        start: Local time at which the hours begin: `HH:MM`, `sunrise` or `sunset`, the latter two
            also with an offset such as `sunset-00:30`.
        end: Local time at which the hours end, in the same form, or `24:00`; a time that is not
            after the start is one of the next day.
    """

    RELOAD: ClassVar[Reload] = "live"
    PARTS: ClassVar[frozenset[Part]] = frozenset({"hours"})

    days: tuple[Day, ...] = ()
    start: str = "00:00"
    end: str = "24:00"


class LocationSettings(Section, frozen=True):
    """Where the camera is, for sunrise and sunset.

    Attributes:
        latitude: Degrees north of the equator; south is negative.
        longitude: Degrees east of Greenwich; west is negative.
    """

    RELOAD: ClassVar[Reload] = "live"
    PARTS: ClassVar[frozenset[Part]] = frozenset({"hours"})

    latitude: Annotated[float, msgspec.Meta(ge=-90, le=90)] | None = None
    longitude: Annotated[float, msgspec.Meta(ge=-180, le=180)] | None = None

    @property
    def known(self) -> bool:
        """Whether both are set."""
        return self.latitude is not None and self.longitude is not None


class DayTime(msgspec.Struct, frozen=True):
    """A time of the day.

    Attributes:
        base: what it counts from.
        minutes: after that; negative is before.
    """

    base: Literal["midnight", "sunrise", "sunset"]
    minutes: int


def parse_time(text: str) -> DayTime | None:
    """The time that a setting gives; None where it gives none."""
    if _TIME.fullmatch(text):
        return DayTime("midnight", _minutes(text))
    found = _OF_THE_SUN.fullmatch(text)
    if found is None:
        return None
    base, sign, offset = found.groups()
    minutes = _minutes(offset) if offset else 0
    return DayTime(
        "sunrise" if base == "sunrise" else "sunset", -minutes if sign == "-" else minutes
    )


def schedule_problems(
    schedules: dict[str, ScheduleSettings], location: LocationSettings
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the settings of schedules that make no sense, and why."""
    for name, schedule in schedules.items():
        for key in ("start", "end"):
            text = getattr(schedule, key)
            path = ("schedule", name, key)
            time = parse_time(text)
            if time is None:
                yield (
                    path,
                    f"schedule.{name}.{key}: {text!r} is no time of the day; write HH:MM, sunrise "
                    "or sunset, such as 07:30 or sunset-00:30",
                )
            elif time.base != "midnight" and not location.known:
                yield (
                    path,
                    f"schedule.{name}.{key}: {time.base} depends on where the camera is; set "
                    "location.latitude and location.longitude",
                )


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return 60 * int(hours) + int(minutes)
