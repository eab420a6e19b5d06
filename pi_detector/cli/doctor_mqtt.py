"""Checks of the broker: it is there, lets this detector in, and keeps nothing of old names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING

from pi_detector.cli.doctor_private import revealed
from pi_detector.cli.findings import Finding, Level, fail, ok, warn
from pi_detector.errors import SinkError
from pi_detector.util.text import one_line

if TYPE_CHECKING:
    from pi_detector.config.outputs import MqttSettings
    from pi_detector.config.settings import Settings

_WHAT = "mqtt"
_OTHERS = "pi-detector/+/status"
_SHOWN = 5


def mqtt_findings(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Check the broker; nothing where the settings name none.

    Args:
        settings: secrets may stand for themselves.
        environ: environment variables.
    """
    if not settings.mqtt.host:
        return
    known, findings = revealed(settings, environ, "mqtt")
    yield from findings
    if known is None:
        return
    mqtt = known.mqtt
    yield from encryption(mqtt)
    try:
        check = BrokerCheck(mqtt)
    except SinkError as error:
        yield Finding(Level.FAIL, _WHAT, str(error))
        return
    with closing(check):
        try:
            check.ask()
        except SinkError as error:
            yield Finding(Level.FAIL, _WHAT, str(error))
        else:
            yield from check.findings()


def encryption(mqtt: MqttSettings) -> Iterator[Finding]:
    """Whether a password crosses the network in clear text."""
    from pi_detector.config.check import is_loopback

    if mqtt.password and not mqtt.tls and not is_loopback(mqtt.host):
        yield warn(
            _WHAT,
            f"the password crosses the network to {mqtt.host} without encryption",
            "set mqtt.tls = true, with a broker that has a certificate",
        )


class BrokerCheck:
    """What the broker lets this user do, and what it retains.

    Args:
        mqtt: with its secrets.

    Raises:
        SinkError: a file of certificates cannot be used.
    """

    def __init__(self, mqtt: MqttSettings) -> None:
        from pi_detector.sinks.mqtt.topics import Topics
        from pi_detector.sinks.mqtt.visit import Visit

        self._topics = topics = Topics.of(mqtt)
        self._probe = f"{topics.prefix}/doctor"
        self._seen: dict[str, bytes] = {}
        self._refusal: str | None = None
        self._visit = Visit(mqtt, topics, "doctor", self._note)
        self._link = self._visit.link

    def close(self) -> None:
        """Leave the broker."""
        self._visit.close()

    def ask(self) -> None:
        """Connect, subscribe, and publish an empty message to a topic that nobody uses.

        Raises:
            SinkError: the broker cannot be reached, refuses, or does not answer.
        """
        link = self._link
        self._visit.connect()
        for topic_filter in (f"{self._topics.prefix}/#", self._topics.birth, _OTHERS):
            link.subscribe(topic_filter)
        self._visit.wait_for_quiet()
        link.publish(self._probe, b"", qos=1)
        self._visit.wait_for_quiet()
        self._refusal = next((reason for _, reason in link.acknowledged if reason), None)

    def findings(self) -> Iterator[Finding]:
        """What was seen after ``ask``."""
        topics = self._topics
        rights = (
            f"grant this user read and write access to {topics.prefix}/# (docs/mqtt.md has a list)"
        )
        refused = {name: reason for name, reason in self._link.refused if name != _OTHERS}
        if self._refusal:
            yield fail(_WHAT, f"{self._link.broker} does not let this user publish", rights)
        elif refused:
            name, reason = next(iter(refused.items()))
            yield warn(_WHAT, f"{self._link.broker} refuses to send {name}: {reason}", rights)
        elif self._probe not in self._seen:
            yield warn(_WHAT, f"{self._link.broker} sends this user no messages", rights)
        else:
            online = self._seen.get(topics.availability) == b"online"
            now = (
                f"a detector named {topics.name} is connected"
                if online
                else "no detector of this name"
            )
            yield ok(_WHAT, f"{self._link.broker} accepts {topics.name}; now: {now}")
        yield from self._left()

    def _left(self) -> Iterator[Finding]:
        """Detectors of other names that are offline: an earlier name of this one, perhaps."""
        begin, end = _OTHERS.split("+")
        offline = sorted(
            topic.removeprefix(begin).removesuffix(end)
            for topic, payload in self._seen.items()
            if payload == b"offline"
            and topic != self._topics.availability
            and topic.startswith(begin)
            and topic.endswith(end)
            and topic.count("/") == _OTHERS.count("/")
        )
        if offline:
            more = ", ..." if len(offline) > _SHOWN else ""
            yield warn(
                _WHAT,
                one_line(
                    f"the broker retains topics of offline detectors: "
                    f"{', '.join(offline[:_SHOWN])}{more}"
                ),
                "if a detector was renamed or removed, delete its topics with "
                "'pi-detector mqtt remove --set mqtt.name=NAME'",
            )

    def _note(self, topic: str, payload: bytes, _retained: bool) -> None:
        self._seen[topic] = payload
