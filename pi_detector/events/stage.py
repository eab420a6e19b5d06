"""The event stage: adds track ids to a processed frame, and makes the records of events."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

import numpy as np

from pi_detector.config.settings import Settings
from pi_detector.core.boxes import BoxPx
from pi_detector.core.clock import clock_synchronized
from pi_detector.core.geometry import Detections, FloatArray
from pi_detector.core.labels import check_event_labels
from pi_detector.core.looks import TrackedBox
from pi_detector.core.records import EventRecord
from pi_detector.core.result import Result
from pi_detector.core.states import EndReason
from pi_detector.events.lifecycle import Counts, LifeCycle, Scene
from pi_detector.events.objects import FrameTime, TrackedObject
from pi_detector.events.tracker import Tracker, Tracks
from pi_detector.events.zones import Borders, Route

T = TypeVar("T")

_HOLD_NS = 1_000_000_000  # a new object holds the gate open for this long,
_HOLD_AGAIN_NS = 10_000_000_000  # and comes this often at most
_JITTER = 0.05  # of a box that stands still, by the square root of its area


class EventStage:
    """Tracks objects and makes their events. For one thread, and the frames of one source.

    It is driven by the clocks of the frames alone: the same frames give the same records, but for
    the token in their ids.

    Args:
        settings: sections `tracking`, `events`, `filters`, `zones`, `lines`.
        labels: class id to label, of the model.
        min_scores: class id to the lowest score of a detection. Weaker ones, which the detector
            hands over where it was made with ``low_score_share``, help to follow an object and go
            no further.
        run_token: part of each event's id; None takes a random one.
        synchronized: whether the wall clock of the frames can be trusted.

    Attributes:
        tracked: where the objects that are followed are expected; may be read from any thread.

    Raises:
        ConfigError: a label in the settings is unknown to the model.

    Example:
        >>> stage = EventStage(settings, detector.labels, detector.min_scores)
        >>> result, events = stage.process(result)
    """

    def __init__(
        self,
        settings: Settings,
        labels: Mapping[int, str],
        min_scores: Mapping[int, float],
        *,
        run_token: str | None = None,
        synchronized: Callable[[], bool] = clock_synchronized,
    ) -> None:
        check_event_labels(settings, labels.values())
        self._settings, self._labels, self._min_scores = settings, dict(labels), min_scores
        self._tracker = _tracker_of(settings, labels)
        self._borders = Borders(settings.zones, settings.lines)
        self._life = LifeCycle(
            settings.events,
            settings.filters,
            self._borders,
            labels,
            min_scores,
            run_token=run_token or secrets.token_hex(4),
            synchronized=synchronized,
        )
        self.tracked: tuple[TrackedBox, ...] = ()
        self._objects: dict[int, TrackedObject] = {}
        self._scene: Scene | None = None
        self._hold_until_ns = self._hold_again_ns = 0

    def _tracked_boxes(self, tracks: Tracks) -> tuple[TrackedBox, ...]:
        rows = zip(
            tracks.track_id.tolist(), tracks.xyxy.tolist(), tracks.missed.tolist(), strict=True
        )
        return tuple(
            TrackedBox(
                tuple(box), missed, track_id in self._objects and self._objects[track_id].stationary
            )
            for track_id, box, missed in rows
        )

    @property
    def _border_settings(self) -> tuple[object, ...]:
        return self._settings.zones, self._settings.lines

    @property
    def busy(self) -> bool:
        """Whether something is followed that does not stand still: keeps a motion gate open.

        What was not detected often enough yet to be believed is worth a second look, but not all
        the time: a detector that flickers on a still scene would keep the gate open for ever.
        """
        if self._scene is not None and self._scene.now.ns < self._hold_until_ns:
            return True
        confirmed = self._tracker.confirmed
        return any(not t.stationary and t.track_id in confirmed for t in self._objects.values())

    @property
    def counts(self) -> Counts:
        """What the stage did so far."""
        return self._life.counts

    def process(self, result: Result) -> tuple[Result, list[EventRecord]]:
        """Follow the objects of a frame.

        Args:
            result: detections, also the weak ones, best first. Of a frame that was not inferred
                only the time counts: nothing in it is seen, and nothing missed.

        Returns:
            The result without the weak detections, with track ids and the views; the records.
        """
        scene = Scene.of(result.frame)
        records = self._changed_size(scene)
        self._scene = scene
        high = self._thresholds(result.detections)
        if not self._settings.tracking.enabled:
            return self.unfollowed(result), records
        if not result.inferred:
            return result, records + self._due_records(scene)
        tracks = self._tracker.update(result.detections, high, scene.now.ns, result.looks)
        track_id = np.zeros(len(result.detections), np.int64)
        seen = tracks.row >= 0
        track_id[tracks.row[seen]] = tracks.track_id[seen]
        found = replace(result.detections, track_id=track_id)
        for ended in tracks.ended:
            records += _some(self._life.end(self._objects[ended], "gone", scene))
        self._follow(tracks, found, scene)
        self.tracked = self._tracked_boxes(tracks)
        records += self._due_records(scene)
        views = [
            view
            for thing in self._objects.values()
            if thing.last == scene.now
            for view in _some(self._life.view(thing, result.frame.image))
        ]
        strong = found.score >= high
        return replace(result, detections=found[strong], views=tuple(views)), records

    def take_over(self, old: EventStage) -> list[EventRecord]:
        """Continue another stage with these settings: with its objects and events, under their ids.

        Args:
            old: the other stage, not to be used any more.

        Returns:
            The ends of its open events that cannot continue with these settings: other labels, or
            another way of tracking.
        """
        records = []
        if old._labels == self._labels and _following(old._settings) == _following(self._settings):
            self._tracker, self._objects = old._tracker, old._objects
            self.tracked = old.tracked
            self._hold_until_ns, self._hold_again_ns = old._hold_until_ns, old._hold_again_ns
            if old._border_settings != self._border_settings:
                for thing in self._objects.values():
                    thing.route = thing.route.through(self._borders)
        elif old._scene is not None:
            records = old._end_all("reload", old._scene)
        self._tracker.ids = old._tracker.ids
        self._life.take_over(old._life)
        self._scene = old._scene
        return records

    def unfollowed(self, result: Result) -> Result:
        """The result of a frame in which nothing is followed: without the weak detections."""
        strong = result.detections.score >= self._thresholds(result.detections)
        return replace(result, detections=result.detections[strong])

    def afresh(self) -> EventStage:
        """A stage of the same settings that follows nothing yet; no track id comes twice."""
        stage = EventStage(self._settings, self._labels, self._min_scores)
        stage._tracker.ids = self._tracker.ids
        return stage

    def interrupt(self, reason: EndReason, now_ns: int, now_at: datetime) -> list[EventRecord]:
        """End all events: the source is lost, or the program ends.

        Args:
            reason: why.
            now_ns: monotonic.
            now_at: the same time, wall time in UTC.
        """
        if self._scene is None:
            return []
        now = FrameTime(now_ns, now_at, self._scene.now.sequence)
        return self._end_all(reason, replace(self._scene, now=now))

    def _end_all(self, reason: EndReason, scene: Scene) -> list[EventRecord]:
        records = [
            record
            for thing in self._objects.values()
            for record in _some(self._life.end(thing, reason, scene))
        ]
        self._objects.clear()
        self._tracker.clear()
        self.tracked = ()
        self._hold_until_ns = self._hold_again_ns = 0
        return records

    def _changed_size(self, scene: Scene) -> list[EventRecord]:
        """Boxes in pixels mean nothing in frames of another size: that is another source."""
        before = self._scene
        if before is None or (before.width, before.height) == (scene.width, scene.height):
            return []
        return self._end_all("source_lost", replace(before, now=scene.now))

    def _thresholds(self, found: Detections) -> FloatArray:
        return np.array([self._min_scores.get(int(c), 0.0) for c in found.class_id], np.float32)

    def _follow(self, tracks: Tracks, found: Detections, scene: Scene) -> None:
        """Bring the objects up to date with what the tracker made of the frame."""
        kept: dict[int, TrackedObject] = {}
        size = (scene.width, scene.height)
        for row, (track_id, at) in enumerate(
            zip(tracks.track_id.tolist(), tracks.row.tolist(), strict=True)
        ):
            thing = self._objects.get(track_id)
            if at < 0:
                if thing is not None:
                    kept[track_id] = thing
                continue
            x1, y1, x2, y2 = found.xyxy[at].tolist()
            box = (x1, y1, x2, y2)
            if thing is None:
                thing = self._new(track_id, box, scene.now)
            kept[track_id] = thing
            thing.update(scene.now, box, int(found.class_id[at]), float(found.score[at]))
            self._settle(thing, scene.now.ns)
            left, top, right, bottom = tracks.xyxy[row] / [*size, *size]
            foot = (float(np.clip((left + right) / 2, 0, 1)), float(np.clip(bottom, 0, 1)))
            slack = _JITTER * math.sqrt((right - left) * (bottom - top))
            label = self._life.label(thing)
            thing.changes += thing.route.step(label, foot, scene.now.ns, scene.now.at, slack)
        self._objects = kept

    def _new(self, track_id: int, box: BoxPx, now: FrameTime) -> TrackedObject:
        if now.ns >= self._hold_again_ns:
            self._hold_until_ns, self._hold_again_ns = now.ns + _HOLD_NS, now.ns + _HOLD_AGAIN_NS
        route = Route(self._borders)
        return TrackedObject(track_id, now, now, box, route, moved_ns=now.ns, rest_box=box)

    def _settle(self, thing: TrackedObject, now_ns: int) -> None:
        before = thing.stationary
        thing.settle(now_ns, self._settings.events.stationary_after_s)
        if thing.stationary != before:
            tracking = self._settings.tracking
            patience_s = tracking.stationary_lost_s if thing.stationary else tracking.lost_s
            self._tracker.be_patient(thing.track_id, patience_s)

    def _due_records(self, scene: Scene) -> list[EventRecord]:
        """The records that are due."""
        confirmed = self._tracker.confirmed if self._settings.events.enabled else frozenset()
        records = []
        for thing in self._objects.values():
            thing.changes += thing.route.linger(scene.now.ns, scene.now.at)
            if thing.track_id in confirmed:
                records += _some(self._life.advance(thing, scene))
        return records


def _tracker_of(settings: Settings, labels: Mapping[int, str]) -> Tracker:
    events = settings.events
    return Tracker(settings.tracking, labels, min_hits=events.min_hits, window=events.window)


def _following(settings: Settings) -> tuple[object, ...]:
    """The settings that objects cannot be handed over between."""
    events = settings.events
    return settings.tracking, events.min_hits, events.window, events.enabled


def _some(value: T | None) -> list[T]:
    return [] if value is None else [value]
