"""The MQTT sink and a broker that does what it should not, or that others use as well."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
from fake_broker import FakeBroker, wait_for
from staged import Scene, detections, person

from pi_detector.config.settings import RecoverySettings, Settings
from pi_detector.core.current import CurrentState
from pi_detector.core.frame import Frame
from pi_detector.core.records import EventRecord, StatusRecord, status_record
from pi_detector.core.result import Result, Timings, View
from pi_detector.sinks.mqtt.discovery import Subjects
from pi_detector.sinks.mqtt.sink import MqttSink

PREFIX = "pi-detector/door"
STATUS = f"{PREFIX}/status"
PERSON = f"{PREFIX}/state/labels/person"
GARDEN = f"{PREFIX}/state/zones/garden"
SNAPSHOT = f"{PREFIX}/snapshot/person"
DISCOVERY = "homeassistant/device/pi-detector-door/config"
TAKEN_OVER = 0x8E
SUBJECTS = Subjects(("person", "car"), ("garden",), ("gate",))


class Daemon:
    """A sink with its broker, and what it reports and commands."""

    def __init__(self, folder: Path, version: str, subjects: Subjects, **settings: Any) -> None:
        self.broker = FakeBroker(version)
        self.reports: list[StatusRecord] = []
        self.commands: list[str] = []
        self.closed = False
        tree = {"host": "127.0.0.1", "port": self.broker.port, "name": "door", "version": version}
        self.sink = MqttSink(
            msgspec.convert({"mqtt": tree | settings}, Settings).mqtt,
            RecoverySettings(first_delay_s=0.1, longest_delay_s=0.1),
            folder,
            model="street",
            subjects=subjects,
            report=self.reports.append,
            command=self.commands.append,
        )

    def start(self, now: CurrentState | None = None) -> None:
        self.sink.start()
        self.sink.catch_up(now or CurrentState())
        wait_for(lambda: self.broker.last(PERSON))

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.sink.close()

    def reasons(self, state: str) -> list[str]:
        return [each.reason or "" for each in list(self.reports) if each.state == state]


Make = Callable[..., Daemon]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Daemon] = []

    def make(version: str = "5", subjects: Subjects = SUBJECTS, **settings: Any) -> Daemon:
        made.append(Daemon(tmp_path / str(len(made)), version, subjects, **settings))
        return made[-1]

    yield make
    for each in made:
        each.close()
        each.broker.close()


both = pytest.mark.parametrize("version", ["5", "3.1.1"])


@both
def test_a_topic_or_payload_that_is_not_utf8_is_ignored(make: Make, version: str) -> None:
    daemon = make(version, commands=True)
    daemon.start()
    daemon.broker.send(b"\xff\xfe", b"")
    for topic in (f"{PREFIX}/command/reload", STATUS, GARDEN, DISCOVERY, "homeassistant/status"):
        for retain in (False, True):
            daemon.broker.send(topic.encode(), b"\xff\xfe", retain)
    daemon.broker.send(DISCOVERY.encode(), b"[" * 100_000, retain=True)
    daemon.broker.send(f"{PREFIX}/command/reload".encode(), b"")
    wait_for(lambda: daemon.commands == ["reload"])
    daemon.sink.handle(status_record("source", "camera", "live"))  # raises what its thread raised
    wait_for(lambda: daemon.broker.last(f"{STATUS}/source"))


@both
def test_a_refused_subscription_is_an_error_that_is_said(make: Make, version: str) -> None:
    daemon = make(version, commands=True)
    daemon.broker.refuse = {f"{PREFIX}/command/+"}
    daemon.start()
    wait_for(lambda: daemon.reasons("refused"))
    (reason,) = daemon.reasons("refused")
    assert reason.startswith(f"{PREFIX}/command/+: the broker refuses the subscription: ")
    assert reason.endswith("grant this user read access to it")


def test_a_connection_that_another_client_takes_over_names_the_cause(make: Make) -> None:
    daemon = make()
    daemon.start()
    daemon.broker.end(TAKEN_OVER)
    wait_for(lambda: daemon.reasons("failed"))
    (client,) = set(daemon.broker.clients)
    assert f"another client may be connected as {client};" in daemon.reasons("failed")[0]


def test_connections_that_are_lost_early_again_and_again_name_the_likely_cause(make: Make) -> None:
    daemon = make("3.1.1")
    daemon.broker.hang_up = True
    daemon.sink.start()
    wait_for(
        lambda: any("another client may be connected as" in r for r in daemon.reasons("failed"))
    )
    early = daemon.reasons("failed")[0]
    assert "another client" not in early, "one loss says nothing"


def test_another_detector_of_the_same_name_is_noticed_and_presence_is_said_again(
    make: Make,
) -> None:
    daemon = make()
    daemon.start()
    wait_for(lambda: daemon.broker.last(STATUS) == b"online")
    daemon.broker.send(STATUS.encode(), b"online")  # its own, come back
    said = len(daemon.broker.published)
    daemon.broker.send(STATUS.encode(), b"offline")
    wait_for(lambda: (STATUS, b"online", True) in daemon.broker.published[said:])
    (reason,) = daemon.reasons("refused")
    assert "another detector publishes to pi-detector/door" in reason


def test_what_settings_before_left_with_the_broker_is_removed(make: Make) -> None:
    daemon = make()
    daemon.start()
    told = json.loads(daemon.broker.last(DISCOVERY) or b"")
    told["components"]["zone_drive"] = {"platform": "binary_sensor", "unique_id": "u"}
    said = len(daemon.broker.published)
    daemon.broker.send(f"{PREFIX}/state/zones/drive".encode(), b"{}", retain=True)
    daemon.broker.send(f"{PREFIX}/state/labels/cat".encode(), b"{}", retain=True)
    daemon.broker.send(GARDEN.encode(), b"{}", retain=True)
    daemon.broker.send(DISCOVERY.encode(), json.dumps(told).encode(), retain=True)
    gone = {f"{PREFIX}/state/zones/drive", f"{PREFIX}/state/labels/cat", f"{PREFIX}/snapshot/cat"}
    wait_for(lambda: gone <= {t for t, p, retain in daemon.broker.published if retain and not p})
    after = daemon.broker.published[said:]
    assert {topic for topic, payload, _ in after if not payload} == gone
    removal, final = (json.loads(p)["components"] for topic, p, _ in after if topic == DISCOVERY)
    assert removal["zone_drive"] == {"platform": "binary_sensor"}
    assert "zone_drive" not in final
    assert final.keys() == removal.keys() - {"zone_drive"}


def test_without_discovery_the_device_of_settings_before_is_removed(make: Make) -> None:
    daemon = make(discovery=False)
    daemon.start()
    daemon.broker.send(DISCOVERY.encode(), b'{"components": {}}', retain=True)
    wait_for(lambda: (DISCOVERY, b"", True) in daemon.broker.published)


def test_home_assistant_that_starts_is_sent_all_again(make: Make) -> None:
    daemon = make(retain=False)
    daemon.start(CurrentState(statuses={("source", "a"): status_record("source", "a", "live")}))
    wait_for(lambda: daemon.broker.last(f"{STATUS}/source"))
    before = {topic: payload for topic, payload, _ in daemon.broker.published}
    said = len(daemon.broker.published)
    daemon.broker.send(b"homeassistant/status", b"offline")
    daemon.broker.send(b"homeassistant/status", b"online")
    wait_for(lambda: len(daemon.broker.published) >= said + len(before))
    assert {topic: payload for topic, payload, _ in daemon.broker.published[said:]} == before
    assert daemon.broker.published[said][0] == STATUS


def test_of_switches_within_a_second_the_last_one_counts(make: Make) -> None:
    daemon = make(commands=True)
    daemon.start()
    for word in (b"OFF", b"ON", b"OFF", b"ON", b"OFF"):
        daemon.broker.send(f"{PREFIX}/command/detection".encode(), word)
    wait_for(lambda: len(daemon.commands) == 2)
    assert daemon.commands == ["pause", "pause"]
    daemon.broker.send(f"{PREFIX}/command/detection".encode(), b"ON")
    wait_for(lambda: daemon.commands[-1] == "resume")


def events() -> list[EventRecord]:
    """A person that comes into the garden, and over the gate."""
    scene = Scene(
        zones={"garden": {"polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}},
        lines={"gate": {"points": [[0.5, 0], [0.5, 1]]}},
    )
    scene.walk(3, 100, 500)
    scene.steps(2, person(500))
    return scene.records


def test_a_sink_that_a_reload_makes_knows_who_is_there_and_who_crossed(make: Make) -> None:
    records = events()
    now = CurrentState()
    for record in records:
        now.note(record)
    assert len(now.events) == 1
    assert sum(now.lines["gate"].values()) == 1
    daemon = make(subjects=Subjects(("person",), ("garden",), ("gate", "new")))
    daemon.start(now)
    wait_for(lambda: daemon.broker.last(f"{PREFIX}/state/lines/new"))
    states = {topic: json.loads(p) for topic, p, _ in daemon.broker.published if "/state/" in topic}
    assert states[PERSON]["count"] == 1
    assert states[GARDEN] == {"occupied": True, "count": 1, "labels": {"person": 1}}
    assert states[f"{PREFIX}/state/lines/gate"] == now.lines["gate"]
    assert states[f"{PREFIX}/state/lines/new"] == {"in": 0, "out": 0}
    assert not daemon.broker.last(f"{PREFIX}/events"), "no event is published twice"
    counts = [json.loads(p)["count"] for topic, p, _ in daemon.broker.published if topic == PERSON]
    assert counts == [1], "never empty in between"


def test_an_event_tells_nothing_of_a_zone_that_is_no_more(make: Make) -> None:
    daemon = make(subjects=Subjects(("person",), (), ()))
    daemon.start()
    for record in events():
        daemon.sink.handle(record)
    wait_for(lambda: json.loads(daemon.broker.last(PERSON) or b"")["count"])
    assert not any("garden" in topic or "gate" in topic for topic, *_ in daemon.broker.published)


def a_view(at: datetime, event_id: str, shade: int) -> Result:
    image = np.full((48, 64, 3), shade, np.uint8)
    found = detections(())
    frame = Frame(image, shade, time.monotonic_ns(), at, "camera")
    view = View(event_id, (0.0, 0.0, 1.0, 1.0), 0.9)
    return Result(frame, found, {1: "person"}, Timings(0, 0, 0, 0), views=(view,))


def test_best_views_have_a_rate_whatever_the_phase_and_the_last_one_counts(make: Make) -> None:
    daemon = make(snapshot_interval_s=4.0)
    daemon.start()
    new, *_, last = events()
    for number in range(20):
        name = f"event-{number}"
        daemon.sink.handle(msgspec.structs.replace(new, id=name, phase="new"))
        daemon.sink.handle(a_view(new.time, name, number * 10))
        daemon.sink.handle(msgspec.structs.replace(last, id=name, phase="end"))
    wait_for(lambda: len(views(daemon)) == 2)
    last_view = cv2.imdecode(np.frombuffer(views(daemon)[-1], np.uint8), 0)
    assert last_view.mean() == pytest.approx(190, abs=2)


def views(daemon: Daemon) -> list[bytes]:
    return [payload for topic, payload, _ in list(daemon.broker.published) if topic == SNAPSHOT]


def test_a_view_that_waits_is_sent_before_the_end(make: Make) -> None:
    daemon = make(snapshot_interval_s=3600)
    daemon.start()
    new = events()[0]
    for number, shade in enumerate((10, 200)):
        daemon.sink.handle(msgspec.structs.replace(new, id=str(number), phase="new"))
        daemon.sink.handle(a_view(new.time, str(number), shade))
        wait_for(lambda: views(daemon))
    assert len(views(daemon)) == 1
    closing = threading.Thread(target=daemon.close)
    closing.start()
    wait_for(lambda: len(views(daemon)) == 2)
    closing.join()
