"""The entities of Home Assistant, each with its template."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pi_detector.sinks.links import events_link
from pi_detector.sinks.mqtt.commands import OFF, ON, PRESS
from pi_detector.sinks.mqtt.topics import Topics, identifier

Component = dict[str, Any]

_OCCUPIED = "{{ 'ON' if value_json.occupied else 'OFF' }}"
_MOVING = "{{ 'ON' if value_json.moving > 0 else 'OFF' }}"
_LIVE = "{{ 'ON' if value_json.state == 'live' else 'OFF' }}"
_THROTTLED = (
    "{% set flags = value_json.host.throttling.values() | list %}"
    "{{ 'ON' if true in flags else 'OFF' if false in flags else None }}"
)
_ICONS = {
    "person": "mdi:account",
    "bicycle": "mdi:bicycle",
    "car": "mdi:car",
    "motorcycle": "mdi:motorbike",
    "bus": "mdi:bus",
    "truck": "mdi:truck",
    "bird": "mdi:bird",
    "cat": "mdi:cat",
    "dog": "mdi:dog",
    "horse": "mdi:horse",
}
_OTHER = "mdi:shape"
_PHASES = ["new", "update", "end"]
_SCORE_STEP = 0.01


def sentence(name: str) -> str:
    """A name with a capital at its start, as Home Assistant writes names of entities."""
    return name[:1].upper() + name[1:]


def about_itself(topics: Topics, page: str) -> dict[str, Component]:
    """The connection, the camera and the events.

    Args:
        topics: topic names.
        page: address of the page, for links to events; empty for none.
    """
    link = f"{json.dumps(events_link(page))} ~ value_json.id" if page else "''"
    facts = ("id", "label", "score", "zones", "entered", "duration_s", "reason")
    record = ", ".join(f"'{name}': value_json.{name}" for name in facts)
    return {
        "event": {
            "platform": "event",
            "name": "Event",
            "icon": "mdi:motion-sensor",
            "state_topic": topics.events,
            "event_types": _PHASES,
            "value_template": (
                f"{{{{ {{'event_type': value_json.phase, {record}, 'link': {link}}} | tojson }}}}"
            ),
            **_available(topics),
        },
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


def about_label(topics: Topics, label: str, *, snapshots: bool) -> dict[str, Component]:
    """Occupancy, count, motion and best view of a label."""
    own, topic = identifier(label), topics.state("labels", label)
    icon = _ICONS.get(label, _OTHER)
    components = _counted(topics, f"label_{own}", label, topic, icon=icon)
    components[f"label_{own}_moving"] = {
        "platform": "binary_sensor",
        "name": f"{sentence(label)} moving",
        "device_class": "motion",
        "state_topic": topic,
        "value_template": _MOVING,
        **_available(topics),
    }
    if snapshots:
        components[f"view_{own}"] = {
            "platform": "image",
            "name": f"{sentence(label)} best view",
            "icon": icon,
            "image_topic": topics.snapshot(label),
            "content_type": "image/jpeg",
            **_available(topics),
        }
    return components


def about_zone(topics: Topics, zone: str, labels: Iterable[str]) -> dict[str, Component]:
    """Occupancy and count of a zone, in all and by label."""
    key, topic = f"zone_{identifier(zone)}", topics.state("zones", zone)
    components = _counted(topics, key, zone, topic, icon="mdi:vector-polygon")
    for label in labels:
        count = f"value_json.labels.get({json.dumps(label)}, 0)"
        components |= _counted(
            topics,
            f"{key}_label_{identifier(label)}",
            f"{zone} {label}",
            topic,
            icon=_ICONS.get(label, _OTHER),
            occupied=f"{{{{ 'ON' if {count} > 0 else 'OFF' }}}}",
            count=f"{{{{ {count} }}}}",
        )
    return components


def _counted(
    topics: Topics,
    key: str,
    name: str,
    topic: str,
    *,
    icon: str,
    occupied: str = _OCCUPIED,
    count: str = "{{ value_json.count }}",
) -> dict[str, Component]:
    return {
        key: {
            "platform": "binary_sensor",
            "name": sentence(name),
            "device_class": "occupancy",
            "icon": icon,
            "state_topic": topic,
            "value_template": occupied,
            **_available(topics),
        },
        f"{key}_count": {
            "platform": "sensor",
            "name": f"{sentence(name)} count",
            "icon": icon,
            "state_class": "measurement",
            "state_topic": topic,
            "value_template": count,
            **_available(topics),
        },
    }


def about_line(topics: Topics, line: str) -> dict[str, Component]:
    """The crossings of a line in both directions."""
    return {
        f"line_{identifier(line)}_{direction}": {
            "platform": "sensor",
            "name": f"{sentence(line)} {direction}",
            "icon": "mdi:vector-polyline",
            # Begins with 0 again at each start, which this class allows for.
            "state_class": "total_increasing",
            "state_topic": topics.state("lines", line),
            "value_template": f"{{{{ value_json['{direction}'] }}}}",
            **_available(topics),
        }
        for direction in ("in", "out")
    }


def about_schedule(topics: Topics, schedule: str) -> dict[str, Component]:
    """Whether a schedule is on."""
    return {
        f"schedule_{identifier(schedule)}": {
            "platform": "binary_sensor",
            "name": f"Schedule {schedule}",
            "icon": "mdi:calendar-clock",
            "entity_category": "diagnostic",
            "state_topic": topics.status("schedule", schedule),
            "value_template": _LIVE,
            **_available(topics),
        }
    }


def about_camera(topics: Topics) -> dict[str, Component]:
    """What the camera sees, a frame now and then."""
    return {
        "live": {
            "platform": "camera",
            "name": "Live",
            "icon": "mdi:cctv",
            "topic": topics.camera,
            **_available(topics),
        }
    }


def about_performance(topics: Topics) -> dict[str, Component]:
    """Of the machine; what it has no sensor for is null there, and ``None`` is unknown here."""
    own = {
        "entity_category": "diagnostic",
        "state_topic": topics.performance,
        **_available(topics),
    }
    latency = "value_json.stages_ms.latency"
    disk = "value_json.host.disk_free_mb"
    disk = f"({disk} / 1000) | round(1) if {disk} is not none else None"
    sensors = (
        ("temperature", "Temperature", "value_json.host.temperature_celsius", "°C", "temperature"),
        ("fps", "Frame rate", "value_json.fps_out", "fps", None),
        ("latency", "Latency", f"{latency}.p50 if {latency} else None", "ms", "duration"),
        ("disk_free", "Free disk space", disk, "GB", "data_size"),
    )
    components: dict[str, Component] = {
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


def controls(topics: Topics, *, recording: bool) -> dict[str, Component]:
    """What commands do: buttons, switches, the lowest score.

    Args:
        topics: topic names.
        recording: events are recorded, unless that is switched off.
    """
    buttons = (
        ("reload", "Reload settings", "mdi:reload"),
        ("picture", "Take a picture", "mdi:camera"),
    )
    components: dict[str, Component] = {
        name: {
            "platform": "button",
            "name": words,
            "icon": icon,
            "entity_category": "config",
            "command_topic": topics.command(name),
            "payload_press": PRESS.decode(),
            **_available(topics),
        }
        for name, words, icon in buttons
    }
    detection = (topics.status("detection", ""), _LIVE)
    switches = [
        ("detection", "Detection", "mdi:eye", detection),
        ("motion", "Motion gate", "mdi:motion-sensor", _of_controls(topics, "motion")),
        ("notifications", "Messages", "mdi:message", _of_controls(topics, "notifications")),
    ]
    if recording:
        switches.append(
            ("recording", "Recording", "mdi:record-rec", _of_controls(topics, "recording"))
        )
    for name, words, icon, (topic, template) in switches:
        components[name] = {
            "platform": "switch",
            "name": words,
            "icon": icon,
            "entity_category": "config",
            "command_topic": topics.command(name),
            "payload_on": ON.decode(),
            "payload_off": OFF.decode(),
            "state_topic": topic,
            "value_template": template,
            **_available(topics),
        }
    del components["detection"]["entity_category"]  # what the device is for
    components["min_score"] = {
        "platform": "number",
        "name": "Lowest score",
        "icon": "mdi:percent",
        "entity_category": "config",
        "command_topic": topics.command("min_score"),
        "min": 0.05,
        "max": 1,
        "step": _SCORE_STEP,
        "mode": "box",
        "state_topic": topics.controls,
        "value_template": "{{ value_json.min_score }}",
        **_available(topics),
    }
    components["picture_view"] = {
        "platform": "image",
        "name": "Picture",
        "icon": "mdi:image",
        "image_topic": topics.picture,
        "content_type": "image/jpeg",
        **_available(topics),
    }
    return components


def _of_controls(topics: Topics, name: str) -> tuple[str, str]:
    """Topic and template of a setting that a command changes."""
    return topics.controls, f"{{{{ 'ON' if value_json.{name} else 'OFF' }}}}"


def _available(topics: Topics) -> dict[str, str]:
    """Not shared by all: the connection itself is known while it is gone."""
    return {"availability_topic": topics.availability}
