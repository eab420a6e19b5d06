"""`pi-detector run` and a broker: presence, encryption, passwords, commands, removal."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import DISCOVERY, PREFIX, STATUS, Broker, Program, Reader, retained
from real_broker import wait_for

SettingsFile = Callable[..., Path]
Start = Callable[..., Program]
PASSWORD = "hunter2-correct-horse"


def log_of(program: Program) -> str:
    return "".join(program.errors)


def test_presence_is_told_by_goodbye_and_by_last_will(
    broker: Broker, reader: Reader, settings: SettingsFile, daemon: Start
) -> None:
    path = settings(broker, detections=True)
    first = daemon(path)
    first.waits_for(lambda: reader.last(STATUS) == b"online")
    first.waits_for(lambda: reader.payloads(f"{PREFIX}/detections"))
    first.waits_for(lambda: reader.last(f"{STATUS}/source"))
    source = json.loads(reader.last(f"{STATUS}/source") or b"")
    assert (source["name"], source["state"]) == ("demo", "live")
    kept = retained(broker)
    assert kept[STATUS] == b"online"
    assert json.loads(kept[f"{PREFIX}/state/labels/person"])["count"] >= 0
    assert json.loads(kept[f"{PREFIX}/state/zones/garden"])["labels"] == {}
    assert f"{PREFIX}/detections" not in kept
    first.process.terminate()
    assert first.process.wait(20) == 0, log_of(first)
    wait_for(lambda: reader.last(STATUS) == b"offline")

    second = daemon(path)
    second.waits_for(lambda: reader.last(STATUS) == b"online")
    second.kill()
    wait_for(lambda: reader.last(STATUS) == b"offline")
    assert retained(broker)[STATUS] == b"offline"


def test_a_broker_that_comes_late_is_waited_for(
    broker: Broker, settings: SettingsFile, daemon: Start
) -> None:
    broker.stop()
    program = daemon(settings(broker))
    program.waits_for(lambda: "Connection refused; retrying" in log_of(program))
    broker.start()
    program.waits_for(lambda: "mqtt: connected" in log_of(program))
    assert program.process.poll() is None


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, a broker, a client, and another authority that nobody trusts."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for name in ("ca", "stranger"):
        openssl(
            "req", "-x509", *key, "-keyout", f"{name}.key", "-out", f"{name}.crt", "-days", "2",
            "-subj", f"/CN={name}",
        )  # fmt: skip
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    for name in ("broker", "client"):
        openssl(
            "req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}"
        )
        openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
            "-CAcreateserial", "-out", f"{name}.crt", "-days", "2", "-extfile", "san",
        )  # fmt: skip
    return folder


@pytest.fixture
def tls_broker(make_broker: Callable[..., Broker], certificates: Path) -> Broker:
    return make_broker(
        "allow_anonymous true",
        f"cafile {certificates}/ca.crt",
        f"certfile {certificates}/broker.crt",
        f"keyfile {certificates}/broker.key",
        "require_certificate true",
    )


def test_tls_with_a_certificate_of_each_side(
    tls_broker: Broker, certificates: Path, settings: SettingsFile, feed: Start
) -> None:
    files = {
        "ca_file": f"{certificates}/ca.crt",
        "cert_file": f"{certificates}/client.crt",
        "key_file": f"{certificates}/client.key",
    }
    reader = Reader(
        tls_broker,
        ca_certs=files["ca_file"],
        certfile=files["cert_file"],
        keyfile=files["key_file"],
    )
    feeder = feed(settings(tls_broker, tls=True, **files), 0, 300, 0.001)
    feeder.waits_for(lambda: len(reader.events()) == 300)
    assert reader.numbers() == list(range(300))
    reader.close()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"tls": True, "ca_file": "ca.crt"}, "certificate"),
        ({"tls": True, "ca_file": "stranger.crt"}, "not trusted"),
        ({}, "needs TLS"),
    ],
)
def test_tls_that_fails_says_why(
    tls_broker: Broker,
    certificates: Path,
    settings: SettingsFile,
    feed: Start,
    values: dict[str, Any],
    reason: str,
) -> None:
    if "ca_file" in values:
        values = {**values, "ca_file": f"{certificates}/{values['ca_file']}"}
    feeder = feed(settings(tls_broker, **values), 0, 1)
    feeder.waits_for(feeder.status)
    assert feeder.status()[0]["state"] == "failed"
    assert reason in feeder.status()[0]["reason"]


def test_a_certificate_that_is_not_there_ends_the_start(
    broker: Broker, settings: SettingsFile, daemon: Start
) -> None:
    program = daemon(settings(broker, tls=True, ca_file="/nowhere/ca.crt"))
    assert program.process.wait(30) == 74
    wait_for(
        lambda: "mqtt.ca_file: /nowhere/ca.crt: cannot be read: No such file" in log_of(program)
    )


def test_a_wrong_password_is_told_tried_again_and_shown_nowhere(
    make_broker: Callable[..., Broker],
    tmp_path: Path,
    settings: SettingsFile,
    daemon: Start,
) -> None:
    users = tmp_path / "users"
    users.touch(mode=0o600)

    def allow(password: str) -> None:
        subprocess.run(["mosquitto_passwd", "-b", users, "detector", password], check=True)

    allow("another")
    broker = make_broker(f"password_file {users}")
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o700)
    (secrets / "broker").write_text(f"{PASSWORD}\n")
    path = settings(broker, username="detector", password="${secret:broker}")
    program = daemon(path, CREDENTIALS_DIRECTORY=str(secrets))
    program.waits_for(lambda: "Not authorized; check mqtt.username" in log_of(program))
    allow(PASSWORD)
    broker.send(signal.SIGHUP)
    program.waits_for(lambda: "mqtt: connected" in log_of(program))
    command_line = Path(f"/proc/{program.process.pid}/cmdline").read_text()
    shown = subprocess.run(
        [sys.executable, "-m", "pi_detector", "--config", path, "config", "show", "-v"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "${secret:broker}" in shown
    for text in (log_of(program), "".join(program.lines), command_line, shown):
        assert PASSWORD not in text


@pytest.fixture
def send(broker: Broker) -> Iterator[Callable[..., None]]:
    from paho.mqtt import client as paho

    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()

    def publish(name: str, payload: bytes = b"", retain: bool = False) -> None:
        client.publish(f"{PREFIX}/command/{name}", payload, 1, retain).wait_for_publish(10)

    yield publish
    client.disconnect()
    client.loop_stop()


def test_commands_are_not_even_listened_to_when_off(
    broker: Broker, settings: SettingsFile, daemon: Start, send: Callable[..., None]
) -> None:
    program = daemon(settings(broker))
    program.waits_for(lambda: "mqtt: connected" in log_of(program))
    send("reload")
    time.sleep(1)
    assert "settings reloaded" not in log_of(program)
    assert "command" not in log_of(program)
    assert f"{PREFIX}/command" not in (broker.folder / "mosquitto.log").read_text()


def test_commands(
    broker: Broker,
    reader: Reader,
    settings: SettingsFile,
    daemon: Start,
    send: Callable[..., None],
) -> None:
    send("reload", b"PRESS", retain=True)
    path = settings(broker, commands=True)
    program = daemon(path)
    program.waits_for(lambda: "retained" in log_of(program))
    for name, payload in (("shutdown", b""), ("reload", b"now"), ("reload", b"x" * 1_000_000)):
        refusals = log_of(program).count("command refused")
        send(name, payload)
        program.waits_for(lambda before=refusals: log_of(program).count("refused") > before)
    assert "settings reloaded" not in log_of(program)
    send("reload", b"PRESS")
    program.waits_for(lambda: "settings reloaded" in log_of(program))
    assert log_of(program).count("mqtt: connected") == 1
    time.sleep(1)
    send("picture")
    program.waits_for(lambda: reader.last(f"{PREFIX}/picture"))
    assert (reader.last(f"{PREFIX}/picture") or b"")[:3] == b"\xff\xd8\xff"
    buttons = json.loads(reader.last(DISCOVERY) or b"")["components"]
    assert buttons["reload"]["command_topic"] == f"{PREFIX}/command/reload"


def test_detection_is_paused_and_resumed_also_over_a_reload(
    broker: Broker,
    reader: Reader,
    settings: SettingsFile,
    daemon: Start,
    send: Callable[..., None],
) -> None:
    def state() -> object:
        return json.loads(reader.last(f"{STATUS}/detection") or b"{}").get("state")

    def inferred() -> bool:
        """Whether the latest frame went through the model."""
        return json.loads(reader.payloads(f"{PREFIX}/detections")[-1])["timings_ms"]["invoke"] > 0

    def latest() -> dict[str, Any]:
        return {each["id"]: each for each in reader.events()}

    def frames() -> int:
        return len(reader.payloads(f"{PREFIX}/detections"))

    program = daemon(settings(broker, commands=True, detections=True))
    program.waits_for(lambda: state() == "live")
    program.waits_for(lambda: frames() and inferred() and reader.events())
    send("pause")
    program.waits_for(lambda: state() == "paused")
    program.waits_for(lambda: {each["phase"] for each in latest().values()} == {"end"})
    assert "paused" in {each["reason"] for each in latest().values()}
    before = frames()
    program.waits_for(lambda: frames() > before + 3)
    assert not inferred()
    settings(broker, commands=True, detections=True, snapshots=False)
    program.process.send_signal(signal.SIGHUP)
    program.waits_for(lambda: "settings reloaded" in log_of(program))
    program.waits_for(lambda: log_of(program).count("mqtt: connected") == 2)
    before = frames()
    program.waits_for(lambda: frames() > before + 3)
    assert not inferred()
    assert state() == "paused"
    send("detection", b"ON")
    program.waits_for(lambda: state() == "live" and inferred())
    send("detection", b"OFF")
    program.waits_for(lambda: state() == "paused" and not inferred())
    program.process.terminate()
    assert program.process.wait(20) == 0, log_of(program)
    again = daemon(settings(broker))
    again.waits_for(lambda: state() == "live")


def test_a_reload_that_changes_the_broker_moves_there(
    broker: Broker,
    make_broker: Callable[..., Broker],
    settings: SettingsFile,
    daemon: Start,
) -> None:
    other = make_broker()
    program = daemon(settings(broker))
    program.waits_for(lambda: "mqtt: connected" in log_of(program))
    settings(other)
    program.process.send_signal(signal.SIGHUP)
    program.waits_for(lambda: f"mqtt: connected to 127.0.0.1:{other.port}" in log_of(program))
    wait_for(lambda: retained(broker)[STATUS] == b"offline")
    assert retained(other)[STATUS] == b"online"


def test_a_reload_keeps_what_holds_and_removes_what_is_no_more(
    broker: Broker, reader: Reader, settings: SettingsFile, daemon: Start
) -> None:
    persons, garden = f"{PREFIX}/state/labels/person", f"{PREFIX}/state/zones/garden"

    def counts() -> list[int]:
        return [json.loads(payload)["count"] for payload in reader.payloads(persons) if payload]

    path = settings(broker)
    program = daemon(path)
    program.waits_for(lambda: counts() and counts()[-1])
    before = len(counts())
    path.write_text(path.read_text().replace("zones.garden", "zones.yard"))
    program.process.send_signal(signal.SIGHUP)
    program.waits_for(lambda: reader.last(garden) == b"")
    program.waits_for(lambda: len(counts()) > before)
    assert all(counts()[before:])
    assert "offline" not in {payload.decode() for payload in reader.payloads(STATUS)}
    kept = retained(broker)
    assert garden not in kept
    assert f"{PREFIX}/state/zones/yard" in kept
    components = json.loads(kept[DISCOVERY])["components"]
    assert "zone_yard" in components
    assert not any("garden" in key for key in components)
