"""A run of the service with all that there is, whose parts fail."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import msgspec
from waiting import PATIENCE_S, until

from pi_detector.config.settings import Settings
from pi_detector.core.records import Publication, StatusRecord
from pi_detector.core.result import Result
from pi_detector.daemon.service import Service

CONNACK = bytes([0x20, 3, 0, 0, 0])


class Broker:
    """Accepts MQTT connections, and whatever comes over them."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._listen, args=[connection], daemon=True).start()

    def _listen(self, connection: socket.socket) -> None:
        self.connections.append(connection)
        with connection, suppress(OSError):
            connection.recv(4096)
            connection.sendall(CONNACK)
            while connection.recv(65536):
                pass

    def hang_up(self) -> None:
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.connections.clear()


class _Hook(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def webhook() -> str:
    """The address of a server that takes every message."""
    server = HTTPServer(("127.0.0.1", 0), _Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def settings_in(folder: Path, broker: Broker, mode: str = "after-start") -> Settings:
    tree = {
        "source": {"uri": "demo:"},
        "recovery": {"mode": mode, "first_delay_s": 0.02, "longest_delay_s": 0.1},
        "events": {"min_hits": 1, "window": 1, "min_duration_s": 0},
        "output": {
            "stdout": "none",
            "socket": str(folder / "records.sock"),
            "snapshots": str(folder / "snapshots"),
            "snapshot_interval_s": 0,
            "video": str(folder / "video.avi"),
            "log": str(folder / "log"),
        },
        "mqtt": {
            "host": "127.0.0.1",
            "port": broker.port,
            "name": folder.name,  # one at a time has a client id
            "queue": str(folder),
        },
        "notify": {"phone": {"urls": [webhook()]}},
        "collect": {
            "enabled": True,
            "path": str(folder / "collected"),
            "per_hour": 3600,
            "below_score": 1.0,
        },
        "recording": {"enabled": True, "path": str(folder / "recordings"), "min_free_mb": 0},
        "web": {"enabled": True, "port": free_port()},
        "telemetry": {"interval_s": 0.1},
        "metrics": {"textfile": str(folder / "metrics.prom"), "interval_s": 1},
        "governor": {"enabled": True, "temperature_celsius": 0},
    }
    return msgspec.convert(tree, Settings)


@dataclass
class Run:
    """A service that detects on the demonstration, with all that there is."""

    settings: Settings
    broker: Broker
    published: list[Publication] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    ended: list[object] = field(default_factory=list)

    def start(self) -> None:
        self.service = Service(lambda: self.settings, {"STATE_DIRECTORY": self.settings.mqtt.queue})
        publishing = self.service._pipeline._publishing
        to_sinks = publishing.sinks.put

        def note(item: Publication) -> None:
            self.published.append(item)
            to_sinks(item)

        publishing.sinks.put = note  # type: ignore[method-assign]
        if publishing.feed is not None:
            publishing.feed._give = note
            publishing.feed._outage._report = note
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.ended.append(self.service.run(self.stop))
        except BaseException as error:  # noqa: BLE001 - looked at by the test
            self.ended.append(error)

    def end(self) -> object:
        self.stop.set()
        self.thread.join(PATIENCE_S)
        assert self.ended, "it did not end"
        return self.ended[0]

    @property
    def processed(self) -> int:
        assert not self.ended, self.ended
        return self.service._pipeline.counters.processed

    def goes_on(self) -> None:
        """Wait until frames were detected from now on."""
        before, told = self.processed, len(self.published)
        until(lambda: self.processed > before + 1)
        until(lambda: any(isinstance(item, Result) for item in self.published[told:]))

    def states(self, part: str, name: str, since: int) -> list[str]:
        return [
            each.state
            for each in self.published[since:]
            if isinstance(each, StatusRecord) and (each.part, each.name) == (part, name)
        ]

    def down(self) -> list[str]:
        """The parts that failed, and have not recovered."""
        last = {
            f"{each.part} {each.name}": each.state
            for each in self.published
            if isinstance(each, StatusRecord)
        }
        return [name for name, state in last.items() if state == "failed"]

    def wait_for(
        self, part: str, name: str, state: str, since: int, reason: str = ""
    ) -> StatusRecord:
        def found() -> StatusRecord | None:
            assert not self.ended, self.ended
            for each in self.published[since:]:
                if (
                    isinstance(each, StatusRecord)
                    and (each.part, each.name, each.state) == (part, name, state)
                    and reason in (each.reason or "")
                ):
                    return each
            return None

        return until(found, lambda: (part, name, state, self.states(part, name, since)))
