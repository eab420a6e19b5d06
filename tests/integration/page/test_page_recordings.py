"""The gallery of recorded events, and their files."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode

import pytest
from page_client import Web
from recorded import Camera, short_event, started_sink


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


def test_a_link_in_the_folder_is_not_followed(make: Callable[..., Web], tmp_path: Path) -> None:
    (tmp_path / "2026/11/25").mkdir(parents=True)
    (tmp_path / "2026/11/24").symlink_to(tmp_path / "2026/11/25")
    (tmp_path / "2026/11/25/a.mp4").symlink_to("/etc/hostname")
    os.mkfifo(tmp_path / "2026/11/25/b.mp4")
    (tmp_path / "2026/11/25/c.mp4").write_bytes(b"video")
    page = make(recordings=tmp_path)
    assert page.ask("/media/2026/11/25/c.mp4").body == b"video"
    assert page.ask("/media/2026/11/25/a.mp4").status == 404
    assert page.ask("/media/2026/11/25/b.mp4").status == 404
    assert page.ask("/media/2026/11/24/c.mp4").status == 404


def test_an_index_that_is_damaged_is_told(make: Callable[..., Web], tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "index.sqlite")) as database:
        database.execute("PRAGMA user_version = 99")

    answer = make(recordings=tmp_path).ask("/api/events")

    assert answer.status == 500
    assert "damaged" in answer.json()["error"]
