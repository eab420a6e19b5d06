"""Several detectors on one page, one of them dead, one in another version."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from page_client import TOKEN, Web, free_port
from recorded import record_many

from pi_detector.config.cameras import CameraSettings
from pi_detector.config.load import load_settings
from pi_detector.errors import ConfigError

PATH = "/api/v1/cameras"


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a camera that takes connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


@pytest.fixture
def garden(make: Callable[..., Web], tmp_path: Path) -> Web:
    folder = tmp_path / "garden"
    folder.mkdir()
    record_many(folder, ["person", "car", "person"], clips=True)
    return make(recordings=folder, token=TOKEN)


def at(address: str, token: str = TOKEN) -> CameraSettings:
    return CameraSettings(url=address, token=token)


def porch_of(make: Callable[..., Web], **cameras: CameraSettings) -> Web:
    return make(cameras=cameras)


def local(web: Web) -> str:
    return f"http://127.0.0.1:{web.port}/"


def test_state_and_picture_come_through_this_server(make: Callable[..., Web], garden: Web) -> None:
    garden.camera.frame()
    porch = porch_of(make, garden=at(local(garden)))
    assert porch.ask(PATH).json() == [{"name": "garden", "page": local(garden)}]
    assert porch.ask(f"{PATH}/garden/overview").json()["frame"]
    picture = porch.ask(f"{PATH}/garden/view.jpg")
    assert (picture.status, picture.body[:2]) == (200, b"\xff\xd8")
    assert porch.ask(f"{PATH}/street/overview").status == 404


def test_events_are_merged_and_their_files_fetched(make: Callable[..., Web], garden: Web) -> None:
    porch = porch_of(make, garden=at(local(garden)))
    page = porch.ask(f"{PATH}/events").json()
    assert (len(page["events"]), page["missing"], page["until"]) == (3, [], None)
    assert {event["camera"] for event in page["events"]} == {"garden"}
    started = [event["started"] for event in page["events"]]
    assert started == sorted(started, reverse=True)
    clip = page["events"][0]["clips"][0]["url"]
    assert clip.startswith(f"{PATH}/garden/media/")
    whole = porch.ask(clip)
    part = porch.ask(clip, Range="bytes=4-7")
    assert (part.status, part.body) == (206, whole.body[4:8])
    assert part.headers["Content-Type"] == "video/mp4"
    assert porch.ask(f"{PATH}/garden/media/../../etc/passwd").status == 404
    assert porch.ask(f"{PATH}/garden/media/2026/x.txt").status == 404


def test_a_dead_one_does_not_slow_the_others(
    make: Callable[..., Web], garden: Web, silent: str
) -> None:
    porch = porch_of(
        make, garden=at(local(garden)), dead=at(f"http://127.0.0.1:{free_port()}/"), mute=at(silent)
    )
    stuck = [threading.Thread(target=porch.ask, args=(f"{PATH}/mute/overview",)) for _ in range(20)]
    for thread in stuck:
        thread.start()
    begun_s = time.monotonic()
    for _ in range(5):
        assert porch.ask(f"{PATH}/garden/overview").status == 200
        assert porch.ask("/api/v1/overview").status == 200
        assert porch.ask(f"{PATH}/dead/overview").status == 502
    assert time.monotonic() - begun_s < 2.5
    page = porch.ask(f"{PATH}/events").json()
    assert len(page["events"]) == 3
    assert [words.split(":")[0] for words in page["missing"]] == ["dead", "mute"]
    for thread in stuck:
        thread.join()


def test_a_wrong_token_is_named_and_never_shown(make: Callable[..., Web], garden: Web) -> None:
    porch = porch_of(make, garden=at(local(garden), "incorrect-secret"))
    refused = porch.ask(f"{PATH}/garden/overview")
    assert (refused.status, "refuses the token" in refused.json()["error"]) == (502, True)
    for path in (PATH, f"{PATH}/events", "/api/v1/settings"):
        assert b"incorrect-secret" not in porch.ask(path).body


class Hostile(BaseHTTPRequestHandler):
    """A server that answers what no detector does."""

    answers: ClassVar[dict[str, tuple[int, bytes, dict[str, str]]]] = {}

    def do_GET(self) -> None:
        status, body, headers = self.answers.get(self.path.split("?")[0], (404, b"", {}))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hostile() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Hostile)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_a_hostile_one_harms_nobody(make: Callable[..., Web], hostile: str, garden: Web) -> None:
    card: dict[str, Any] = {
        "id": "x", "label": "<b>", "score": 1, "started": "2026-12-01T00:00:00Z", "duration_s": 1,
        "zones": [], "going_on": False, "stationary": False, "thumbnail": "https://evil.example/x",
        "clips": [{"url": "//evil.example/x", "duration_s": 1, "offset_s": 0}],
    }  # fmt: skip
    events = json.dumps({"recorded": True, "events": [card], "labels": []}).encode()
    Hostile.answers = {
        "/api/v1/events": (200, events, {}),
        "/api/v1/overview": (200, b'{"version": 1}', {}),
        "/view.jpg": (302, b"", {"Location": f"{local(garden)}view.jpg"}),
        "/media/2026/12/01/x.jpg": (200, b"<script>", {"Content-Type": "text/html"}),
    }
    porch = porch_of(make, evil=at(hostile))
    assert porch.ask(f"{PATH}/evil/overview").status == 502
    assert porch.ask(f"{PATH}/evil/view.jpg").status == 502  # no redirection is followed
    (event,) = porch.ask(f"{PATH}/events").json()["events"]
    assert (event["thumbnail"], event["clips"]) == (None, [])
    Hostile.answers["/view.jpg"] = (200, b"\xff" * 5_000_000, {})
    assert porch.ask(f"{PATH}/evil/view.jpg").status == 502


@pytest.mark.parametrize(
    "url", ["", "garden", "ftp://x/", "http://u:geheim@x/", "http://x/path", "http://x/?a=1"]
)
def test_an_address_that_makes_no_sense_is_refused(url: str) -> None:
    override = f'web.cameras.garden.url="{url}"'
    with pytest.raises(ConfigError, match=r"web\.cameras\.garden") as raised:
        load_settings(None, {}, ["web.enabled=true", override])
    assert "geheim" not in str(raised.value)
