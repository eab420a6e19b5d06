"""What Home Assistant is told, so that the detector appears there by itself."""

from __future__ import annotations

from typing import Any

import msgspec

from pi_detector import __version__
from pi_detector.sinks.mqtt.commands import PRESS
from pi_detector.sinks.mqtt.topics import Topics, identifier

_PROJECT = "pi-detector"
_OCCUPIED = "{{ 'ON' if value_json.occupied else 'OFF' }}"
_LIVE = "{{ 'ON' if value_json.state == 'live' else 'OFF' }}"
_Component = dict[str, Any]


class Place(msgspec.Struct, frozen=True):
    """What there is to see: names of labels, zones and lines."""

    labels: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()


def discovery_payload(
    topics: Topics, model: str, place: Place, *, qos: int, snapshots: bool, commands: bool
) -> bytes:
    """The retained message that describes the device and its entities.

    Source: Home Assistant, "MQTT", device discovery payload; needs Home Assistant 2024.11 or later.

    Args:
        topics: names.
        model: that detects.
        place: labels, zones and lines; each gets entities.
        qos: with which Home Assistant subscribes.
        snapshots: best views are published.
        commands: commands are listened to.
    """
    components = _about_itself(topics)
    for label in place.labels:
        components |= _about_label(topics, label, snapshots=snapshots)
    for zone in place.zones:
        components |= _about_zone(topics, zone)
    for line in place.lines:
        components |= _about_line(topics, line)
    if commands:
        components |= _buttons(topics)
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


def _buttons(topics: Topics) -> dict[str, _Component]:
    return {
        name: {
            "platform": "button",
            "name": words,
            "entity_category": "config",
            "command_topic": topics.command(name),
            "payload_press": PRESS.decode(),
            **_available(topics),
        }
        for name, words in (("reload", "Read settings again"), ("picture", "Take a picture"))
    } | {
        "picture_view": {
            "platform": "image",
            "name": "Picture",
            "image_topic": topics.picture,
            "content_type": "image/jpeg",
            **_available(topics),
        }
    }


def _available(topics: Topics) -> dict[str, str]:
    """Not shared by all: the connection itself is known while it is gone."""
    return {"availability_topic": topics.availability}
