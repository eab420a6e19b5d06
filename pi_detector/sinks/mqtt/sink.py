"""The sink that publishes by MQTT."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pi_detector.config.outputs import MqttSettings
from pi_detector.config.settings import RecoverySettings, Settings
from pi_detector.core.current import CurrentState
from pi_detector.core.records import (
    EventRecord,
    PerformanceRecord,
    Publication,
    StatusRecord,
    detections_record,
    encode,
)
from pi_detector.core.result import Result
from pi_detector.sinks.draw import annotated
from pi_detector.sinks.files import jpeg_of
from pi_detector.sinks.mqtt.discovery import Subjects, discovery_payload
from pi_detector.sinks.mqtt.kept import Kept
from pi_detector.sinks.mqtt.listener import Listener
from pi_detector.sinks.mqtt.occupancy import Occupancy, SubjectState
from pi_detector.sinks.mqtt.publisher import Publisher
from pi_detector.sinks.mqtt.seen import SeenLabels
from pi_detector.sinks.mqtt.topics import Topics
from pi_detector.sinks.outbox import Outbox
from pi_detector.sinks.store import Store

log = logging.getLogger(__name__)

_MEBIBYTE = 1024 * 1024
_VIEW_WIDTH = 1280
_MOST_VIEWS = 16


@dataclass(slots=True)
class _View:
    """The best view of an open event: its picture, until that is published."""

    picture: bytes | None = None
    label: str | None = None


class MqttSink:
    """Publishes events, states, images and status records; handles outages itself.

    No method waits for network or disk, and an unreachable broker is not a failure of the sink: the
    supervisor of sinks would drop the events that this sink keeps until the broker is back.

    Args:
        settings: section `mqtt`, with its secrets.
        recovery: delays between retries.
        folder: folder of the queue.
        model: name of the model, for Home Assistant.
        subjects: labels, zones, lines and schedules.
        report: receives status records about the connection; called from a thread of the sink.
        command: receives the commands that others execute: ``reload``, ``pause``, ``resume``.
        performance: records of type ``performance`` are published.
        page: address of the page, as other devices reach it; empty for none.
        recording: events are recorded, unless a command switches that off.

    Attributes:
        setup: everything that it was made from; a reload keeps the sink if it is equal.
    """

    name = "mqtt"
    lossless = True

    def __init__(
        self,
        settings: MqttSettings,
        recovery: RecoverySettings,
        folder: Path,
        *,
        model: str,
        subjects: Subjects,
        report: Callable[[StatusRecord], None],
        command: Callable[[str], None],
        performance: bool = False,
        page: str = "",
        recording: bool = False,
    ) -> None:
        self.setup = (settings, recovery, folder, model, subjects, performance, page, recording)
        self._settings = settings
        self._subjects = subjects
        self._model = model
        self._command = command
        self._performance = performance
        self._topics = topics = Topics.of(settings)
        self._occupancy = Occupancy(subjects.labels, subjects.zones, subjects.lines)
        self._views: OrderedDict[str, _View] = OrderedDict()
        self._picture_wanted = False
        self._page = page
        self._recording = recording
        self._frame_due_ns = 0
        self._seen = SeenLabels(folder / f"{topics.queue}.labels")
        self._discovery = self._discovery_payload() if settings.discovery else None
        store = Store(folder / f"{topics.queue}.queue", settings.queue_mb * _MEBIBYTE)
        kept = Kept()
        self._listener = listener = Listener(
            topics,
            kept,
            states=[
                *(topics.status("schedule", name) for name in subjects.schedules),
                *(topics.state(kind, name) for kind, name in self._occupancy.subjects),
            ],
            discovery=self._discovery,
            obey=self._obey if settings.commands else None,
        )
        self._publisher = Publisher(
            settings,
            recovery,
            topics,
            outbox=Outbox(store),
            kept=kept,
            listener=listener,
            report=report,
        )

    def start(self) -> None:
        """Begin to connect, unless it does already.

        Raises:
            SinkError: certificates that cannot be used.
        """
        if self._discovery is not None:
            self._publisher.keep(self._topics.discovery, self._discovery)
        self._publisher.start()

    def catch_up(self, now: CurrentState) -> None:
        """Publish what holds already; after a reload that is more than nothing."""
        self._occupancy.catch_up(now)
        self._see(event.label for event in now.events.values())
        for event in now.events.values():
            self._view(event.id).label = event.label
        for (kind, name), state in self._occupancy.all():
            self._keep_state(kind, name, state)
        for status in now.statuses.values():
            self.handle(status)
        if now.performance is not None:
            self.handle(now.performance)

    def handle(self, item: Publication) -> bool:
        """Publish what concerns this sink, now or when the broker is there.

        Returns:
            Whether it is.
        """
        self._publisher.check()
        match item:
            case EventRecord():
                self._event(item)
            case StatusRecord(part="schedule", name=name, state="stopped"):  # it is no more
                self._publisher.keep(self._topics.status("schedule", name), b"")
            case StatusRecord():
                self._publisher.keep(self._topics.status(item.part, item.name), encode(item))
            case PerformanceRecord():
                self._publisher.keep(self._topics.performance, encode(item))
            case Result():
                self._result(item)
        return self._publisher.connected

    def close(self) -> None:
        """Say goodbye; events that the broker did not confirm stay on disk."""
        self._publisher.close()
        if self._publisher.skipped:
            log.info("mqtt: %d detections were not published", self._publisher.skipped)

    def show(self, settings: Settings) -> None:
        """Publish the settings that commands change."""
        controls = {
            "min_score": settings.detection.min_score,
            "motion": settings.motion.enabled,
            "notifications": any(rule.enabled for rule in settings.notify.values()),
            "recording": settings.recording.enabled,
        }
        self._publisher.keep(self._topics.controls, msgspec.json.encode(controls))

    def _see(self, labels: Iterable[str]) -> None:
        """Announce labels to Home Assistant when they occur for the first time."""
        if not self._seen.add(labels) or self._discovery is None:
            return
        discovery = self._discovery_payload()
        if discovery != self._discovery:
            self._discovery = discovery
            self._listener.announce(discovery)
            self._publisher.keep(self._topics.discovery, discovery)

    def _event(self, event: EventRecord) -> None:
        self._see([event.label])
        self._publisher.event(encode(event))
        for (kind, name), state in self._occupancy.update(event):
            self._keep_state(kind, name, state)
        if not self._settings.snapshots:
            return
        view = self._view(event.id)
        view.label = event.label
        self._show(view)
        if event.phase == "end":
            del self._views[event.id]

    def _result(self, result: Result) -> None:
        if self._settings.detections:
            self._publisher.pass_on(self._topics.detections, encode(detections_record(result)))
        interval_s = self._settings.camera_interval_s
        if interval_s and result.frame.captured_ns >= self._frame_due_ns:
            self._frame_due_ns = result.frame.captured_ns + round(interval_s * 1e9)
            frame = jpeg_of(annotated(result, _VIEW_WIDTH), self.name)
            self._publisher.pass_on(self._topics.camera, frame)
        if not (self._picture_wanted or (result.views and self._settings.snapshots)):
            return
        picture = jpeg_of(annotated(result, _VIEW_WIDTH), self.name)
        if self._picture_wanted:
            self._picture_wanted = False
            self._publisher.keep(self._topics.picture, picture)
        for seen in result.views if self._settings.snapshots else ():
            view = self._view(seen.event_id)
            view.picture = picture
            self._show(view)

    def _view(self, event_id: str) -> _View:
        view = self._views.setdefault(event_id, _View())
        while len(self._views) > _MOST_VIEWS:
            self._views.popitem(last=False)
        return view

    def _show(self, view: _View) -> None:
        """Publish a view, unless another of its label was published a moment ago: then later."""
        if view.picture is None or view.label is None:
            return
        interval_s = self._settings.snapshot_interval_s
        topic = self._topics.snapshot(view.label)
        self._publisher.keep(topic, view.picture, interval_s=interval_s)
        view.picture = None

    def _keep_state(self, kind: str, name: str, state: SubjectState) -> None:
        self._publisher.keep(self._topics.state(kind, name), msgspec.json.encode(state))

    def _discovery_payload(self) -> bytes:
        settings, subjects = self._settings, self._subjects
        if settings.discovery_labels == "seen":
            labels = self._seen.of(subjects.labels)
            subjects = msgspec.structs.replace(subjects, labels=labels)
        return discovery_payload(
            self._topics,
            self._model,
            subjects,
            qos=settings.qos,
            snapshots=settings.snapshots,
            commands=settings.commands,
            recording=self._recording,
            performance=self._performance,
            page=self._page,
            camera=settings.camera_interval_s > 0,
        )

    def _obey(self, command: str) -> None:
        """Do what a message asks for; called from the publisher's thread."""
        if command == "picture":
            self._picture_wanted = True
        else:
            self._command(command)
