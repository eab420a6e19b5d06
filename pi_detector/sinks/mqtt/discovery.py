"""The Home Assistant discovery message, with which the detector appears there automatically."""

from __future__ import annotations

from typing import Any

import msgspec

from pi_detector import __version__
from pi_detector.sinks.mqtt.commands import OFF, ON, PRESS
from pi_detector.sinks.mqtt.topics import Topics, identifier

_PROJECT = "pi-detector"
_OCCUPIED = "{{ 'ON' if value_json.occupied else 'OFF' }}"
_LIVE = "{{ 'ON' if value_json.state == 'live' else 'OFF' }}"
_THROTTLED = (
    "{% set flags = value_json.host.throttling.values() | list %}"
    "{{ 'ON' if true in flags else 'OFF' if false in flags else None }}"
)
_Component = dict[str, Any]


class Subjects(msgspec.Struct, frozen=True):
    """Names of the labels, zones and lines to publish about."""

    labels: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()


def discovery_payload(
    topics: Topics,
    model: str,
    subjects: Subjects,
    *,
    qos: int,
    snapshots: bool,
    commands: bool,
    performance: bool,
) -> bytes:
    """Return the retained message that describes the device and its entities.

    Source: Home Assistant, "MQTT", device discovery payload; needs Home Assistant 2024.11 or later.

    Args:
        topics: topic names.
        model: name of the model.
        subjects: labels, zones and lines; each gets entities.
        qos: quality of service of Home Assistant's subscriptions.
        snapshots: best views are published.
        commands: commands are accepted.
        performance: records of type ``performance`` are published.
    """
    components = _about_itself(topics)
    for label in subjects.labels:
        components |= _about_label(topics, label, snapshots=snapshots)
    for zone in subjects.zones:
        components |= _about_zone(topics, zone)
    for line in subjects.lines:
        components |= _about_line(topics, line)
    if performance:
        components |= _about_performance(topics)
    if commands:
        components |= _controls(topics)
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


def _about_itself(topics: Topics) -> dict[str, _Component]:
    return {
        "connection": {
            "platform": "binary_sensor",
            "name": "Connection",
            "device_class": "connectivity",
            "entity_category": "diagnostic",
            "state_topic": topics.availability,
            "payload_on": "online",
            "payload_off": "offline",
        },
        "source": {
            "platform": "binary_sensor",
            "name": "Camera",
            "device_class": "connectivity",
            "entity_category": "diagnostic",
            "state_topic": topics.status("source", ""),
            "value_template": _LIVE,
            **_available(topics),
        },
    }


def _about_label(topics: Topics, label: str, *, snapshots: bool) -> dict[str, _Component]:
    own, topic = identifier(label), topics.state("labels", label)
    components = _counted(topics, f"label_{own}", label, topic)
    if snapshots:
        components[f"view_{own}"] = {
            "platform": "image",
            "name": f"{label} best view",
            "image_topic": topics.snapshot(label),
            "content_type": "image/jpeg",
            **_available(topics),
        }
    return components


def _about_zone(topics: Topics, zone: str) -> dict[str, _Component]:
    return _counted(topics, f"zone_{identifier(zone)}", zone, topics.state("zones", zone))


def _counted(topics: Topics, key: str, name: str, topic: str) -> dict[str, _Component]:
    return {
        key: {
            "platform": "binary_sensor",
            "name": name,
            "device_class": "occupancy",
            "state_topic": topic,
            "value_template": _OCCUPIED,
            **_available(topics),
        },
        f"{key}_count": {
            "platform": "sensor",
            "name": f"{name} count",
            "state_class": "measurement",
            "state_topic": topic,
            "value_template": "{{ value_json.count }}",
            **_available(topics),
        },
    }


def _about_line(topics: Topics, line: str) -> dict[str, _Component]:
    return {
        f"line_{identifier(line)}_{direction}": {
            "platform": "sensor",
            "name": f"{line} {direction}",
            # Begins with 0 again at each start, which this class allows for.
            "state_class": "total_increasing",
            "state_topic": topics.state("lines", line),
            "value_template": f"{{{{ value_json['{direction}'] }}}}",
            **_available(topics),
        }
        for direction in ("in", "out")
    }


def _about_performance(topics: Topics) -> dict[str, _Component]:
    """Of the machine; what it has no sensor for is null there, and ``None`` is unknown here."""
    own = {
        "entity_category": "diagnostic",
        "state_topic": topics.performance,
        **_available(topics),
    }
    latency = "value_json.stages_ms.latency"
    sensors = (
        ("temperature", "Temperature", "value_json.host.temperature_celsius", "°C", "temperature"),
        ("fps", "Frame rate", "value_json.fps_out", "fps", None),
        ("latency", "Latency", f"{latency}.p50 if {latency} else None", "ms", "duration"),
        ("disk_free", "Free disk space", "value_json.host.disk_free_mb", "MB", "data_size"),
    )
    components: dict[str, _Component] = {
        key: {
            "platform": "sensor",
            "name": name,
            "state_class": "measurement",
            "unit_of_measurement": unit,
            "value_template": f"{{{{ {value} }}}}",
            **({"device_class": device_class} if device_class else {}),
            **own,
        }
        for key, name, value, unit, device_class in sensors
    }
    components["throttling"] = {
        "platform": "binary_sensor",
        "name": "Throttling",
        "device_class": "problem",
        "value_template": _THROTTLED,
        **own,
    }
    return components


def _controls(topics: Topics) -> dict[str, _Component]:
    return {
        name: {
            "platform": "button",
            "name": words,
            "entity_category": "config",
            "command_topic": topics.command(name),
            "payload_press": PRESS.decode(),
            **_available(topics),
        }
        for name, words in (("reload", "Reload settings"), ("picture", "Take a picture"))
    } | {
        "detection": {
            "platform": "switch",
            "name": "Detection",
            "command_topic": topics.command("detection"),
            "payload_on": ON.decode(),
            "payload_off": OFF.decode(),
            "state_topic": topics.status("detection", ""),
            "value_template": _LIVE,
            **_available(topics),
        },
        "picture_view": {
            "platform": "image",
            "name": "Picture",
            "image_topic": topics.picture,
            "content_type": "image/jpeg",
            **_available(topics),
        },
    }


def _available(topics: Topics) -> dict[str, str]:
    """Not shared by all: the connection itself is known while it is gone."""
    return {"availability_topic": topics.availability}
