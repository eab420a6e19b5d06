"""`pi-detector doctor` and a broker: what keeps a detector out, and what it left there."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import DISCOVERY, NAME, PREFIX, STATUS, Broker, Program, Reader
from paho.mqtt import publish

SettingsFile = Callable[..., Path]
Start = Callable[..., Program]
Found = list[dict[str, str]]


def doctor(path: Path) -> Found:
    """What the doctor says of the broker."""
    command = [sys.executable, "-m", "pi_detector", "doctor", "--json", "--config", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (os.EX_OK, os.EX_UNAVAILABLE), done.stderr
    return [check for check in json.loads(done.stdout)["checks"] if check["what"] == "mqtt"]


def levels(found: Found) -> list[str]:
    return [check["level"] for check in found]


def test_a_broker_that_lets_it_in(
    broker: Broker, reader: Reader, settings: SettingsFile, daemon: Start
) -> None:
    path = settings(broker)
    (found,) = doctor(path)
    assert (found["level"], "no detector of this name" in found["finding"]) == ("ok", True), found
    program = daemon(path)
    program.waits_for(lambda: reader.last(STATUS) == b"online")
    (found,) = doctor(path)
    assert "is connected" in found["finding"]
    assert program.process.poll() is None
    assert "closed the connection" not in "".join(program.errors)
    assert reader.payloads(STATUS) == [b"online"], "the doctor takes nobody's place"


@pytest.mark.parametrize(
    ("rules", "level", "words"),
    [
        ("topic read #", "fail", "does not let this user publish"),
        (f"topic write {PREFIX}/#", "warn", "sends this user no messages"),
        (f"topic readwrite {PREFIX}/#\ntopic readwrite {DISCOVERY}", "ok", "accepts"),
    ],
)
def test_an_access_list(
    make_broker: Callable[..., Broker],
    tmp_path: Path,
    settings: SettingsFile,
    rules: str,
    level: str,
    words: str,
) -> None:
    file = tmp_path / "rules"
    file.touch(mode=0o600)
    file.write_text(f"{rules}\n")
    broker = make_broker("allow_anonymous true", f"acl_file {file}")
    (found,) = doctor(settings(broker))
    assert (found["level"], words in found["finding"]) == (level, True), found


def test_a_broker_that_does_not_know_it(
    make_broker: Callable[..., Broker], settings: SettingsFile
) -> None:
    broker = make_broker("allow_anonymous false")
    (found,) = doctor(settings(broker, username="nobody"))
    assert found["level"] == "fail"
    assert "mqtt.username and mqtt.password" in found["finding"]


def test_no_broker_and_no_certificate(broker: Broker, settings: SettingsFile) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        closed = probe.getsockname()[1]
    path = settings(broker, port=closed)
    assert "refused" in doctor(path)[0]["finding"]
    for more, words in (({"ca_file": "/none.crt"}, "mqtt.ca_file"), ({}, "TLS")):
        (found,) = doctor(settings(broker, tls=True, **more))
        assert (found["level"], words in found["finding"]) == ("fail", True), found


def test_topics_of_an_earlier_name(broker: Broker, settings: SettingsFile) -> None:
    for name in ("old", NAME):
        publish.single(
            f"pi-detector/{name}/status", b"offline", qos=1, retain=True, port=broker.port
        )
    found = doctor(settings(broker))
    assert levels(found) == ["ok", "warn"], found
    assert "topics of offline detectors: old" in found[1]["finding"]
    assert "mqtt remove --set mqtt.name=" in found[1]["fix"]
