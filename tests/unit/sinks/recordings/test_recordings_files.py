"""Files of recorded events: pictures of the best view, names, and the folder they are in."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from recorded import (
    DAY,
    START,
    Camera,
    clips,
    everything,
    play,
    rows,
    settings,
    short_event,
    started_sink,
)

from pi_detector.core.result import View
from pi_detector.errors import RecordingInUseError, SinkError
from pi_detector.sinks.recordings.layout import (
    is_event_path,
    is_media_path,
    safe_stem,
)
from pi_detector.sinks.recordings.sink import MOST_OPEN
from pi_detector.sinks.registry import make_recording_sinks
from pi_detector.util.paths import recordings_folder


def shapes(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.name: cv2.imread(str(path)).shape[:2] for path in sorted(folder.rglob("*.jpg"))}


# Best views


def test_the_pictures_are_of_the_best_view(tmp_path: Path) -> None:
    sink = started_sink(tmp_path, clips=False)
    camera = Camera(sink)
    boxes = [(0, 30, 60, 119), (50, 40, 120, 110), (90, 30, 159, 119)]
    for number, box in enumerate(boxes):
        camera.objects[1] = box
        view = View("best", tuple(map(float, box)), 0.9)
        camera.frame(views=(view,) if number < 2 else ())
        camera.tell("best", "update" if number else "new", zones=("door",))
    camera.tell("best", "end", reason="gone")
    sink.close()

    clean = cv2.imread(str(tmp_path / DAY / "best.clean.jpg"))
    boxed = cv2.imread(str(tmp_path / DAY / "best.jpg"))
    blue, _, red = clean[100, 55].astype(int)
    assert red - blue > 90, "the frame in which the object is at 50, 40"
    assert abs(int(clean[39, 60, 1]) - 90) < 25
    assert np.abs(boxed.astype(int) - clean.astype(int)).max() > 100, "with its box"
    assert shapes(tmp_path)["best.thumb.jpg"] == (112, 149), "a crop, never scaled up"


def test_an_event_without_a_best_view_has_the_picture_of_its_begin(tmp_path: Path) -> None:
    sink = started_sink(tmp_path, clips=False)
    camera = Camera(sink)
    camera.objects[1] = (0, 0, 159, 119)
    camera.frame()
    camera.tell("close", "new")
    camera.tell("close", "end", reason="gone")
    sink.close()
    assert len(shapes(tmp_path)) == 3


def test_a_thumbnail_is_small(tmp_path: Path) -> None:
    sink = started_sink(tmp_path, clips=False, snapshots=False)
    camera = Camera(sink, size=(1280, 960))
    short_event(camera, "a")
    sink.close()
    assert shapes(tmp_path) == {"a.thumb.jpg": (192, 256)}


def test_events_that_never_end_do_not_pile_up(tmp_path: Path) -> None:
    sink = started_sink(tmp_path, clips=False)
    camera = Camera(sink)
    for number in range(MOST_OPEN + 3):
        camera.objects = {number: (40, 50, 80, 100)}
        camera.frame()
        camera.tell(f"e{number:02d}", "new", number)
    sink._disk.drain(10)
    assert sorted(row.entry.event.id for row in rows(tmp_path)) == ["e00", "e01", "e02"]
    assert all(row.entry.interrupted for row in rows(tmp_path))
    sink.close()
    assert len(rows(tmp_path)) == MOST_OPEN + 3


def test_an_event_whose_beginning_was_lost_is_recorded(tmp_path: Path) -> None:
    sink = started_sink(tmp_path)
    camera = Camera(sink)
    camera.objects[1] = (40, 50, 80, 100)
    camera.frames(3)
    camera.tell("a", "update")
    camera.frames(1)
    camera.tell("a", "end", reason="gone")
    sink.close()
    (row,) = rows(tmp_path)
    assert [media.kind for media in row.entry.files] == ["clip", "thumbnail", "snapshot", "clean"]


# Names


@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=300))
def test_any_id_becomes_a_name_inside_the_folder(event_id: str) -> None:
    stem = safe_stem(event_id)
    assert is_event_path(f"{DAY}/{stem}")
    assert is_media_path(f"{DAY}/{stem}.mp4")
    assert len(os.fsencode(stem)) <= 100


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../x.mp4", f"{DAY}/../../x.mp4", f"{DAY}/.x.mp4", f"{DAY}/x.mp4\n", "x.jpg",
     f"{DAY}/x.sh", f"{DAY}/a/x.mp4", f"{DAY}/x.2.3.mp4", "٢٠٢٦/11/24/x.mp4", ""],
)  # fmt: skip
def test_other_paths_are_not_ours(path: str) -> None:
    assert not is_media_path(path)
    assert not is_event_path(path)


@pytest.mark.parametrize("hostile", ["../../etc/cron.d/x", "/etc/passwd", "a\0b", "..", "a" * 500])
def test_hostile_names_stay_in_the_folder(tmp_path: Path, hostile: str) -> None:
    root = tmp_path / "recordings"
    sink = started_sink(root)
    camera = Camera(sink, source=hostile)
    camera.frames(1)
    short_event(camera, hostile, label=hostile, entered=(hostile,), zones=(hostile,))
    sink.close()
    (row,) = rows(root, labels=(hostile,))
    assert row.entry.event.source == hostile
    assert play(root / clips(row)[0]).numbers
    assert list(tmp_path.iterdir()) == [root]
    for name in everything(root):
        assert name.startswith((f"{DAY}/", ".lock", "index.sqlite"))


def test_the_same_id_or_a_clock_that_jumps_back_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / DAY).mkdir(parents=True)
    foreign = tmp_path / DAY / "a.mp4"
    foreign.write_text("somebody's")
    for _ in range(2):  # a second run, at the same wall time
        sink = started_sink(tmp_path)
        camera = Camera(sink)
        camera.frames(1)
        short_event(camera, "a")
        camera.wall = START - timedelta(days=2, seconds=camera.at_s)
        short_event(camera, "a")
        camera.wall = START - timedelta(seconds=camera.at_s)
        short_event(camera, "a", 2)
        sink.close()
    assert foreign.read_text() == "somebody's"
    found = rows(tmp_path)
    assert len({row.entry.path for row in found}) == len(found) == 6
    paths = {path for row in found for path in clips(row)}
    for path in paths:
        assert play(tmp_path / path).numbers
    assert sorted(row.entry.number for row in found) == list(range(1, 7))


def test_the_folder_of_the_recordings(tmp_path: Path) -> None:
    assert recordings_folder("/srv/x", {"STATE_DIRECTORY": "/y"}) == Path("/srv/x")
    assert recordings_folder("", {"STATE_DIRECTORY": "/a:/b"}) == Path("/a/recordings")
    assert recordings_folder("", {"XDG_DATA_HOME": "/d"}) == Path("/d/pi-detector/recordings")
    home = Path.home() / ".local/share/pi-detector/recordings"
    assert recordings_folder("", {}) == home
    with pytest.raises(SinkError, match="no such home folder"):
        recordings_folder("~nobody-of-that-name/x", {})


def test_the_settings_make_the_sink(tmp_path: Path) -> None:
    assert make_recording_sinks(settings(enabled=False), {}, print, lambda: True) == []
    (sink,) = make_recording_sinks(settings(path=str(tmp_path / "new")), {}, print, lambda: True)
    assert sink is not None
    sink.start()
    sink.close()
    assert (tmp_path / "new" / "index.sqlite").exists()


def test_a_folder_has_one_recorder(tmp_path: Path) -> None:
    sink = started_sink(tmp_path)
    with pytest.raises(RecordingInUseError, match="another pi-detector records there"):
        started_sink(tmp_path)
    sink.close()
    started_sink(tmp_path).close()
