"""The whole daemon, with few descriptors, while hundreds of connections to its page are held."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from page_client import PATIENCE_S, TOKEN, connect, free_port, wait_for

HELD = 300
MOST_OPENED = 20_000
DESCRIPTORS = 96
FPS = 2.0
CALM_S = 5.0
FLOOD_S = 15.0
SENT = (
    b"",
    b"GET / HTTP/1.1\r\nHost: x\r\n",
    b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\ntoken=",
    b"GET /login HTTP/1.1\r\nHost: x\r\n\r\n",
)
SETTINGS = """
[source]
uri = "demo:"
fps = {fps}
[output]
stdout = "none"
log = "log"
[recording]
enabled = true
path = "recordings"
post_s = 1.0
[recovery]
longest_delay_s = 1.0
[mqtt]
host = "127.0.0.1"
port = {broker}
version = "3.1.1"
[web]
enabled = true
port = {port}
token = "{token}"
"""


class Broker:
    """Accepts what MQTT clients say, and nothing more."""

    def __init__(self) -> None:
        self.connected = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._client: socket.socket | None = None
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                with suppress(OSError), client:
                    self._client = client
                    if client.recv(4096):
                        client.sendall(b"\x20\x02\x00\x00")  # CONNACK
                        self.connected += 1
                    while client.recv(4096):
                        continue

    def drop(self) -> None:
        """Close the connection, so that the client needs a new one."""
        assert self._client is not None
        self._client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listening.close()


class Flood(threading.Thread):
    """Holds connections, sends a byte now and then, and opens those again that were closed."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.opened = 0
        self.stopping = threading.Event()
        self.filled = threading.Event()
        self._held: list[socket.socket] = []

    def run(self) -> None:
        try:
            while not self.stopping.wait(0.05):
                self._held = [line for line in self._held if self._drips(line)]
                while len(self._held) < HELD and self.opened < MOST_OPENED:
                    self._open()
                self.filled.set()
        finally:
            for line in self._held:
                line.close()

    def _open(self) -> None:
        number, self.opened = self.opened, self.opened + 1
        # Every other one from the address of those who look, the rest from forty others.
        address = "127.0.0.1" if number % 2 else f"127.0.1.{number // 2 % 40 + 1}"
        with suppress(OSError):
            self._held.append(connect(self.port, SENT[number // 2 % len(SENT)], address))

    def _drips(self, line: socket.socket) -> bool:
        try:
            line.send(b"x")
        except OSError:
            line.close()
            return False
        return True


class Daemon:
    def __init__(self, folder: Path, broker: Broker) -> None:
        self.port = free_port()
        self.folder = folder
        self.log = folder / "stderr"
        settings = SETTINGS.format(port=self.port, broker=broker.port, token=TOKEN, fps=FPS)
        (folder / "config.toml").write_text(settings)
        limited = ["sh", "-c", f'ulimit -n {DESCRIPTORS}; exec "$@"', "sh"]
        command = [*limited, sys.executable, "-m", "pi_detector", "run", "--quiet"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--config", "config.toml"],
                cwd=folder,
                stderr=log,
                env={
                    **os.environ,
                    "STATE_DIRECTORY": str(folder),
                    "PYTHONPATH": os.pathsep.join(sys.path),
                },
            )

    def ask(self, path: str) -> tuple[int, str]:
        with closing(
            http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        ) as line:
            line.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})
            answer = line.getresponse()
            return answer.status, answer.read().decode()

    def is_well(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        with suppress(OSError, http.client.HTTPException):
            return self.ask("/healthz")[0] == 200
        return False

    def processed(self) -> float:
        found = re.search(
            r"^pi_detector_frames_processed_total\S* (\S+)", self.ask("/metrics")[1], re.M
        )
        assert found is not None
        return float(found[1])

    def rate(self, seconds: float, meanwhile: Callable[[], None]) -> float:
        """Frames per second while something is done again and again."""
        frames, began_s = self.processed(), time.monotonic()
        while time.monotonic() - began_s < seconds:
            meanwhile()
        return (self.processed() - frames) / (time.monotonic() - began_s)

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


@pytest.fixture
def broker() -> Iterator[Broker]:
    with closing(Broker()) as broker:
        yield broker


@pytest.fixture
def daemon(tmp_path: Path, broker: Broker) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path, broker)
    try:
        wait_for(daemon.is_well)
        yield daemon
    finally:
        daemon.process.kill()
        daemon.process.wait()


@pytest.mark.slow
def test_detection_recordings_and_broker_go_on_while_connections_are_held(
    daemon: Daemon, broker: Broker
) -> None:
    wait_for(lambda: broker.connected == 1)
    calm = daemon.rate(CALM_S, lambda: time.sleep(0.1))
    pictures, descriptors = 0, 0
    with closing(connect(daemon.port)) as viewer:
        viewer.sendall(
            f"GET /view.mjpeg HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
        )

        def look() -> None:
            nonlocal pictures, descriptors
            assert daemon.ask("/healthz") == (200, "ok\n")
            pictures += viewer.recv(1 << 20).count(b"image/jpeg")
            descriptors = max(descriptors, daemon.descriptors())

        flood = Flood(daemon.port)
        flood.start()
        try:
            assert flood.filled.wait(60)
            broker.drop()
            flooded = daemon.rate(FLOOD_S, look)
            wait_for(lambda: broker.connected == 2)
        finally:
            flood.stopping.set()
            flood.join(30)
    said = daemon.log.read_text()
    assert flood.opened > HELD
    assert descriptors < DESCRIPTORS * 3 // 4
    # Well below what is seen, since other programs may take the processor meanwhile.
    assert flooded > 0.5 * min(calm, FPS)
    assert pictures > 5
    assert "Too many open files" not in said
    assert "Traceback" not in said
    assert said.count("web:") < 10, said

    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait(30) == 0
    assert list((daemon.folder / "recordings").rglob("*.mp4"))
    assert list((daemon.folder / "log").iterdir())
