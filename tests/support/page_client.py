"""Who asks the page's server: browsers and programs, over real sockets."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
from recorded import Camera

from pi_detector.config.load import load_settings
from pi_detector.config.outputs import WebSettings
from pi_detector.config.settings import Settings
from pi_detector.sinks.web.live_video import LiveVideo
from pi_detector.sinks.web.sink import WebSink

TOKEN = "correct-horse-battery"
PATIENCE_S = 30.0
SQUARE = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]]
PATHS = ("/", "/view.jpg", "/view.mjpeg", "/api/overview", "/api/events", "/api/places", "/metrics")


class Answer:
    def __init__(self, answer: http.client.HTTPResponse, body: bytes) -> None:
        self.status, self.headers, self.body = answer.status, answer.headers, body

    def json(self) -> Any:
        return json.loads(self.body)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


class Web:
    """A sink, what it is handed, and who asks it."""

    def __init__(
        self,
        folder: Path,
        recordings: Path | None = None,
        overrides: tuple[str, ...] = (),
        video: LiveVideo | None = None,
        **web: Any,
    ) -> None:
        self.folder = folder
        self.environ = {"STATE_DIRECTORY": str(folder)}
        self.overrides = overrides
        self.port = free_port()
        self.commands: list[str] = []
        self.well = True
        self.web = WebSettings(enabled=True, port=self.port, view_fps=60, **web)
        self.sink = WebSink(
            self.settings(),
            labels=["person", "car"],
            recordings=recordings,
            drawn=folder / "drawn.toml",
            command=self.obey,
            healthy=lambda: self.well,
            page=folder / "page.toml",
            check=lambda drawn=None, page=None: load_settings(
                None, self.environ, self.overrides, drawn, page=page
            ),
            metrics=lambda: (b"up 1\n", "text/plain; version=0.0.4"),
            video=video,
        )
        self.camera = Camera(self.sink)  # type: ignore[arg-type]

    def settings(self) -> Settings:
        found = load_settings(None, self.environ, self.overrides)
        return msgspec.structs.replace(found, web=self.web)

    def obey(self, command: str) -> None:
        self.commands.append(command)
        if command == "reload":
            self.sink.apply(self.settings(), ["person", "car"])

    def ask(
        self, path: str, method: str = "GET", body: str | None = None, **headers: str
    ) -> Answer:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as line:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            line.request(method, path, body, named)
            answer = line.getresponse()
            endless = path.startswith(("/view.mjpeg", "/api/live")) and answer.status == 200
            return Answer(answer, b"" if endless else answer.read())

    @contextmanager
    def stream(self, path: str, **headers: str) -> Iterator[http.client.HTTPResponse]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as line:
            line.request("GET", path, headers=headers)
            with closing(line.getresponse()) as answer:
                yield answer


def messages(stream: http.client.HTTPResponse) -> Iterator[tuple[str, int, Any]]:
    fields: dict[str, str] = {}
    while line := stream.readline().decode():
        if line == "\n":
            yield fields["event"], int(fields["id"]), json.loads(fields["data"])
        else:
            name, _, value = line.rstrip("\n").partition(": ")
            fields[name] = value


def connect(port: int, sent: bytes = b"", address: str = "127.0.0.1") -> socket.socket:
    """A connection to the page from one of this device's addresses; all 127.* are."""
    line = socket.create_connection(("127.0.0.1", port), PATIENCE_S, (address, 0))
    line.sendall(sent)
    return line


def is_open(line: socket.socket) -> bool:
    """Whether the other side has not closed a connection; what it sent is read."""
    line.setblocking(False)
    try:
        while line.recv(65536):
            continue
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
