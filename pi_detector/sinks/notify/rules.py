"""Which events a message is sent about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

from pi_detector.config.notify import NotifySettings, When, minutes_of
from pi_detector.config.schedule import DayTime, LocationSettings
from pi_detector.core.records import EventRecord, Transition
from pi_detector.core.schedule import Hours, Schedules

_ALL_DAY = ("00:00-24:00",)
_TRULY_ENDED = frozenset({"gone", "source_ended"})
_MOST_EVENTS = 1000  # that are followed; of more, the oldest are taken for ended


@dataclass(frozen=True, slots=True)
class Occasion:
    """Something that a message is sent about.

    Attributes:
        when: the kind.
        event: its latest record.
        change: what it did at a zone or line; None for its beginning and end.
        group: names the message that it is part of, with others of the same group.
        due_ns: monotonic time, by the frames, at which that message is complete.
    """

    when: When
    event: EventRecord
    change: Transition | None
    group: str
    due_ns: int


@dataclass(slots=True)
class _Group:
    """Occasions that become one message."""

    name: str
    until_ns: int


@dataclass(slots=True)
class _Followed:
    """An open event.

    Attributes:
        qualified: the rule is about it: label, score, zones.
        announced: a message was sent about its beginning.
    """

    qualified: bool = False
    announced: bool = False


@dataclass(slots=True)
class _Quiet:
    """Kinds and labels of which no message is sent for now."""

    until_ns: dict[tuple[When, str], int] = field(default_factory=dict)

    def covers(self, when: When, label: str, now_ns: int) -> bool:
        return now_ns < self.until_ns.get((when, label), now_ns)


class Rule:
    """Decides by the records of events, and by their clocks alone. For one thread.

    Args:
        name: of the rule.
        settings: of the rule.
        zone_of: the time zone of the machine at a time; None takes the system's.
        schedules: those of the settings; None where there are none.
    """

    def __init__(
        self,
        name: str,
        settings: NotifySettings,
        zone_of: Callable[[datetime], tzinfo | None] | None = None,
        schedules: Schedules | None = None,
    ) -> None:
        self.name = name
        self._settings = settings
        self._zone_of = zone_of or (lambda _: None)
        self._hours = [
            Hours(settings.days, DayTime("midnight", begin), DayTime("midnight", end))
            for begin, end in (minutes_of(hours) or (0, 0) for hours in settings.hours or _ALL_DAY)
        ]
        self._schedules = schedules or Schedules({}, LocationSettings())
        self._quiet = _Quiet()
        self._groups: dict[When, _Group] = {}
        self._events: dict[str, _Followed] = {}

    def concerns(self, label: str) -> bool:
        """Whether events of this label may lead to a message."""
        return not self._settings.labels or label in self._settings.labels

    def wants_more(self, event: EventRecord) -> bool:
        """Whether an open event may still lead to a message."""
        return self.concerns(event.label) and (
            self._settings.when != ("new",) or not self._followed(event.id).qualified
        )

    def know(self, event: EventRecord) -> None:
        """An event that began before this rule did, which is nothing new."""
        qualified = self._qualifies(event)
        self._events[event.id] = _Followed(qualified, announced=qualified)

    def occasions(self, event: EventRecord) -> Iterator[Occasion]:
        """What a record of an event leads to."""
        followed = self._followed(event.id)
        for when, change in self._kinds(event, followed):
            if not self._is_time(event.time):
                continue
            if (found := self._admit(when, event, change)) is not None:
                followed.announced |= when == "new"
                yield found
        if event.phase == "end":
            self._events.pop(event.id, None)

    def _kinds(
        self, event: EventRecord, followed: _Followed
    ) -> Iterator[tuple[When, Transition | None]]:
        """What happened that the rule is about, whatever the time and what came before."""
        wanted = self._settings.when
        begins = not followed.qualified and self._qualifies(event)
        followed.qualified |= begins
        if begins and "new" in wanted and event.phase != "end":
            yield "new", None
        for change in event.transitions if self._passes(event) else ():
            if change.kind == "loitering" and "loitering" in wanted and self._at(event, change):
                yield "loitering", change
            elif change.kind in ("in", "out") and "crossing" in wanted and self._at(event, change):
                yield "crossing", change
        over = event.phase == "end" and event.reason in _TRULY_ENDED
        # An end whose beginning was not announced, at a quiet time, would only puzzle.
        announced = followed.announced if "new" in wanted else followed.qualified
        if over and announced and "end" in wanted:
            yield "end", None

    def _followed(self, event_id: str) -> _Followed:
        found = self._events.setdefault(event_id, _Followed())
        while len(self._events) > _MOST_EVENTS:
            del self._events[next(iter(self._events))]
        return found

    def _passes(self, event: EventRecord) -> bool:
        return self.concerns(event.label) and event.score >= self._settings.min_score

    def _qualifies(self, event: EventRecord) -> bool:
        return self._passes(event) and self._in_zone(event)

    def _in_zone(self, event: EventRecord) -> bool:
        """Whether the object was in one of the rule's zones; always without any."""
        zones = self._settings.zones
        return not zones or not set(zones).isdisjoint(event.entered)

    def _at(self, event: EventRecord, change: Transition) -> bool:
        """Whether the rule is about this zone or line."""
        if change.kind == "loitering":
            return not self._settings.zones or change.name in self._settings.zones
        lines = self._settings.lines
        return (not lines or change.name in lines) and self._in_zone(event)

    def _is_time(self, now: datetime) -> bool:
        if self._settings.schedules:
            return self._schedules.is_on(self._settings.schedules, now)
        local = now.astimezone(self._zone_of(now)).replace(tzinfo=None)
        return any(hours.include(local) for hours in self._hours)

    def _admit(self, when: When, event: EventRecord, change: Transition | None) -> Occasion | None:
        """The occasion, as part of a group that is open or of its own, unless it is quiet."""
        now_ns = event.monotonic_ns
        group = self._groups.get(when)
        if group is None or now_ns >= group.until_ns:
            if self._quiet.covers(when, event.label, now_ns):
                return None
            # One record may say that an object crossed two lines, or loiters in two zones.
            did = f":{change.kind}:{change.name}" if change else ""
            group = _Group(
                f"{self.name}:{event.id}:{event.revision}:{when}{did}",
                now_ns + round(self._settings.group_s * 1e9),
            )
            if self._settings.group_s:
                self._groups[when] = group
        self._quiet.until_ns[when, event.label] = now_ns + round(self._settings.cooldown_s * 1e9)
        return Occasion(when, event, change, group.name, group.until_ns)
