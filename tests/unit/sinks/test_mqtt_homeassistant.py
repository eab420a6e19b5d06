"""What changes in Home Assistant while the detector runs: labels that occur, frames, settings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
from fake_broker import FakeBroker, wait_for
from notified import event, now, view_of
from waiting import until

from pi_detector.config.settings import RecoverySettings, Settings
from pi_detector.core.current import CurrentState
from pi_detector.core.records import encode, status_record
from pi_detector.sinks.mqtt.discovery import Subjects
from pi_detector.sinks.mqtt.sink import MqttSink

PREFIX = "pi-detector/door"
DISCOVERY = "homeassistant/device/pi-detector-door/config"
SUBJECTS = Subjects(("person", "car", "bus"), ("garden",), (), ("night",))


@pytest.fixture
def broker() -> Iterator[FakeBroker]:
    one = FakeBroker("5")
    yield one
    one.close()


def a_sink(broker: FakeBroker, folder: Path, **settings: Any) -> MqttSink:
    tree = {"host": "127.0.0.1", "port": broker.port, "name": "door", **settings}
    sink = MqttSink(
        msgspec.convert({"mqtt": tree}, Settings).mqtt,
        RecoverySettings(first_delay_s=0.1, longest_delay_s=0.1),
        folder,
        model="street",
        subjects=SUBJECTS,
        report=lambda _: None,
        command=lambda _: None,
    )
    sink.start()
    sink.catch_up(CurrentState())
    wait_for(lambda: broker.last(DISCOVERY))
    return sink


def announced(broker: FakeBroker) -> set[str]:
    """The labels that Home Assistant has entities for."""
    components = json.loads(broker.last(DISCOVERY) or b"{}")["components"]
    labels = {key.removeprefix("label_").split("_")[0] for key in components if "label_" in key[:6]}
    in_zone = {key.split("_label_")[1].split("_")[0] for key in components if "_label_" in key}
    assert in_zone == labels
    return labels


def test_a_label_is_announced_when_it_occurs_and_from_then_on(
    broker: FakeBroker, tmp_path: Path
) -> None:
    sink = a_sink(broker, tmp_path)
    assert announced(broker) == set()
    sink.handle(event(1, now=now()))
    wait_for(lambda: announced(broker) == {"person"})
    said = sum(topic == DISCOVERY for topic, _, _ in broker.published)
    sink.handle(event(2, now=now()))
    sink.handle(event(3, now=now(), label="car"))
    wait_for(lambda: announced(broker) == {"person", "car"})
    assert sum(topic == DISCOVERY for topic, _, _ in broker.published) == said + 1
    sink.close()
    broker.published.clear()
    a_sink(broker, tmp_path).close()
    assert announced(broker) == {"person", "car"}


def test_all_labels_are_announced_where_that_is_set(broker: FakeBroker, tmp_path: Path) -> None:
    sink = a_sink(broker, tmp_path, discovery_labels="all")
    assert announced(broker) == {"person", "car", "bus"}
    sink.close()


def test_a_file_of_labels_that_is_damaged_counts_as_empty(
    broker: FakeBroker, tmp_path: Path
) -> None:
    (tmp_path / "mqtt-pi-detector-door.labels").write_bytes(b"\xff{")
    sink = a_sink(broker, tmp_path)
    sink.handle(event(1, now=now()))
    wait_for(lambda: announced(broker) == {"person"})
    sink.close()
    assert json.loads((tmp_path / "mqtt-pi-detector-door.labels").read_text()) == ["person"]


def test_the_camera_shows_a_frame_now_and_then(broker: FakeBroker, tmp_path: Path) -> None:
    sink = a_sink(broker, tmp_path, camera_interval_s=3600, snapshots=False)
    wait_for(lambda: sink.handle(event(1, now=now())))  # connected
    for number in range(5):
        sink.handle(view_of(number))
    jpeg = until(lambda: broker.last(f"{PREFIX}/camera"))
    assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (240, 320, 3)
    sink.close()
    assert sum(topic == f"{PREFIX}/camera" for topic, _, _ in broker.published) == 1


def test_settings_that_commands_change_are_shown(broker: FakeBroker, tmp_path: Path) -> None:
    sink = a_sink(broker, tmp_path)
    sink.show(msgspec.convert({"motion": {"enabled": True}}, Settings))
    wait_for(lambda: broker.last(f"{PREFIX}/controls"))
    controls = json.loads(broker.last(f"{PREFIX}/controls") or b"")
    assert controls == {
        "min_score": None,
        "motion": True,
        "notifications": False,
        "recording": False,
    }
    sink.close()


def test_schedules_are_binary_sensors_and_those_removed_are_deleted(
    broker: FakeBroker, tmp_path: Path
) -> None:
    sink = a_sink(broker, tmp_path)
    night, day = (f"{PREFIX}/status/schedule/{name}" for name in ("night", "day"))
    component = json.loads(broker.last(DISCOVERY) or b"{}")["components"]["schedule_night"]
    assert component["platform"] == "binary_sensor"
    assert component["name"] == "Schedule night"
    assert component["state_topic"] == night
    for topic in (night, day):  # of an earlier run
        broker.send(topic.encode(), encode(status_record("schedule", "x", "live")), retain=True)
    sink.handle(status_record("schedule", "night", "paused"))
    wait_for(lambda: (day, b"") in [(topic, payload) for topic, payload, _ in broker.published])
    assert json.loads(broker.last(night) or b"{}")["state"] == "paused"
    sink.handle(status_record("schedule", "night", "stopped"))
    wait_for(lambda: broker.last(night) == b"")
    sink.close()
