"""The sink that sends messages."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pi_detector.config.notify import WEBHOOKS, NotifySettings
from pi_detector.config.schedule import LocationSettings, ScheduleSettings
from pi_detector.config.settings import RecoverySettings
from pi_detector.core.clock import utc_now
from pi_detector.core.current import CurrentState
from pi_detector.core.records import EventRecord, Publication, StatusRecord
from pi_detector.core.result import Result
from pi_detector.core.schedule import Schedules
from pi_detector.errors import SinkError
from pi_detector.sinks.mqtt.topics import identifier
from pi_detector.sinks.notify.clips import Clips
from pi_detector.sinks.notify.command import Command
from pi_detector.sinks.notify.delivery import Delivery
from pi_detector.sinks.notify.leftover import remove_leftover
from pi_detector.sinks.notify.message import Message, Note, boot_id, message_of
from pi_detector.sinks.notify.pictures import Pictures, message_jpeg
from pi_detector.sinks.notify.rules import Occasion, Rule
from pi_detector.sinks.notify.services import Service
from pi_detector.sinks.notify.webhook import Webhook
from pi_detector.util.uri import split_uri

log = logging.getLogger(__name__)

_MEBIBYTE = 1024 * 1024
_HASH_DIGITS = 12
_TIDY_S = 3600.0


@dataclass(frozen=True, slots=True)
class _Way:
    """A rule, and where its messages go."""

    rule: Rule
    settings: NotifySettings
    deliveries: tuple[Delivery, ...]


class NotifySink:
    """Sends messages about events by the rules, each over its own services.

    No method waits for a service. A service that is away is no failure of the sink: its messages
    wait on disk.

    Args:
        rules: those that are enabled, by name, with their secrets.
        recovery: delays between tries.
        folder: of the queues.
        page: address of the page, for links of rules that name none; empty for none.
        report: takes status records about the services; called from threads of the sink.
        schedules: those that the rules name.
        location: for sunrise and sunset.
        recordings: folder of the recordings, with the clips.

    Attributes:
        setup: all that it was made from; a reload keeps the sink if it is equal.

    Raises:
        SinkError: a URL that makes no sense.
        DependencyMissingError: a URL needs Apprise, which is not installed.
    """

    name = "notify"
    lossless = False

    def __init__(
        self,
        rules: Mapping[str, NotifySettings],
        recovery: RecoverySettings,
        folder: Path,
        *,
        page: str,
        report: Callable[[StatusRecord], None],
        schedules: Mapping[str, ScheduleSettings] | None = None,
        location: LocationSettings | None = None,
        recordings: Path | None = None,
    ) -> None:
        self.setup = (dict(rules), recovery, folder, page, schedules or {}, location, recordings)
        known = Schedules(schedules or {}, location or LocationSettings())
        self._folder = folder
        self._expire_s = {name: settings.expire_s for name, settings in rules.items()}
        self._tidied_s = float("-inf")
        self._pictures = Pictures()
        self._with_images = any(rule.image != "none" for rule in rules.values())
        self._ways: list[_Way] = []
        for name, settings in rules.items():
            clips = None
            if settings.clip and recordings is not None:
                clips = Clips(recordings, settings.clip_mb * _MEBIBYTE)
            deliveries = tuple(
                Delivery(
                    name,
                    service,
                    folder / queue_name(name, number, settings),
                    most_bytes=settings.queue_mb * _MEBIBYTE,
                    render=partial(
                        _message,
                        rule=name,
                        settings=settings,
                        page=settings.link or page,
                        clips=clips,
                    ),
                    expire_s=settings.expire_s,
                    max_per_minute=settings.max_per_minute,
                    recovery=recovery,
                    report=report,
                    wait_s=clips.left_s if clips else lambda _: 0.0,
                )
                for number, service in enumerate(services_of(settings))
            )
            self._ways.append(_Way(Rule(name, settings, schedules=known), settings, deliveries))

    def start(self) -> None:
        """Begin to send, also what an earlier run left."""
        self._tidy()
        for way in self._ways:
            for delivery in way.deliveries:
                delivery.start()

    def catch_up(self, now: CurrentState) -> None:
        """Know the open events, about whose beginning the sink before this one sent."""
        for event in now.events.values():
            for way in self._ways:
                way.rule.know(event)
            self._follow(event)

    def handle(self, item: Publication) -> bool:
        """Queue the messages that an event leads to.

        Returns:
            Whether it went well, which it did where nothing was raised.
        """
        if isinstance(item, Result) and self._with_images:
            self._pictures.note(item)
        if not isinstance(item, EventRecord):
            return True
        self._tidy()
        for way in self._ways:
            for delivery in way.deliveries:
                delivery.check()
            for occasion in way.rule.occasions(item):
                self._queue(way, occasion)
        self._follow(item)
        return True

    def close(self) -> None:
        """Send what can be sent in a moment; the rest stays on disk."""
        deliveries = [each for way in self._ways for each in way.deliveries]
        for delivery in deliveries:
            delivery.end()
        for delivery in deliveries:
            delivery.close()

    def _tidy(self) -> None:
        """Now and then, delete what was queued for services that no rule has any more."""
        now_s = time.monotonic()
        if now_s - self._tidied_s >= _TIDY_S:
            self._tidied_s = now_s
            used = {delivery.path for way in self._ways for delivery in way.deliveries}
            remove_leftover(self._folder, used, self._expire_s)

    def _queue(self, way: _Way, occasion: Occasion) -> None:
        note = Note(
            when=occasion.when,
            event=occasion.event,
            change=occasion.change,
            group=occasion.group,
            due_ns=occasion.due_ns,
            queued_ns=time.monotonic_ns(),
            queued_at=utc_now(),
            boot=boot_id(),
            image=self._image(way.settings, occasion.event),
        )
        for delivery in way.deliveries:
            delivery.add(note)

    def _image(self, settings: NotifySettings, event: EventRecord) -> bytes | None:
        """The picture of a message; a message without one is better than none."""
        if settings.image == "none":
            return None
        try:
            picture = self._pictures.of(event.id)
            if picture is None:
                return None
            return message_jpeg(
                picture,
                event,
                settings.image,
                annotated=settings.annotated,
                width=settings.image_width,
            )
        except SinkError as error:
            log.warning("notify: a message goes without its picture: %s", error)
            return None

    def _follow(self, event: EventRecord) -> None:
        """Keep the best views of events that more messages may be sent about, of no others."""
        wanted = event.phase != "end" and any(
            way.settings.image != "none" and way.rule.wants_more(event) for way in self._ways
        )
        if wanted:
            self._pictures.follow(event.id)
        else:
            self._pictures.forget(event.id)


def _message(
    notes: Sequence[Note], *, rule: str, settings: NotifySettings, page: str, clips: Clips | None
) -> Message:
    """The message about a group of notes, with the clip of its end where there is one."""
    message = message_of(notes, rule, settings, page)
    if clips is None or message.when != "end":
        return message
    best = max(message.events, key=lambda event: event.best.score)
    return replace(message, clip=clips.of(best))


def services_of(settings: NotifySettings) -> list[Service]:
    """Where the messages of a rule go, in the order of the settings.

    Raises:
        SinkError: a URL that makes no sense.
        DependencyMissingError: a URL needs Apprise, which is not installed.
    """
    services: list[Service] = []
    for url in settings.urls:
        if split_uri(url)[0] in WEBHOOKS:
            services.append(Webhook(url, settings.secret, settings.timeout_s))
        else:
            from pi_detector.sinks.notify.by_apprise import ByApprise

            services.append(ByApprise(url))
    if settings.command:
        services.append(Command(settings.command, settings.timeout_s))
    return services


def queue_name(rule: str, number: int, settings: NotifySettings) -> str:
    """The file name of a service's queue: the same as long as the rule sends to the service."""
    ways = [*settings.urls, *(["\0".join(settings.command)] if settings.command else [])]
    digest = hashlib.sha256(ways[number].encode()).hexdigest()[:_HASH_DIGITS]
    return f"notify-{identifier(rule)}-{digest}.queue"
