"""A reader that never forgets, and programs that publish."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import valid
from paho.mqtt import client as paho
from real_broker import PATIENCE_S, Broker, Program

FEEDER = Path(__file__).with_name("feeder.py")
READER = "reader"
NAME = "camera"
PREFIX = f"pi-detector/{NAME}"
EVENTS = f"{PREFIX}/events"
STATUS = f"{PREFIX}/status"
RECORDS = (f"{PREFIX}/detections", f"{PREFIX}/performance")
DISCOVERY = f"homeassistant/device/pi-detector-{NAME}/config"


class Reader:
    """Subscribes to everything, for good: what arrives while it is away is kept for it."""

    def __init__(self, broker: Broker, **tls: Any) -> None:
        self.messages: list[tuple[str, bytes, bool]] = []
        self._ready = threading.Event()
        self.client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id=READER, clean_session=False
        )
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self.client.on_subscribe = lambda *_: self._ready.set()
        self.client.on_message = lambda _client, _data, message: self.messages.append(
            (message.topic, message.payload, message.retain)
        )
        if tls:
            self.client.tls_set(**tls)
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()
        assert self._ready.wait(PATIENCE_S)

    def payloads(self, topic: str) -> list[bytes]:
        return [payload for name, payload, _ in list(self.messages) if name == topic]

    def last(self, topic: str) -> bytes | None:
        return next(iter(self.payloads(topic)[::-1]), None)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(payload) for payload in self.payloads(EVENTS)]

    def numbers(self) -> list[int]:
        """Numbers of the events in the order of their arrival, repeats passed over.

        As any consumer can: what is new has a higher revision than all of its event before.
        """
        seen: dict[str, int] = {}
        numbers = []
        for event in self.events():
            if event["revision"] > seen.get(event["id"], -1):
                seen[event["id"]] = event["revision"]
                numbers.append(int(event["sequence"]))
        return numbers

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def retained(broker: Broker, **tls: Any) -> dict[str, bytes]:
    """What a broker keeps."""
    found: dict[str, bytes] = {}
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.on_connect = lambda client, *_: client.subscribe("#")
    client.on_message = lambda _c, _d, message: found.update(
        {message.topic: message.payload} if message.retain else {}
    )
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    time.sleep(1)
    client.disconnect()
    client.loop_stop()
    return found


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    made: list[Broker] = []

    def make(*lines: str) -> Broker:
        folder = tmp_path / f"broker{len(made)}"
        folder.mkdir()
        made.append(Broker(folder, *lines))
        made[-1].start()
        return made[-1]

    yield make
    for broker in made:
        broker.stop()


@pytest.fixture
def broker(make_broker: Callable[..., Broker]) -> Broker:
    """A broker that already knows the reader, and still does after each kill."""
    one = make_broker()
    Reader(one).close()
    one.stop(signal.SIGTERM)
    one.start()
    return one


@pytest.fixture
def reader(broker: Broker) -> Iterator[Reader]:
    """Wants each record to fit the schema."""
    one = Reader(broker)
    yield one
    one.close()
    for topic, payload, _ in one.messages:
        of_records = topic in (EVENTS, *RECORDS) or topic.startswith(f"{STATUS}/")
        if of_records and payload:
            valid.record(payload)


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., Path]:
    """Writes a settings file."""

    def write(broker: Broker, **more: object) -> Path:
        values: dict[str, object] = {
            "host": "127.0.0.1",
            "port": broker.port,
            "name": NAME,
            "queue": str(tmp_path / "state"),
            **more,
        }
        path = tmp_path / "settings.toml"
        lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
        path.write_text(
            "[recovery]\nfirst_delay_s = 0.2\nlongest_delay_s = 0.5\n"
            '[zones.garden]\npolygon = [[0, 0], [1, 0], [1, 1]]\n[output]\nstdout = "none"\n'
            "[mqtt]\n" + "\n".join(lines) + "\n"
        )
        path.chmod(0o600)
        return path

    return write


@pytest.fixture
def start() -> Iterator[Callable[..., Program]]:
    started: list[Program] = []

    def begin(*command: Any, **environ: str) -> Program:
        started.append(Program(list(command), environ))
        return started[-1]

    yield begin
    for program in started:
        program.kill()


@pytest.fixture
def feed(start: Callable[..., Program]) -> Callable[..., Program]:
    def begin(path: Path, first: int, count: int, interval_s: float = 0.01) -> Program:
        return start(FEEDER, path, first, count, interval_s)

    return begin


@pytest.fixture
def daemon(start: Callable[..., Program]) -> Callable[..., Program]:
    def begin(path: Path, **environ: str) -> Program:
        return start("-m", "pi_detector", "--config", path, "run", "--source", "demo:", **environ)

    return begin
