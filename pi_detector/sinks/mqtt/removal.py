"""Take back what a broker keeps about a detector that is no more."""

from __future__ import annotations

import os
import time

from pi_detector.config.outputs import MqttSettings
from pi_detector.errors import SinkError, UsageError
from pi_detector.sinks.mqtt.link import CONNECT_TIMEOUT_S, Link
from pi_detector.sinks.mqtt.topics import Topics

_QUIET_S = 1.0
"""A broker that sent nothing for this long has sent all that it kept."""
_TICK_S = 0.1


def remove_retained(settings: MqttSettings, *, force: bool = False) -> list[str]:
    """Delete all retained messages of this detector, Home Assistant's entities with them.

    Args:
        settings: of the detector, with its secrets.
        force: although the detector seems to be connected.

    Returns:
        The topics that were there.

    Raises:
        SinkError: the broker cannot be reached, or does not confirm.
        UsageError: the detector is connected, and would publish them again.
    """
    topics = Topics.of(settings)
    found: dict[str, bytes] = {}
    last_s = time.monotonic()

    def note(topic: str, payload: bytes, retained: bool) -> None:
        nonlocal last_s
        last_s = time.monotonic()
        if retained and payload:
            found[topic] = payload

    wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    try:
        link = Link(
            settings,
            topics,
            client_id=f"{topics.client_id}-remove",
            wake=wake,
            on_message=note,
            last_will=False,
        )
        _connect(link)
        link.subscribe(f"{topics.prefix}/#")
        link.subscribe(topics.discovery)
        last_s = time.monotonic()
        while time.monotonic() - last_s < _QUIET_S:
            _poll(link)
        if found.get(topics.availability) == b"online" and not force:
            raise UsageError(
                f"{topics.name} is connected and would publish all again: stop it first, or add "
                "--force"
            )
        # Where this user may not read, these two are deleted at least.
        _delete(link, [*dict.fromkeys([topics.discovery, topics.availability, *found])])
        link.close()
    finally:
        os.close(wake)
    return sorted(found)


def _connect(link: Link) -> None:
    link.open()
    deadline = time.monotonic() + CONNECT_TIMEOUT_S
    while not link.connected:
        _poll(link)
        if time.monotonic() > deadline:
            raise SinkError(f"{link.broker}: no answer; does it speak MQTT?")


def _delete(link: Link, topics: list[str]) -> None:
    link.acknowledged.clear()
    waiting = {link.publish(topic, b"", qos=1, retain=True): topic for topic in topics}
    deadline = time.monotonic() + CONNECT_TIMEOUT_S
    while waiting:
        _poll(link)
        for mid, refusal in link.acknowledged:
            topic = waiting.pop(mid, None)
            if topic is not None and refusal is not None:
                raise SinkError(f"{topic}: the broker refuses to delete it: {refusal}")
        link.acknowledged.clear()
        if time.monotonic() > deadline:
            raise SinkError(f"{link.broker}: does not confirm; try again")


def _poll(link: Link) -> None:
    link.poll(_TICK_S)
    if link.failure is not None:
        raise SinkError(link.failure)
