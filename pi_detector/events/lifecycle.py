"""From tracked objects to the records of their events: ``new``, ``update``, ``end``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pi_detector.config.events import EventSettings, FilterSettings
from pi_detector.core.boxes import BoxPx, normalized, rounded_px
from pi_detector.core.frame import Frame, ImageArray
from pi_detector.core.records import BestView, EventRecord, FrameSize, Transition
from pi_detector.core.result import View
from pi_detector.core.states import EndReason
from pi_detector.events.objects import FrameTime, OpenEvent, TrackedObject
from pi_detector.events.view_quality import prospect, sharpness
from pi_detector.events.zones import Borders, Change

_BETTER = 1.1  # a view that is worth less than this many times the best one is not a new best
_SURER = 1.1  # the median score of an event's object, by the lowest score of a detection
_SAME_PLACE_IOU = 0.5
_REMEMBER_NS = 600 * 10**9  # how long a standing object is known after its source was lost


@dataclass(slots=True)
class Counts:
    """What the life cycle did so far.

    Attributes:
        started: events that began.
        ended: events that ended.
        updates: records of phase ``update``.
        held_back: objects whose event a cooldown kept from beginning, at least for a while.
        lines: crossings by line: objects that went in, and out.
    """

    started: int = 0
    ended: int = 0
    updates: int = 0
    held_back: int = 0
    lines: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scene:
    """What all records of a frame have in common."""

    now: FrameTime
    source: str
    width: int
    height: int

    @classmethod
    def of(cls, frame: Frame) -> Scene:
        """The scene of a frame."""
        now = FrameTime(frame.captured_ns, frame.captured_at, frame.sequence)
        return cls(now, frame.source, frame.width, frame.height)


class LifeCycle:
    """Decides when an event begins, which changes are published, and when it ends.

    Args:
        settings: section `events`.
        filters: filters by label.
        borders: zones and lines.
        labels: class id to label.
        min_scores: class id to lowest score of a detection.
        run_token: part of each event id, unique to this run.
        synchronized: whether the wall clock is reliable.

    Attributes:
        counts: counts of its work so far.
    """

    def __init__(
        self,
        settings: EventSettings,
        filters: Mapping[str, FilterSettings],
        borders: Borders,
        labels: Mapping[int, str],
        min_scores: Mapping[int, float],
        *,
        run_token: str,
        synchronized: Callable[[], bool],
    ) -> None:
        self.counts = Counts(lines={name: {"in": 0, "out": 0} for name in borders.lines})
        self._settings = settings
        self._filters = filters
        self._borders = borders
        self._labels = labels
        self._min_scores = min_scores
        self._run_token = run_token
        self._synchronized = synchronized
        self._quiet_until_ns: dict[tuple[str, str], int] = {}
        self._parked: list[tuple[str, BoxPx, str, int]] = []

    def take_over(self, old: LifeCycle) -> None:
        """Continue the counts, numbers and knowledge of another life cycle."""
        self.counts, self._run_token = old.counts, old._run_token
        for name in self._borders.lines:
            self.counts.lines.setdefault(name, {"in": 0, "out": 0})
        self._quiet_until_ns, self._parked = old._quiet_until_ns, old._parked

    def label(self, thing: TrackedObject) -> str:
        """The label of an object."""
        return self._labels.get(thing.class_id, str(thing.class_id))

    def advance(self, thing: TrackedObject, scene: Scene) -> EventRecord | None:
        """The record that is due for an object that was seen, or past which time went."""
        event, now = thing.event, scene.now
        if event is None:
            if thing.last == now and self._certain(thing) and self._may_begin(thing, scene):
                return self._begin(thing, scene)
            return None
        since_s = (now.ns - event.published_ns) / 1e9
        if since_s < self._settings.update_interval_s:
            return None
        interval_s = self._settings.position_interval_s
        moving = 0 < interval_s <= since_s and thing.last == now and not thing.stationary
        published = (event.label, event.stationary)
        # A reload may have moved a zone away from an object that did nothing.
        elsewhere = thing.last == now and thing.route.inside != event.zones
        if thing.changes or (thing.class_id, thing.stationary) != published or moving or elsewhere:
            self.counts.updates += 1
            return self._record(thing, event, "update", scene)
        return None

    def view(self, thing: TrackedObject, image: ImageArray) -> View | None:
        """Whether this frame, in which the object was just seen, shows it best so far."""
        event, score = thing.event, thing.last_score
        if event is None or not self._certain(thing):
            return None
        height, width = image.shape[:2]
        value = prospect(thing.box, score, width, height)
        if value <= event.best_value * _BETTER:
            return None
        value *= sharpness(image, thing.box)
        if value <= event.best_value * _BETTER:
            return None
        event.best, event.best_value = (thing.last, thing.box, score), value
        return View(event.id, rounded_px(thing.box), score)

    def end(self, thing: TrackedObject, reason: EndReason, scene: Scene) -> EventRecord | None:
        """The last record of an object; None where its event never began."""
        event = thing.event
        if event is None:
            return None
        label = self.label(thing)
        for zone in thing.route.ever or [""]:
            wait_ns = round(self._cooldown_s(label, zone) * 1e9)
            self._quiet_until_ns[label, zone] = scene.now.ns + wait_ns
        if reason == "source_lost" and thing.stationary:
            self._parked.append((label, thing.box, event.id, scene.now.ns))
        self.counts.ended += 1
        record = self._record(thing, event, "end", scene, reason)
        thing.event = None
        return record

    def _certain(self, thing: TrackedObject) -> bool:
        """Whether its last detection is one that is published."""
        return thing.last_score >= self._min_scores.get(thing.class_id, 0.0)

    def _may_begin(self, thing: TrackedObject, scene: Scene) -> bool:
        label = self.label(thing)
        limits = self._filters.get(label, FilterSettings())
        lowest = next(
            score
            for score in (
                limits.min_score,
                self._settings.min_score,
                min(1.0, _SURER * self._min_scores.get(thing.class_id, 0.0)),
            )
            if score is not None
        )
        area = thing.area_px / (scene.width * scene.height)
        inside = thing.route.inside
        passes = (
            thing.score >= lowest
            and thing.last.ns - thing.first.ns >= self._settings.min_duration_s * 1e9
            and limits.min_area <= area <= limits.max_area
            and limits.min_aspect <= thing.aspect <= limits.max_aspect
            and (not self._settings.zones or not set(inside).isdisjoint(self._settings.zones))
        )
        if not passes:
            return False
        quiet = any(
            scene.now.ns < self._quiet_until_ns.get((label, zone), scene.now.ns)
            for zone in inside or [""]
        )
        if quiet and not thing.held_back:
            thing.held_back = True
            self.counts.held_back += 1
        return not quiet

    def _cooldown_s(self, label: str, zone: str) -> float:
        if zone in self._borders.zones:
            own = self._borders.zones[zone].settings.cooldown_s
            if own is not None:
                return own
        return self._settings.cooldowns_s.get(label, self._settings.cooldown_s)

    def _begin(self, thing: TrackedObject, scene: Scene) -> EventRecord:
        self.counts.started += 1
        # The number makes it unique in this run, whatever the clock does; the token among runs.
        stamp = thing.first.at.strftime("%Y%m%dT%H%M%SZ")
        event = OpenEvent(
            id=f"{stamp}-{self._run_token}-{self.counts.started}",
            published_ns=scene.now.ns,
            label=thing.class_id,
            stationary=thing.stationary,
            best=(thing.last, thing.box, thing.last_score),
            continues=self._continued(thing, scene.now.ns),
        )
        thing.event = event
        return self._record(thing, event, "new", scene)

    def _continued(self, thing: TrackedObject, now_ns: int) -> str | None:
        """The id of the event of an object that stood here before the source was lost."""
        label = self.label(thing)
        self._parked = [parked for parked in self._parked if now_ns - parked[3] < _REMEMBER_NS]
        for parked in self._parked:
            if parked[0] == label and thing.overlap(parked[1]) >= _SAME_PLACE_IOU:
                self._parked.remove(parked)
                return parked[2]
        return None

    def _record(
        self,
        thing: TrackedObject,
        event: OpenEvent,
        phase: Literal["new", "update", "end"],
        scene: Scene,
        reason: EndReason | None = None,
    ) -> EventRecord:
        size = (scene.width, scene.height)
        seen, best_box, best_score = event.best
        event.published_ns, event.label = scene.now.ns, thing.class_id
        event.stationary, event.zones = thing.stationary, thing.route.inside
        transitions = tuple(self._transition(change) for change in thing.changes)
        thing.changes.clear()
        revision, event.revision = event.revision, event.revision + 1
        return EventRecord(
            id=event.id,
            revision=revision,
            phase=phase,
            label=self.label(thing),
            class_id=thing.class_id,
            track_id=thing.track_id,
            score=round(thing.score, 4),
            hits=thing.hits,
            best=BestView(
                seen.sequence,
                seen.at,
                round(best_score, 4),
                rounded_px(best_box),
                normalized(best_box, *size),
            ),
            source=scene.source,
            sequence=scene.now.sequence,
            time=scene.now.at,
            started=thing.first.at,
            last_seen=thing.last.at,
            clock_synchronized=self._synchronized(),
            monotonic_ns=scene.now.ns,
            duration_s=round((thing.last.ns - thing.first.ns) / 1e9, 3),
            frame=FrameSize(*size),
            box_px=rounded_px(thing.box),
            box=normalized(thing.box, *size),
            stationary=thing.stationary,
            zones=thing.route.inside,
            entered=tuple(thing.route.ever),
            transitions=transitions,
            reason=reason,
            continues=event.continues,
        )

    def _transition(self, change: Change) -> Transition:
        total = None
        if change.kind in ("in", "out"):
            crossings = self.counts.lines[change.name]
            crossings[change.kind] += 1
            total = crossings[change.kind]
        dwell_s = None if change.dwell_s is None else round(change.dwell_s, 3)
        return Transition(
            kind=change.kind, name=change.name, time=change.at, dwell_s=dwell_s, total=total
        )
