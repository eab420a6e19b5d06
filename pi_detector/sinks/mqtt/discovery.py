"""The Home Assistant discovery message, with which the detector appears there automatically."""

from __future__ import annotations

import msgspec

from pi_detector import __version__
from pi_detector.sinks.mqtt import entities
from pi_detector.sinks.mqtt.topics import Topics

_PROJECT = "pi-detector"


class Subjects(msgspec.Struct, frozen=True):
    """Names of the labels, zones, lines and schedules to publish about."""

    labels: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    schedules: tuple[str, ...] = ()


def discovery_payload(
    topics: Topics,
    model: str,
    subjects: Subjects,
    *,
    qos: int,
    snapshots: bool,
    commands: bool,
    recording: bool,
    performance: bool,
    page: str = "",
    camera: bool = False,
) -> bytes:
    """Return the retained message that describes the device and its entities.

    Source: Home Assistant, "MQTT", device discovery payload; needs Home Assistant 2024.11 or later.

    Args:
        topics: topic names.
        model: name of the model.
        subjects: labels, zones, lines and schedules; each gets entities.
        qos: quality of service of Home Assistant's subscriptions.
        snapshots: best views are published.
        commands: commands are accepted.
        recording: events are recorded, and a command may switch that off.
        performance: records of type ``performance`` are published.
        page: address of the page, as other devices reach it; empty for none.
        camera: frames are published.
    """
    components = entities.about_itself(topics, page)
    for label in subjects.labels:
        components |= entities.about_label(topics, label, snapshots=snapshots)
    for zone in subjects.zones:
        components |= entities.about_zone(topics, zone, subjects.labels)
    for line in subjects.lines:
        components |= entities.about_line(topics, line)
    for schedule in subjects.schedules:
        components |= entities.about_schedule(topics, schedule)
    if camera:
        components |= entities.about_camera(topics)
    if performance:
        components |= entities.about_performance(topics)
    if commands:
        components |= entities.controls(topics, recording=recording)
    for name, component in components.items():
        component["unique_id"] = f"{topics.device_id}_{name}"
    return msgspec.json.encode(
        {
            "device": {
                "identifiers": [topics.device_id],
                "name": topics.name,
                "manufacturer": _PROJECT,
                "model": model,
                "sw_version": __version__,
                **({"configuration_url": page} if page else {}),
            },
            "origin": {"name": _PROJECT, "sw_version": __version__},
            "qos": qos,
            "components": components,
        }
    )


class _ToldComponent(msgspec.Struct):
    platform: str


class _Told(msgspec.Struct):
    components: dict[str, _ToldComponent]


def removal_payload(now: bytes, before: bytes) -> bytes | None:
    """Return the message that makes Home Assistant remove entities of an earlier message.

    A component that is only left out stays there for good. It is removed by a message that contains
    nothing but its platform. Source: Home Assistant, "MQTT", device discovery payload.

    Args:
        now: the current message.
        before: the message that the broker retained.

    Returns:
        The message to publish before ``now``; None if there is nothing to remove.
    """
    try:
        told = msgspec.json.decode(before, type=_Told)
    except (msgspec.MsgspecError, RecursionError):
        return None  # it is replaced as it is
    message = msgspec.json.decode(now)
    gone = {
        key: {"platform": component.platform}
        for key, component in told.components.items()
        if key not in message["components"]
    }
    if not gone:
        return None
    return msgspec.json.encode({**message, "components": {**message["components"], **gone}})
