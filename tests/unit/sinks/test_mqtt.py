"""What is published by MQTT, and in which order, without a broker; with one: tests/system/mqtt."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jinja2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pi_detector.config.outputs import MqttSettings
from pi_detector.sinks.mqtt.commands import CommandLimit, command_of
from pi_detector.sinks.mqtt.discovery import Subjects, discovery_payload
from pi_detector.sinks.mqtt.kept import Kept
from pi_detector.sinks.mqtt.topics import Topics, identifier, level, machine_token

MIB = 1024 * 1024
unhurried = settings(deadline=None)


@unhurried
@given(st.text(), st.text())
def test_a_name_is_one_level_and_different_names_differ(one: str, other: str) -> None:
    text = level(one)
    assert text
    assert not set("+#/\0") & set(text)
    assert len(text.encode()) <= 200
    assert (level(one) == level(other)) == (one == other)


@unhurried
@given(st.text())
def test_an_identifier_is_plain(name: str) -> None:
    assert identifier(name).replace("_", "").replace("-", "").isascii()
    assert " " not in identifier(name)


@pytest.mark.parametrize(
    ("topic", "payload", "retained"),
    [
        ("p/command/format-disk", b"", False),
        ("p/command/reload", b"", True),
        ("p/command/reload", b"x", False),
        ("p/command/pause", b"OFF", False),
        ("p/command/detection", b"", False),
        ("p/command/detection", b"PRESS", False),
        ("p/command/detection", b"OFF", True),
        ("p/command/reload", b" " * 65, False),
        ("p/command/" + "r" * 1000, b"", False),
    ],
)
def test_commands_that_are_not_obeyed(topic: str, payload: bytes, retained: bool) -> None:
    with pytest.raises(ValueError, match=r"unknown command|retained|must be"):
        command_of(topic, payload, retained=retained)


@pytest.mark.parametrize(
    ("name", "payload", "command"),
    [
        ("reload", b"", "reload"),
        ("picture", b"PRESS", "picture"),
        ("pause", b"", "pause"),
        ("resume", b"PRESS", "resume"),
        ("detection", b"OFF", "pause"),
        ("detection", b"ON", "resume"),
    ],
)
def test_commands_that_are_obeyed(name: str, payload: bytes, command: str) -> None:
    assert command_of(f"p/command/{name}", payload, retained=False) == command


def test_of_the_commands_of_a_kind_within_a_second_the_first_and_the_last_are_obeyed() -> None:
    limit = CommandLimit(1.0)
    obeyed = []
    for now_s, command in ((10.0, "pause"), (10.2, "resume"), (10.3, "reload"), (10.4, "pause")):
        limit.add(command)
        obeyed += limit.due(now_s)
    assert obeyed == ["pause", "reload"]
    assert limit.wait_s(10.5) == pytest.approx(0.5)
    assert limit.due(11.0) == ["pause"]
    assert limit.wait_s(11.0) is None
    assert limit.due(20.0) == []


def test_of_a_topic_with_an_interval_the_newest_message_is_sent_when_it_is_over() -> None:
    kept = Kept()
    assert kept.put("view", b"1", interval_s=3600)
    assert kept.take() == [("view", b"1")]
    assert not kept.put("view", b"1", interval_s=3600), "nothing new"
    kept.put("view", b"2", interval_s=3600)
    kept.put("view", b"3", interval_s=3600)
    assert kept.take() == []
    assert 3000 < (kept.wait_s or 0) <= 3600
    assert kept.take(early=True) == [("view", b"3")]
    kept.put("state", b"x")
    kept.repeat("state")
    assert kept.take() == [("state", b"x"), ("view", b"3")]
    kept.put("state", b"")
    assert kept.take() == [("state", b"")]
    kept.repeat("view")
    assert kept.take() == [("view", b"3")], "what was deleted is not deleted again"


def test_client_ids_of_machines_differ_and_do_not_reveal_their_ids(tmp_path: Path) -> None:
    texts = ["0123456789abcdef0123456789abcdef\n", "fedcba9876543210fedcba9876543210\n"]
    files = [tmp_path / "one", tmp_path / "other"]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
    one, other = map(machine_token, files)
    assert one != other
    assert re.fullmatch("[0-9a-f]{8}", one)
    assert not any(token in text for token in (one, other) for text in texts)
    assert machine_token(tmp_path / "none") == ""
    topics = Topics.of(MqttSettings(host="broker", name="door"))
    assert topics.client_id == "-".join(filter(None, ["pi-detector-door", machine_token()]))
    assert topics.queue == "mqtt-pi-detector-door", "the same wherever the card is put"


# What Home Assistant documents of its MQTT integration ("Device discovery payload", and a page a
# platform): keys that a component must have, keys that it may have, as far as they are used.
TOLD_BY_ALL = {"platform", "unique_id"}
MAY_BE_TOLD = {"name", "availability_topic", "entity_category", "device_class", "icon"}
PLATFORMS = {
    "binary_sensor": ({"state_topic"}, {"payload_on", "payload_off", "value_template"}),
    "sensor": ({"state_topic"}, {"state_class", "unit_of_measurement", "value_template"}),
    "image": ({"image_topic"}, {"content_type"}),
    "event": ({"state_topic", "event_types"}, {"value_template"}),
    "camera": ({"topic"}, set()),
    "number": (
        {"command_topic"},
        {"state_topic", "min", "max", "step", "mode", "value_template"},
    ),
    "button": ({"command_topic"}, {"payload_press"}),
    "switch": (
        {"command_topic"},
        {"state_topic", "payload_on", "payload_off", "value_template"},
    ),
}
DEVICE_CLASSES = {"binary_sensor": {"connectivity", "occupancy", "problem", "motion"}}
UNITS = {"temperature": {"°C"}, "duration": {"ms"}, "data_size": {"GB"}}
DEVICE = {"identifiers", "name", "manufacturer", "model", "sw_version"}


def test_what_is_retained_does_not_hide_something_else():
    topics = Topics.of(MqttSettings(host="broker", name="door"))
    told = [("source", "demo"), ("sink", "log"), ("governor", "speed"), ("governor", "model")]
    assert [topics.status(*each).removeprefix(topics.prefix) for each in told] == [
        "/status/source",
        "/status/sink/log",
        "/status/governor/speed",
        "/status/governor/model",
    ]


def discovered(page: str = "", **changes: bool) -> dict[str, Any]:
    """What Home Assistant is told, checked against what it documents."""
    topics = Topics.of(MqttSettings(host="broker", name="front door"))
    subjects = Subjects(labels=("person", "car"), zones=("drive",), lines=("street",))
    given = {"snapshots": True, "commands": True, "recording": True, "performance": True}
    given |= {"camera": True, **changes}
    payload = json.loads(discovery_payload(topics, "street", subjects, qos=1, page=page, **given))
    assert topics.discovery.startswith("homeassistant/device/pi-detector-front_door_")
    assert payload.keys() == {"device", "origin", "components", "qos"}
    assert payload["device"].keys() == DEVICE | ({"configuration_url"} if page else set())
    assert payload["device"]["name"] == "front door"
    assert payload["origin"]["name"] == "pi-detector"
    components: dict[str, Any] = payload["components"]
    ids = [component["unique_id"] for component in components.values()]
    assert len(set(ids)) == len(ids)
    for key, component in components.items():
        assert re.fullmatch("[A-Za-z0-9_-]+", key)
        check_component(component)
    return components


def check_component(component: dict[str, Any]) -> None:
    must, may = PLATFORMS[component["platform"]]
    assert component.keys() >= TOLD_BY_ALL | must
    assert component.keys() <= TOLD_BY_ALL | must | MAY_BE_TOLD | may
    category = component.get("entity_category")
    reads_only = "command_topic" not in component
    assert category in {None, "diagnostic"} if reads_only else category in {None, "config"}
    device_class = component.get("device_class")
    if component["platform"] == "sensor" and device_class:
        assert component["unit_of_measurement"] in UNITS[device_class]
    elif device_class:
        assert device_class in DEVICE_CLASSES[component["platform"]]
    assert component.get("state_class") in {None, "measurement", "total_increasing"}
    for key, value in component.items():
        if key.endswith("topic"):
            assert value.startswith("pi-detector/front door/")


def test_what_home_assistant_is_told() -> None:
    components = discovered()
    assert {each["platform"] for each in components.values()} == PLATFORMS.keys()
    assert components["detection"]["command_topic"].endswith("/command/detection")
    assert components["detection"]["state_topic"].endswith("/status/detection")
    by_itself = discovered(commands=False)
    assert not any("command_topic" in each for each in by_itself.values())
    assert components.keys() - discovered(performance=False).keys() == {
        "temperature", "fps", "latency", "disk_free", "throttling",
    }  # fmt: skip


def seen(component: dict[str, Any], record: dict[str, Any]) -> str:
    """What Home Assistant makes of a record; `None` is unknown there."""
    template = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    return template.from_string(component["value_template"]).render(value_json=record)


def test_what_home_assistant_sees_of_performance() -> None:
    components = discovered()
    record = {
        "fps_out": 12.5,
        "stages_ms": {"latency": {"p50": 41.2}},
        "host": {
            "temperature_celsius": 61.3,
            "disk_free_mb": 20480,
            "throttling": {"under_voltage": False, "throttled": True},
        },
    }
    wanted = {
        "temperature": "61.3",
        "fps": "12.5",
        "latency": "41.2",
        "disk_free": "20.5",
        "throttling": "ON",
    }
    assert {key: seen(components[key], record) for key in wanted} == wanted
    record["host"] = {
        "temperature_celsius": None,
        "disk_free_mb": None,
        "throttling": {"under_voltage": None, "throttled": None},
    }
    record["stages_ms"] = {"latency": None}
    unknown = dict.fromkeys(wanted, "None") | {"fps": "12.5"}
    assert {key: seen(components[key], record) for key in wanted} == unknown
    record["host"] = {"throttling": {"under_voltage": False, "throttled": None}}
    assert seen(components["throttling"], record) == "OFF"


@pytest.mark.parametrize(("state", "shown"), [("live", "ON"), ("paused", "OFF")])
def test_what_home_assistant_sees_of_detection(state: str, shown: str) -> None:
    switch = discovered()["detection"]
    assert seen(switch, {"state": state}) == shown
    assert (switch["payload_on"], switch["payload_off"]) == ("ON", "OFF")


def test_home_assistant_sees_each_label_in_each_zone() -> None:
    components = discovered()
    own = {key: each for key, each in components.items() if key.startswith("zone_drive_label_")}
    assert [each["name"] for each in own.values()] == [
        "Drive person",
        "Drive person count",
        "Drive car",
        "Drive car count",
    ]
    state = {"occupied": True, "count": 2, "labels": {"person": 2}}
    shown = [seen(each, state) for each in own.values()]
    assert shown == ["ON", "2", "OFF", "0"]
    moving = components["label_person_moving"]
    assert [seen(moving, {"moving": number}) for number in (0, 2)] == ["OFF", "ON"]


@pytest.mark.parametrize("page", ["", "http://pi:8080/"])
def test_home_assistant_sees_events(page: str) -> None:
    record = {
        "phase": "end",
        "id": "20261124T120000Z-ab-1",
        "label": 'a "label" </script>',
        "score": 0.8,
        "zones": [],
        "entered": ["drive"],
        "duration_s": 4.2,
        "reason": "gone",
    }
    event = discovered(page=page)["event"]
    facts = json.loads(seen(event, record))
    assert facts.pop("event_type") == record.pop("phase")
    assert event["event_types"] == ["new", "update", "end"]
    assert facts.pop("link") == (f"{page}events/{record['id']}" if page else "")
    assert facts == record


def test_home_assistant_sees_the_settings_that_commands_change() -> None:
    components = discovered()
    controls = {"min_score": None, "motion": True, "notifications": False, "recording": False}
    assert seen(components["recording"], controls) == "OFF"
    assert "recording" not in discovered(recording=False)
    assert seen(components["motion"], controls) == "ON"
    assert seen(components["notifications"], controls) == "OFF"
    assert seen(components["min_score"], controls) == "None"
    assert seen(components["min_score"], {"min_score": 0.55}) == "0.55"


@pytest.mark.parametrize(
    ("name", "payload", "command"),
    [
        ("motion", b"ON", "motion=on"),
        ("notifications", b"OFF", "notifications=off"),
        ("min_score", b" 0.55", "min_score=0.55"),
        ("motion", b"PRESS", None),
        ("min_score", b"1.1", None),
        ("min_score", b"nan", None),
        ("min_score", b"\xff", None),
        ("min_score", b"", None),
    ],
)
def test_commands_that_change_settings(name: str, payload: bytes, command: str | None) -> None:
    if command is None:
        with pytest.raises(ValueError, match=f"{name}: the message must be"):
            command_of(f"x/command/{name}", payload, retained=False)
    else:
        assert command_of(f"x/command/{name}", payload, retained=False) == command


def test_the_last_value_of_a_setting_counts() -> None:
    limit = CommandLimit(1.0)
    for command in ("min_score=0.5", "motion=on", "min_score=0.6"):
        limit.add(command)
    assert sorted(limit.due(0.0)) == ["min_score=0.6", "motion=on"]
