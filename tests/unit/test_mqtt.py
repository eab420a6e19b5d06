"""What is published by MQTT, and in which order, without a broker; with one: tests/system/mqtt."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pi_detector.config.outputs import MqttSettings
from pi_detector.errors import SinkError
from pi_detector.sinks.mqtt.commands import command_of
from pi_detector.sinks.mqtt.discovery import Place, discovery_payload
from pi_detector.sinks.mqtt.outbox import Outbox
from pi_detector.sinks.mqtt.store import Store
from pi_detector.sinks.mqtt.topics import Topics, identifier, level

MIB = 1024 * 1024
unhurried = settings(deadline=None)


def an_outbox(folder: Path, most_bytes: int = MIB) -> Outbox:
    outbox = Outbox(Store(folder / "queue", most_bytes))
    outbox.open()
    return outbox


def taken(outbox: Outbox, most: int = 10_000) -> list[bytes]:
    """What would be sent now; confirmed at once."""
    payloads = []
    while len(payloads) < most and (entry := outbox.take()) is not None:
        payloads.append(entry.payload)
        outbox.confirm(entry.number)
    outbox.settle()
    return payloads


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


def test_what_is_confirmed_is_gone_and_the_rest_is_sent_again_in_order(tmp_path: Path) -> None:
    outbox = an_outbox(tmp_path)
    for number in range(10):
        outbox.add(b"%d" % number)
    for _ in range(3):
        entry = outbox.take()
        assert entry is not None
        if entry.payload != b"1":
            outbox.confirm(entry.number)
    outbox.settle()
    outbox.rewind()  # the connection is lost: 1 was not confirmed
    assert taken(outbox) == [b"1", b"3", b"4", b"5", b"6", b"7", b"8", b"9"]
    assert outbox.waiting == 0


def test_what_waits_survives_a_restart(tmp_path: Path) -> None:
    before = an_outbox(tmp_path)
    for number in range(200):
        before.add(b"%d" % number)
    assert taken(before, 50) == [b"%d" % number for number in range(50)]
    before.close()
    after = an_outbox(tmp_path)
    after.add(b"200")
    assert taken(after) == [b"%d" % number for number in range(50, 201)]
    after.close()
    assert list(tmp_path.iterdir()) == [], "an empty queue leaves no file"


def test_two_detectors_cannot_share_a_queue(tmp_path: Path) -> None:
    one = an_outbox(tmp_path)
    one.add(b"{}")
    one.store()
    with pytest.raises(SinkError, match=r"give each its own mqtt\.name"):
        an_outbox(tmp_path)


def test_a_full_queue_gives_up_the_oldest_and_counts_them(tmp_path: Path) -> None:
    outbox = an_outbox(tmp_path, most_bytes=10_000)
    for number in range(100):
        outbox.add(b"%04d" % number + bytes(1000))
        outbox.store()
    kept = [int(payload[:4]) for payload in taken(outbox)]
    assert kept == list(range(100 - len(kept), 100))
    assert 5 <= len(kept) <= 10
    assert outbox.lost == 100 - len(kept)


def test_a_damaged_queue_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "queue").write_bytes(b"no database" * 1000)
    outbox = an_outbox(tmp_path)
    outbox.add(b"new")
    outbox.store()
    assert taken(outbox) == [b"new"]
    outbox.close()
    (aside,) = tmp_path.iterdir()
    assert aside.read_bytes().startswith(b"no database")


@pytest.mark.parametrize(
    ("topic", "payload", "retained"),
    [
        ("p/command/format-disk", b"", False),
        ("p/command/reload", b"", True),
        ("p/command/reload", b"x", False),
        ("p/command/reload", b" " * 65, False),
        ("p/command/" + "r" * 1000, b"", False),
    ],
)
def test_commands_that_are_not_obeyed(topic: str, payload: bytes, retained: bool) -> None:
    with pytest.raises(ValueError, match=r"no command|retained|must be"):
        command_of(topic, payload, retained=retained)


def test_commands_that_are_obeyed() -> None:
    assert command_of("p/command/reload", b"", retained=False) == "reload"
    assert command_of("p/command/picture", b"PRESS", retained=False) == "picture"


def test_what_home_assistant_is_told() -> None:
    topics = Topics.of(MqttSettings(host="broker", name="front door"))
    place = Place(labels=("person", "car"), zones=("drive",), lines=("street",))
    payload = json.loads(
        discovery_payload(topics, "street", place, qos=1, snapshots=True, commands=True)
    )
    assert topics.discovery.startswith("homeassistant/device/pi-detector-front_door_")
    assert payload["device"]["name"] == "front door"
    components = payload["components"]
    ids = [component["unique_id"] for component in components.values()]
    assert len(set(ids)) == len(ids)
    kinds = {component["platform"] for component in components.values()}
    assert kinds == {"binary_sensor", "sensor", "image", "button"}
    for component in components.values():
        for key, value in component.items():
            if key.endswith("_topic"):
                assert value.startswith("pi-detector/front door/")
