"""Checks of the broker: it is there, lets this detector in, and keeps nothing of old names."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING

from pi_detector.cli.findings import Finding, Level, fail, ok, warn
from pi_detector.errors import ConfigError, NoPermissionError, SinkError
from pi_detector.util.text import one_line

if TYPE_CHECKING:
    from pi_detector.config.outputs import MqttSettings
    from pi_detector.config.settings import Settings

_WHAT = "mqtt"
_QUIET_S = 1.0
_TICK_S = 0.1
_OTHERS = "pi-detector/+/status"
_SHOWN = 5


def mqtt_findings(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Check the broker; nothing where the settings name none.

    Args:
        settings: secrets may stand for themselves.
        environ: environment variables.
    """
    from pi_detector.config.secrets import with_secrets

    if not settings.mqtt.host:
        return
    try:
        mqtt = with_secrets(settings, environ, section="mqtt").mqtt
    except NoPermissionError:
        yield warn(_WHAT, "a secret that this user may not read", "run doctor with sudo")
        return
    except ConfigError:  # is a finding already
        return
    yield from encryption(mqtt)
    try:
        visit = Visit(mqtt)
    except SinkError as error:
        yield Finding(Level.FAIL, _WHAT, str(error))
        return
    with closing(visit):
        try:
            visit.ask()
        except SinkError as error:
            yield Finding(Level.FAIL, _WHAT, str(error))
        else:
            yield from visit.findings()


def encryption(mqtt: MqttSettings) -> Iterator[Finding]:
    """Whether a password crosses the network in clear text."""
    from pi_detector.config.check import is_loopback

    if mqtt.password and not mqtt.tls and not is_loopback(mqtt.host):
        yield warn(
            _WHAT,
            f"the password crosses the network to {mqtt.host} without encryption",
            "set mqtt.tls = true, with a broker that has a certificate",
        )


class Visit:
    """One connection to the broker, under a client id of its own.

    Args:
        mqtt: with its secrets.

    Raises:
        SinkError: a file of certificates cannot be used.
    """

    def __init__(self, mqtt: MqttSettings) -> None:
        from pi_detector.sinks.mqtt.link import Link
        from pi_detector.sinks.mqtt.topics import Topics

        self._topics = topics = Topics.of(mqtt)
        self._says_refusals = mqtt.version == "5"
        self._probe = f"{topics.prefix}/doctor"
        self._seen: dict[str, bytes] = {}
        self._heard_s = 0.0
        self._refusal: str | None = None
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        try:
            self._link = Link(
                mqtt,
                topics,
                client_id=f"{topics.client_id}-doctor",
                wake=self._wake,
                on_message=self._note,
                last_will=False,
            )
        except SinkError:
            os.close(self._wake)
            raise

    def close(self) -> None:
        """Leave the broker."""
        self._link.close()
        os.close(self._wake)

    def ask(self) -> None:
        """Connect, subscribe, and publish an empty message to a topic that nobody uses.

        Raises:
            SinkError: the broker cannot be reached, refuses, or does not answer.
        """
        from pi_detector.sinks.mqtt.link import CONNECT_TIMEOUT_S

        link = self._link
        link.open()
        until_s = time.monotonic() + CONNECT_TIMEOUT_S
        while not link.connected:
            self._poll()
            if time.monotonic() > until_s:
                raise SinkError(f"{link.broker}: no reply; check that it is an MQTT broker")
        for topic_filter in (f"{self._topics.prefix}/#", self._topics.birth, _OTHERS):
            link.subscribe(topic_filter)
        self._wait_for_quiet()
        link.publish(self._probe, b"", qos=1)
        self._wait_for_quiet()
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
        self._heard_s = time.monotonic()
        self._seen[topic] = payload

    def _wait_for_quiet(self) -> None:
        self._heard_s = time.monotonic()
        while time.monotonic() - self._heard_s < _QUIET_S:
            self._poll()

    def _poll(self) -> None:
        self._link.poll(_TICK_S)
        if self._link.failure is not None:
            raise SinkError(self._link.failure)
