"""The list of events, one of them, and what a viewer does with it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from page_client import TOKEN, Web
from recorded import Camera, short_event, started_sink

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Three events; the object of the last one walks through the frame."""
    folder = tmp_path / "recordings"
    sink = started_sink(folder)
    camera = Camera(sink)
    for number in range(2):
        short_event(camera, f"event-{number}", seconds=0.3, entered=("door",) if number else ())
        camera.frames(4)
    camera.objects[7] = (0, 50, 30, 100)
    camera.frame()
    camera.tell("walk", "new", 7)
    for left in range(5, 125, 10):
        camera.objects[7] = (left, 50, left + 30, 100)
        camera.frame()
    del camera.objects[7]
    camera.tell("walk", "end", 7, reason="gone")
    sink.close()
    return folder


@pytest.fixture
def recorded(make: Callable[..., Web], recordings: Path) -> Web:
    return make(recordings=recordings)


def listed(web: Web) -> dict[str, int]:
    """The ids of the events, the latest first, with their flags."""
    found = web.ask("/api/v1/review").json()
    return dict(zip(found["id"], found["flags"], strict=True))


def test_all_events_are_listed_in_columns(recorded: Web) -> None:
    found = recorded.ask("/api/v1/review").json()

    assert found["id"] == ["walk", "event-1", "event-0"]
    assert [found["labels"][at] for at in found["label"]] == ["person"] * 3
    assert [found["zones"][at] for at in found["zone"]] == [[], ["door"], []]
    assert (found["recorded"], found["earlier"]) == (True, None)
    assert recorded.ask("/api/v1/review?before=2").json()["id"] == ["event-0"]


def test_an_event_has_its_track_and_its_neighbours(recorded: Web) -> None:
    event = recorded.ask("/api/v1/events/walk").json()

    xs = [x for _, x, _ in event["track"]]
    assert xs == sorted(xs)
    assert xs[0] < 0.15
    assert xs[-1] > 0.75
    assert all(abs(y - 100 / 120) < 0.01 for _, _, y in event["track"])
    assert (event["older"], event["newer"]) == ("event-1", None)
    assert recorded.ask(event["clean"]).body.startswith(b"\xff\xd8")
    assert recorded.ask("/api/v1/events/other").status == 404


def test_an_event_is_kept_and_reviewed(recorded: Web) -> None:
    change = json.dumps({"kept": True, "reviewed": True})
    assert recorded.ask("/api/v1/events/event-1", "PATCH", change, **JSON).status == 200
    assert listed(recorded) == {"walk": 0, "event-1": 3, "event-0": 0}

    marks = json.dumps({"ids": ["walk", "event-0", "unknown"], "reviewed": True})
    assert recorded.ask("/api/v1/review", "POST", marks, **JSON).status == 200
    assert listed(recorded) == {"walk": 2, "event-1": 3, "event-0": 2}
    assert recorded.ask("/api/v1/events/walk").json()["reviewed"]

    change = json.dumps({"kept": False, "reviewed": False})
    assert recorded.ask("/api/v1/events/event-1", "PATCH", change, **JSON).status == 200
    assert listed(recorded) == {"walk": 2, "event-1": 0, "event-0": 2}
    assert recorded.ask("/api/v1/events/other", "PATCH", change, **JSON).status == 404


def test_a_deleted_event_is_gone_with_its_files(recorded: Web, recordings: Path) -> None:
    short_event(recorded.camera, "event-1")  # the page knows it of this run, too

    assert recorded.ask("/api/v1/events/event-1", "DELETE").status == 200

    assert list(listed(recorded)) == ["walk", "event-0"]
    assert not list(recordings.rglob("event-1*"))
    assert recorded.ask("/api/v1/events/event-1").status == 404
    assert recorded.ask("/api/v1/events/event-1", "DELETE").status == 404


def test_a_damaged_file_of_marks_means_none(recorded: Web, recordings: Path) -> None:
    for damaged in (b"", b"[[1,", b'[["x", 1]]', b"\xff", b"[[-1, 5]]"):
        (recordings / "reviewed.json").write_bytes(damaged)
        assert set(listed(recorded).values()) == {0}


def test_an_event_of_this_run_has_a_crop_around_its_object(web: Web) -> None:
    web.camera.objects[1] = (100, 60, 120, 90)
    web.camera.frame()
    web.camera.tell("now", "new", 1)

    answer = web.ask("/api/v1/events/now/thumbnail.jpg")

    crop = cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_COLOR)
    assert crop.shape[1] < 80
    red = (crop[..., 2].astype(int) - crop[..., 0]) > 90
    assert red.mean() > 0.15, "the object fills a good part of it"
    assert listed(web) == {"now": 4}
    assert web.ask("/api/v1/events/other/thumbnail.jpg").status == 404


def test_pages_lists_and_scripts_are_compressed_for_those_that_read_gzip(web: Web) -> None:
    for path in ("/review", "/static/main.js", "/static/style.css"):
        plain = web.ask(path)
        packed = web.ask(path, Accept_Encoding="br, gzip")
        assert "Content-Encoding" not in plain.headers
        assert packed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed.body) == plain.body
        again = web.ask(path, If_None_Match=packed.headers["ETag"])
        assert (again.status, again.body) == (304, b"")


def test_the_page_weighs_little(web: Web) -> None:
    static = Path(__file__).parents[3] / "pi_detector/sinks/web/static"
    names = [path.name for path in static.iterdir() if path.suffix in {".js", ".css", ".svg"}]
    paths = ["/", *(f"/static/{name}" for name in names)]
    assert sum(len(web.ask(path, Accept_Encoding="gzip").body) for path in paths) < 90_000


@pytest.mark.parametrize("path", ["/review", "/events/20261124T020304Z-abcd-1", "/zones"])
def test_a_login_leads_to_the_page_that_was_wanted(guarded: Web, path: str) -> None:
    login = guarded.ask(path).headers["Location"]
    assert login.startswith("/login?next=%2F")
    form = f"token={TOKEN}&next={login.partition('=')[2]}"
    assert guarded.ask("/login", "POST", form).headers["Location"] == path


@pytest.mark.parametrize(
    "path", ["https://evil.example/", "//evil.example", "/\\evil", "/media/x", ""]
)
def test_a_login_leads_nowhere_else(guarded: Web, path: str) -> None:
    form = f"token={TOKEN}&next={path}"
    assert guarded.ask("/login", "POST", form).headers["Location"] == "/"


def test_the_stream_without_boxes_says_what_was_detected(web: Web) -> None:
    with web.stream("/view.mjpeg?boxes=off") as stream:
        web.camera.objects[1] = (40, 60, 80, 120)
        web.camera.frame()
        stream.readline()
        head = {}
        while (line := stream.readline().strip()) != b"":
            name, _, value = line.decode("ascii").partition(": ")
            head[name] = value
        found = json.loads(head["X-Detections"])
        jpeg = stream.read(int(head["Content-Length"]))
    assert jpeg.startswith(b"\xff\xd8")
    assert found["frame"] == [160, 120]
    assert found["found"] == [["person", 0.8, 1, 0.25, 0.5, 0.5, 1.0]]
