"""Delete the retained messages of a detector from the broker."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field

from pi_detector.config.outputs import MqttSettings
from pi_detector.errors import SinkError, UsageError
from pi_detector.sinks.mqtt.discovery import Subjects
from pi_detector.sinks.mqtt.link import CONNECT_TIMEOUT_S
from pi_detector.sinks.mqtt.topics import Topics
from pi_detector.sinks.mqtt.visit import Visit

_STATUSES = ("source", "detection", "model", "settings")
_SINKS = ("log", "metrics", "mqtt", "recordings", "snapshots", "socket", "stdout", "video", "web")


@dataclass(slots=True)
class Removal:
    """What became of a removal.

    Attributes:
        found: topics that the broker kept, and that are deleted.
        blind: topics that are deleted although this user may not see whether they were kept.
        refused: topics that the broker does not let this user delete, each with the reason.
    """

    found: list[str] = field(default_factory=list)
    blind: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def remove_retained(
    settings: MqttSettings, subjects: Subjects | None = None, *, force: bool = False
) -> Removal:
    """Delete all retained messages of this detector, Home Assistant's entities with them.

    Args:
        settings: of the detector, with its secrets.
        subjects: labels, zones and lines of the settings, whose topics are deleted unseen.
        force: although the detector seems to be connected.

    Raises:
        SinkError: the broker cannot be reached, does not confirm, or lets this user delete nothing.
        UsageError: the detector is connected, and would publish them again.
    """
    with closing(_Remover(settings, subjects or Subjects())) as remover:
        return remover.remove(force=force)


def known_topics(topics: Topics, subjects: Subjects) -> list[str]:
    """The topics that may be retained about a detector, according to its settings."""
    kinds = {"labels": subjects.labels, "zones": subjects.zones, "lines": subjects.lines}
    return [
        topics.discovery,
        topics.availability,
        *(topics.state(kind, name) for kind, names in kinds.items() for name in names),
        *(topics.snapshot(label) for label in subjects.labels),
        *(topics.status(part, "") for part in _STATUSES),
        *(topics.status("sink", name) for name in _SINKS),
        *(topics.status("schedule", name) for name in subjects.schedules),
        *(topics.status("governor", name) for name in ("speed", "model")),
        topics.performance,
        topics.picture,
    ]


class _Remover:
    def __init__(self, settings: MqttSettings, subjects: Subjects) -> None:
        self._topics = topics = Topics.of(settings)
        self._known = known_topics(topics, subjects)
        self._tells_refusals = settings.version == "5"
        self._kept: dict[str, bytes] = {}
        self._echoed = False
        self._visit = Visit(settings, topics, "remove", self._note)

    def close(self) -> None:
        self._visit.close()

    def remove(self, *, force: bool) -> Removal:
        self._visit.connect()
        for topic_filter in (f"{self._topics.prefix}/#", self._topics.discovery):
            self._visit.link.subscribe(topic_filter)
        self._visit.wait_for_quiet()
        if self._kept.get(self._topics.availability) == b"online" and not force:
            raise UsageError(
                f"{self._topics.name}: connected, and would publish everything again; stop it "
                "first, or add --force"
            )
        refused = self._delete([*dict.fromkeys([*self._known, *self._kept])])
        self._visit.wait_for_quiet()
        if self._echoed:  # then what it did not show is not there
            refused = {name: why for name, why in refused.items() if name in self._kept}
        done = Removal(sorted(self._kept.keys() - refused.keys()), refused=refused)
        if not self._echoed and self._tells_refusals:
            done.blind = sorted(set(self._known) - self._kept.keys() - refused.keys())
        self._see_that_it_could(done)
        return done

    def _see_that_it_could(self, done: Removal) -> None:
        if done.found or done.blind:
            return
        where = f"{self._topics.prefix}/# and {self._topics.discovery}"
        if done.refused:
            reason = next(iter(done.refused.values()))
            raise SinkError(
                f"mqtt: nothing was deleted: the broker refuses: {reason}; grant this user write "
                f"access to {where}"
            )
        if not self._echoed:
            raise SinkError(
                "mqtt: probably nothing was deleted: the broker sends this user no messages; grant "
                f"read and write access to {where}"
            )
        raise SinkError(
            f"mqtt: nothing to delete: the broker retains no messages below {where}; check "
            "mqtt.name and mqtt.topic"
        )

    def _note(self, topic: str, payload: bytes, retained: bool) -> None:
        if retained and payload:
            self._kept[topic] = payload
        elif not retained and not payload:
            self._echoed = True

    def _delete(self, names: Iterable[str]) -> dict[str, str]:
        """Have the broker forget topics; returns those that it refuses to, with the reasons."""
        link, refused = self._visit.link, {}
        link.acknowledged.clear()
        waiting = {link.publish(name, b"", qos=1, retain=True): name for name in names}
        deadline = time.monotonic() + CONNECT_TIMEOUT_S
        while waiting:
            self._visit.poll()
            for mid, refusal in link.acknowledged:
                name = waiting.pop(mid, None)
                if name is not None and refusal is not None:
                    refused[name] = refusal
            link.acknowledged.clear()
            if time.monotonic() > deadline:
                raise SinkError(f"{link.broker}: no confirmation; run the command again")
        return refused
