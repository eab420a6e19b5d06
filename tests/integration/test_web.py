"""The page's server, as browsers and programs see it: real sockets, real recordings."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import cv2
import msgspec
import numpy as np
import pytest
from recorded import Camera, short_event, started_sink

from pi_detector.config.load import load_settings
from pi_detector.config.outputs import WebSettings
from pi_detector.config.settings import Settings
from pi_detector.errors import SinkError
from pi_detector.records import status_record
from pi_detector.sinks.web.access import MOST_WRONG
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
            check=lambda text: load_settings(None, self.environ, self.overrides, text),
            metrics=lambda: (b"up 1\n", "text/plain; version=0.0.4"),
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


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Web]]:
    made: list[Web] = []

    def start(**options: Any) -> Web:
        web = Web(tmp_path, **options)
        web.sink.start()
        made.append(web)
        return web

    yield start
    for web in made:
        web.sink.close()


@pytest.fixture
def web(make: Callable[..., Web]) -> Web:
    return make()


@pytest.fixture
def guarded(make: Callable[..., Web]) -> Web:
    return make(token=TOKEN)


# --- who may see it


@pytest.mark.parametrize("path", PATHS)
def test_without_the_token_nothing_is_shown(guarded: Web, path: str) -> None:
    guarded.camera.frame()

    for headers in ({}, {"Cookie": "pi-detector=1.2.3"}, {"Authorization": "Basic eDp5"}):
        answer = guarded.ask(path, **headers)
        assert answer.status == (303 if path == "/" else 401)
        assert b"JFIF" not in answer.body


@pytest.mark.parametrize("path", PATHS)
def test_with_the_token_all_is_shown(guarded: Web, path: str) -> None:
    guarded.camera.frame()

    assert guarded.ask(path, Authorization=f"Bearer {TOKEN}").status == 200


def test_a_form_gives_a_cookie_that_scripts_and_other_sites_do_not_get(guarded: Web) -> None:
    answer = guarded.ask("/login", "POST", urlencode({"token": TOKEN}))

    assert (answer.status, answer.headers["Location"]) == (303, "/")
    cookie, *flags = answer.headers["Set-Cookie"].split("; ")
    assert {"HttpOnly", "SameSite=strict"} <= set(flags)
    assert TOKEN not in cookie
    assert guarded.ask("/api/overview", Cookie=cookie).status == 200


def test_wrong_tokens_are_told_and_then_refused(guarded: Web) -> None:
    for number in range(MOST_WRONG):
        form = urlencode({"token": f"wrong {number}"})
        assert guarded.ask("/login", "POST", form).headers["Location"] == "/login?wrong"

    right = guarded.ask("/login", "POST", urlencode({"token": TOKEN}))
    assert right.status == 429
    assert int(right.headers["Retry-After"]) > 0
    assert guarded.ask("/api/overview", Authorization=f"Bearer {TOKEN}").status == 429
    page = guarded.ask("/login", "POST", urlencode({"token": TOKEN}), Accept="text/html")
    assert (page.status, b"Too many wrong tokens" in page.body) == (429, True)


@pytest.mark.parametrize("path", ["/", "/login", "/static/main.js", "/api/overview", "/nowhere"])
def test_all_answers_forbid_foreign_scripts_frames_and_sniffing(web: Web, path: str) -> None:
    headers = web.ask(path).headers

    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", ""]
)
def test_other_names_for_this_machine_are_refused_where_there_is_no_token(
    web: Web, host: str
) -> None:
    for path in (*PATHS, "/login", "/healthz"):
        assert web.ask(path, Host=host).status == 421
    for own in ("localhost", "127.0.0.1:1", "[::1]:8080"):
        assert web.ask("/healthz", Host=own).status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://127.0.0.1:{port}"}, 200),
        ({"Sec_Fetch_Site": "same-origin"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
    ],
)
def test_other_pages_cannot_write(web: Web, headers: dict[str, str], status: int) -> None:
    sent = {name: value.format(port=web.port) for name, value in headers.items()}

    assert web.ask("/api/command", "POST", "reload", **sent).status == status
    assert web.commands == (["reload"] if status == 200 else [])


def test_bodies_are_bounded(web: Web) -> None:
    assert web.ask("/api/places", "PUT", "x" * 100_000).status == 413
    with closing(http.client.HTTPConnection("127.0.0.1", web.port, timeout=30)) as line:
        line.request("PUT", "/api/places", iter([b"x"] * 10), encode_chunked=True)
        assert line.getresponse().status == 413


def test_health_needs_no_token_and_tells_nothing_else(guarded: Web) -> None:
    assert (guarded.ask("/healthz").status, guarded.ask("/healthz").body) == (200, b"ok\n")
    guarded.well = False
    assert guarded.ask("/healthz").status == 503


def test_metrics_are_those_of_the_callable(web: Web) -> None:
    answer = web.ask("/metrics")

    assert answer.body == b"up 1\n"
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4"


# --- the live picture


def parts(stream: http.client.HTTPResponse) -> Iterator[bytes]:
    """The pictures of a multipart stream."""
    assert stream.readline() == b"--frame\r\n"
    while True:
        length = 0
        while (line := stream.readline().strip()) != b"":
            name, _, value = line.partition(b": ")
            length = int(value) if name == b"Content-Length" else length
        yield stream.read(length)
        assert stream.readline() == b"\r\n"
        assert stream.readline() == b"--frame\r\n"


def test_the_stream_shows_the_newest_frame(web: Web) -> None:
    with web.stream("/view.mjpeg") as stream:
        assert stream.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=frame"
        pictures = parts(stream)
        seen = []
        for _ in range(3):
            web.camera.frame()
            seen.append(next(pictures))

    images = [cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) for jpeg in seen]
    assert all(image.shape == (120, 160, 3) for image in images)
    assert len(set(seen)) == 3


def test_nothing_is_encoded_while_nobody_looks(web: Web) -> None:
    for _ in range(20):
        web.camera.frame()

    assert web.sink._view._picture is None
    assert web.ask("/view.jpg").body.startswith(b"\xff\xd8")
    assert web.sink._view._picture.number == 1


def test_one_encoding_serves_all_who_look(web: Web) -> None:
    with web.stream("/view.mjpeg") as one, web.stream("/view.mjpeg") as other:
        wait_for(lambda: web.sink._view.viewers == 2)
        web.camera.frame()
        assert next(parts(one)) == next(parts(other))
    assert web.sink._view._picture.number == 1


def test_viewers_are_bounded_and_leave_their_place(make: Callable[..., Web]) -> None:
    web = make(max_viewers=1)
    with web.stream("/view.mjpeg"):
        assert web.ask("/view.mjpeg").status == 503
        assert web.ask("/api/overview").json()["viewers"] == 1

    wait_for(lambda: web.ask("/view.mjpeg").status == 200)
    wait_for(lambda: web.sink._view.viewers == 0)


def test_who_does_not_read_slows_nobody(web: Web) -> None:
    with closing(socket.create_connection(("127.0.0.1", web.port))) as silent:
        silent.sendall(b"GET /view.mjpeg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        with web.stream("/view.mjpeg") as stream:
            pictures = parts(stream)
            for _ in range(100):
                web.camera.frame()
                next(pictures)


def test_before_the_first_frame_there_is_no_picture(web: Web) -> None:
    assert web.ask("/view.jpg").status == 503


# --- state and events


def messages(stream: http.client.HTTPResponse) -> Iterator[tuple[str, int, Any]]:
    fields: dict[str, str] = {}
    while line := stream.readline().decode():
        if line == "\n":
            yield fields["event"], int(fields["id"]), json.loads(fields["data"])
        else:
            name, _, value = line.rstrip("\n").partition(": ")
            fields[name] = value


def test_what_is_not_known_is_null(web: Web) -> None:
    found = web.ask("/api/overview").json()

    unknown = ("source", "source_state", "fps", "latency_ms", "dropped", "frame", "host", "model")
    assert all(found[name] is None for name in unknown)


def test_the_state_is_told(web: Web) -> None:
    web.camera.objects[1] = (40, 50, 80, 100)
    for _ in range(5):
        web.camera.frame()
    web.sink.handle(status_record("source", "demo", "stalled", reason="nothing came"))
    web.sink.handle(status_record("sink", "mqtt", "failed", reason="no broker"))

    found = web.ask("/api/overview").json()

    assert (found["source"], found["source_state"]) == ("demo", "stalled")
    assert found["latency_ms"] == {"p50": 3.0, "p90": 3.0, "p99": 3.0}
    assert found["found"] == {"person": 1}
    assert found["dropped"] == 0
    assert [trouble["name"] for trouble in found["troubles"]] == ["demo", "mqtt"]


def test_an_event_arrives_at_once_and_none_twice(web: Web) -> None:
    with web.stream("/api/live") as stream:
        told = messages(stream)
        assert next(told)[0] == "overview"
        web.camera.tell("first", "new")
        kind, number, event = next(message for message in told if message[0] == "event")
        assert (event["id"], event["going_on"]) == ("first", True)
    web.camera.tell("second", "new")

    with web.stream("/api/live", **{"Last-Event-ID": str(number)}) as stream:
        kind, _, event = next(messages(stream))
    assert (kind, event["id"]) == ("event", "second")


def test_without_recordings_the_events_of_this_run_are_listed(web: Web) -> None:
    for number in range(300):
        web.camera.tell(f"event-{number}", "end", label="car" if number % 2 else "person")

    page = web.ask("/api/events").json()
    assert not page["recorded"]
    assert len(page["events"]) == 200
    assert page["events"][0]["id"] == "event-299"
    cars = web.ask("/api/events?label=car").json()["events"]
    assert {event["label"] for event in cars} == {"car"}


# --- recordings


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    sink = started_sink(folder)
    camera = Camera(sink)
    for number in range(30):
        zones = ("door",) if number % 3 == 0 else ()
        short_event(camera, f"event-{number:02}", seconds=0.3, entered=zones)
        camera.frames(4)
    sink.close()
    return folder


@pytest.fixture
def recorded(make: Callable[..., Web], recordings: Path) -> Web:
    return make(recordings=recordings)


def test_recorded_events_are_listed_in_pages(recorded: Web) -> None:
    first = recorded.ask("/api/events").json()
    rest = recorded.ask(f"/api/events?{urlencode({'before': first['next']})}").json()

    ids = [event["id"] for event in first["events"] + rest["events"]]
    assert ids == [f"event-{number:02}" for number in reversed(range(30))]
    assert first["recorded"]
    assert rest["next"] is None
    assert first["labels"] == ["person"]


def test_recorded_events_are_filtered(recorded: Web) -> None:
    all_ = recorded.ask("/api/events").json()["events"]

    def ids(**query: str) -> list[str]:
        page = recorded.ask(f"/api/events?{urlencode(query)}").json()
        return [event["id"] for event in page["events"]]

    assert ids(zone="door") == [f"event-{number:02}" for number in reversed(range(0, 30, 3))]
    assert ids(label="car") == []
    assert ids(since=all_[0]["started"]) == ["event-29"]
    assert ids(until="2026-11-23T00:00:00Z") == []


@pytest.mark.parametrize(
    "query",
    [
        "since=yesterday",
        "since=2026-11-24T00:00:00",
        "before=x",
        "before=2026-01-01T00:00Z,x",
        "before=2026-01-01T00:00Z,99999999999999999999",
        "before=2026-01-01T00:00Z,-1",
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(recorded: Web, query: str) -> None:
    assert recorded.ask(f"/api/events?{query}").status == 400


def test_clips_are_played_from_any_place(recorded: Web, recordings: Path) -> None:
    event = recorded.ask("/api/events").json()["events"][-1]
    url = event["clips"][0]["url"]
    data = (recordings / url.removeprefix("/media/")).read_bytes()

    whole = recorded.ask(url)
    assert (whole.status, whole.headers["Content-Type"]) == (200, "video/mp4")
    assert whole.body == data
    part = recorded.ask(url, Range="bytes=10-19")
    assert (part.status, part.body) == (206, data[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(data)}"
    assert recorded.ask(url, Range=f"bytes={len(data)}-").status == 416
    assert recorded.ask(event["thumbnail"]).headers["Content-Type"] == "image/jpeg"


@pytest.mark.parametrize(
    "path",
    [
        "../index.sqlite",
        "%2e%2e/%2e%2e/etc/passwd",
        "..%2f..%2f..%2fetc%2fpasswd",
        "2026/11/24/../../../index.sqlite",
        "index.sqlite",
        ".lock",
        "/etc/passwd",
        "2026/11/24/event-00.json",
        "2026/11/24/none.mp4",
        "2026/11/24/event-00.mp4%00.jpg",
    ],
)
def test_nothing_else_can_be_fetched(recorded: Web, path: str) -> None:
    assert recorded.ask(f"/media/{path}").status == 404
    assert recorded.ask(f"/static/{path}").status in {404, 400}


def test_an_index_that_is_damaged_is_told(make: Callable[..., Web], tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "index.sqlite")) as database:
        database.execute("PRAGMA user_version = 99")

    answer = make(recordings=tmp_path).ask("/api/events")

    assert answer.status == 500
    assert "damaged" in answer.json()["error"]


# --- what is drawn


def save(web: Web, **places: Any) -> Answer:
    version = places.pop("version", web.ask("/api/places").json()["version"])
    tree = {"zones": {}, "lines": {}, "masks": {}, "version": version, **places}
    return web.ask("/api/places", "PUT", json.dumps(tree))


def test_what_is_drawn_is_saved_and_in_force(web: Web) -> None:
    answer = save(web, zones={"door": {"polygon": SQUARE, "labels": ["person"], "loiter_s": 5}})

    assert answer.status == 200
    assert web.commands == ["reload"]
    shown = web.ask("/api/places").json()
    assert shown["version"] == answer.json()["version"]
    assert shown["zones"]["door"]["polygon"] == SQUARE
    assert load_settings(None, web.environ, []).zones["door"].loiter_s == 5


@pytest.mark.parametrize(
    ("places", "status", "message"),
    [
        ({"zones": {"door": {"polygon": SQUARE[:2]}}}, 422, "3 points or more"),
        ({"zones": {"door": {"polygon": [[0, 0], [1, 1], [1, 0], [0, 1]]}}}, 422, "meets side"),
        ({"zones": {"door": {"polygon": [[0, 0], [2, 0], [1, 1]]}}}, 422, "each in 0..1"),
        ({"lines": {"kerb": {"points": SQUARE, "colour": "red"}}}, 422, "unknown setting"),
        ({"masks": {"tree": "x"}}, 422, "expected a list of points"),
        ({"zones": 3}, 422, "expected"),
        ({"zones": None}, 400, "not what is drawn"),
        ({"source": {}}, 422, "unknown field `source`"),
        ({"version": "old"}, 409, "changed meanwhile"),
    ],
)
def test_what_is_wrong_is_refused_and_changes_nothing(
    web: Web, places: dict[str, Any], status: int, message: str
) -> None:
    answer = save(web, **places)

    assert answer.status == status
    assert message in answer.json()["error"]
    assert str(web.folder) not in answer.json()["error"]
    assert not (web.folder / "drawn.toml").exists()
    assert web.commands == []


def test_what_the_command_line_overrides_is_not_saved(make: Callable[..., Web]) -> None:
    web = make(overrides=(f"zones.door.polygon={SQUARE}",))

    answer = save(web, zones={"gate": {"polygon": SQUARE}})

    assert answer.status == 409
    assert "command line of pi-detector sets zones" in answer.json()["error"]
    assert not (web.folder / "drawn.toml").exists()


def test_a_folder_that_cannot_be_written_is_told(make: Callable[..., Web], tmp_path: Path) -> None:
    web = make()
    (tmp_path / "drawn.toml").mkdir()

    answer = web.ask(
        "/api/places", "PUT", json.dumps({"version": web.ask("/api/places").json()["version"]})
    )

    assert answer.status == 507
    assert web.commands == []


# --- commands, life


def test_detection_is_paused_only_where_it_can_be(web: Web) -> None:
    assert web.ask("/api/command", "POST", "pause").status == 409
    assert web.ask("/api/command", "POST", "shutdown").status == 400
    assert web.commands == []

    state = status_record("model", "detection", "live")
    web.sink.handle(msgspec.structs.replace(state, part="detection"))  # type: ignore[arg-type]
    assert web.ask("/api/command", "POST", "pause").status == 200
    assert web.commands == ["pause"]


def test_a_port_that_is_taken_is_told_and_tried_again(tmp_path: Path) -> None:
    web = Web(tmp_path)
    with (
        socket.create_server(("127.0.0.1", web.port)),
        pytest.raises(SinkError, match=rf"port {web.port}: another program does; .* web\.port"),
    ):
        web.sink.start()

    web.sink.start()
    try:
        assert web.ask("/healthz").status == 200
    finally:
        web.sink.close()


def test_an_address_that_changes_moves_the_server_and_one_that_is_taken_does_not(web: Web) -> None:
    old, new = web.port, free_port()
    web.web = msgspec.structs.replace(web.web, port=new)
    web.sink.apply(web.settings(), [])
    web.port = new
    assert web.ask("/healthz").status == 200

    with socket.create_server(("127.0.0.1", old)):
        web.web = msgspec.structs.replace(web.web, port=old)
        with pytest.raises(SinkError):
            web.sink.apply(web.settings(), [])
    web.camera.frame()  # brings the server back where it was
    assert web.ask("/healthz").status == 200


def test_a_token_that_changes_needs_no_new_server(web: Web) -> None:
    with web.stream("/api/live") as stream:
        web.web = msgspec.structs.replace(web.web, token=TOKEN)
        web.sink.apply(web.settings(), [])
        assert next(messages(stream))[0] == "overview"
    assert web.ask("/api/overview").status == 401


def test_it_ends_in_time_while_people_look(tmp_path: Path) -> None:
    web = Web(tmp_path)
    web.sink.start()
    before = threading.active_count()
    with web.stream("/view.mjpeg"), web.stream("/api/live"):
        started_s = time.monotonic()
        web.sink.close()
        assert time.monotonic() - started_s < 4
    assert threading.active_count() < before


def test_a_reload_switches_it_on_moves_it_and_switches_it_off(tmp_path: Path) -> None:
    config, log, ports = tmp_path / "config.toml", tmp_path / "log", (free_port(), free_port())
    config.write_text("")
    command = [sys.executable, "-m", "pi_detector", "run", "--config", str(config), "--quiet"]
    with log.open("wb") as told:
        daemon = subprocess.Popen(
            [*command, "--source", "demo:"],
            stderr=told,
            env={**os.environ, "STATE_DIRECTORY": str(tmp_path)},
        )

    def ask(port: int, path: str, data: bytes | None = None) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", data, timeout=5) as answer:
            text: str = answer.read().decode()
            return text

    def answers(port: int) -> bool:
        try:
            return bool(ask(port, "/healthz"))
        except OSError:
            return False

    def reload(text: str) -> None:
        config.write_text(text)
        daemon.send_signal(signal.SIGHUP)

    try:
        wait_for(lambda: "demo: live" in log.read_text())
        reload(f"[web]\nenabled = true\nport = {ports[0]}\n")
        wait_for(lambda: answers(ports[0]))
        wait_for(lambda: "pi_detector_detections_total" in ask(ports[0], "/metrics"))
        wait_for(lambda: '"detection":"live"' in ask(ports[0], "/api/overview"))
        ask(ports[0], "/api/command", b"pause")
        wait_for(lambda: '"detection":"paused"' in ask(ports[0], "/api/overview"))
        reload(f"[web]\nenabled = true\nport = {ports[1]}\n")
        wait_for(lambda: answers(ports[1]) and not answers(ports[0]))
        reload("[web]\nenabled = true\nhost = '0.0.0.0'\n")
        wait_for(lambda: "set web.token" in log.read_text())
        assert answers(ports[1])
        reload("")
        wait_for(lambda: not answers(ports[1]))
    finally:
        daemon.terminate()
    assert daemon.wait(20) == 0
