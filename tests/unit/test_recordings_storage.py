"""Best views, names, limits, index: what is on the disk after events were recorded."""

from __future__ import annotations

import os
import sqlite3
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from recorded import (
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

from pi_detector.errors import RecordingInUseError, SinkError
from pi_detector.records import View
from pi_detector.sinks.recordings import retention as retention_module
from pi_detector.sinks.recordings.catalogue import Catalogue, keep_event
from pi_detector.sinks.recordings.filters import Filter
from pi_detector.sinks.recordings.index import Index
from pi_detector.sinks.recordings.layout import (
    Entry,
    is_event_path,
    is_media_path,
    read_sidecar,
    recordings_folder,
    safe_stem,
)
from pi_detector.sinks.recordings.retention import Retention
from pi_detector.sinks.recordings.sink import MOST_OPEN
from pi_detector.sinks.registry import make_recording_sinks

DAY = "2026/11/24"


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
    assert shapes(tmp_path)["best.thumb.jpg"] == (120, 160), "never scaled up"


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
    assert shapes(tmp_path) == {"a.thumb.jpg": (240, 320)}


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
    assert make_recording_sinks(settings(enabled=False), {}) == []
    (sink,) = make_recording_sinks(settings(path=str(tmp_path / "new")), {})
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


# Limits


def record_many(
    folder: Path, labels: list[str], wall: datetime = START, prefix: str = "e", **changes: object
) -> None:
    """Events without clips, an hour apart."""
    sink = started_sink(folder, clips=False, snapshots=False, **changes)
    camera = Camera(sink)
    for number, label in enumerate(labels):
        camera.wall = wall + timedelta(hours=number)
        camera.objects[1] = (40, 50, 80, 100)
        camera.frame()
        camera.tell(f"{prefix}{number}", "new", label=label)
        camera.tell(f"{prefix}{number}", "end", label=label, reason="gone")
    sink.close()


def ids(folder: Path) -> list[str]:
    return sorted(row.entry.event.id for row in rows(folder))


def size_of(folder: Path, wanted: list[str]) -> float:
    """What these events and their sidecars occupy, in GB."""
    sizes = [row.size + 4096 for row in rows(folder) if row.entry.event.id in wanted]
    return sum(sizes) / 1e9


@pytest.fixture
def trusted_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention_module, "clock_synchronized", lambda: True)


def tidied(folder: Path, now: datetime | None = None, **changes: object) -> int:
    catalogue = Catalogue(folder)
    try:
        return Retention(catalogue, settings(**changes)).tidy(now)
    finally:
        catalogue.close()


@pytest.mark.usefixtures("trusted_clock")
def test_old_events_go_and_each_label_has_its_own_age(tmp_path: Path) -> None:
    record_many(tmp_path, ["car", "person", "car", "person"])
    now = START + timedelta(days=10, hours=1.5)
    limits = {"max_age_days": 10, "keep_days": {"person": 20}}
    assert tidied(tmp_path, now, **limits) == 1
    assert ids(tmp_path) == ["e1", "e2", "e3"]
    assert tidied(tmp_path, START + timedelta(days=20, hours=2), **limits) == 2
    assert ids(tmp_path) == ["e3"]
    assert f"{DAY}/e3.json" in everything(tmp_path)
    assert f"{DAY}/e2.json" not in everything(tmp_path)
    assert tidied(tmp_path, START + timedelta(days=900), max_age_days=0) == 0


@pytest.mark.usefixtures("trusted_clock")
def test_a_kept_event_is_not_deleted_until_it_is_no_longer_kept(tmp_path: Path) -> None:
    record_many(tmp_path, ["car", "car"])
    index = Index(tmp_path, write=True)
    keep_event(tmp_path, index, f"{DAY}/e0", True)
    assert tidied(tmp_path, START + timedelta(days=900), max_age_days=1) == 1
    assert tidied(tmp_path, START + timedelta(days=900), max_gb=1e-9) == 0
    assert ids(tmp_path) == ["e0"]
    keep_event(tmp_path, index, f"{DAY}/e0", False)
    index.close()
    assert tidied(tmp_path, START + timedelta(days=900), max_age_days=1) == 1
    assert list(everything(tmp_path)) == [".lock", "index.sqlite"]
    assert not (tmp_path / "2026").exists(), "folders of days go with their last event"


def test_a_mark_made_by_hand_counts(tmp_path: Path) -> None:
    record_many(tmp_path, ["car"] * 3)
    (tmp_path / DAY / "e0.keep").touch()
    assert tidied(tmp_path, START, max_gb=1e-9) == 2
    assert ids(tmp_path) == ["e0"]
    (tmp_path / DAY / "e0.keep").unlink()
    started_sink(tmp_path).close()
    assert not rows(tmp_path)[0].keep
    (tmp_path / DAY / "e0.keep").touch()
    started_sink(tmp_path).close()
    assert rows(tmp_path)[0].keep


def test_above_the_size_the_oldest_go(tmp_path: Path) -> None:
    record_many(tmp_path, ["car"] * 6)
    limit = size_of(tmp_path, ["e3", "e4", "e5"])
    assert tidied(tmp_path, START, max_gb=limit) == 3
    assert ids(tmp_path) == ["e3", "e4", "e5"]


def test_above_the_size_what_is_to_be_kept_longer_goes_later(tmp_path: Path) -> None:
    record_many(tmp_path, ["person", "car", "car", "person"])
    limit = size_of(tmp_path, ["e0", "e3"])
    limits = {"max_age_days": 1.0, "keep_days": {"person": 100.0}}
    now = START + timedelta(hours=5)
    assert tidied(tmp_path, now, max_gb=limit, **limits) == 2
    assert ids(tmp_path) == ["e0", "e3"]


def test_what_is_to_stay_free_stays_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record_many(tmp_path, ["car"] * 4)
    free = iter([10, 20, 300] + [10] * 99)
    monkeypatch.setattr(retention_module, "free_bytes", lambda _: next(free) * 10**6)
    assert tidied(tmp_path, START, min_free_mb=100) == 2
    assert ids(tmp_path) == ["e2", "e3"]
    catalogue = Catalogue(tmp_path)
    with pytest.raises(SinkError, match=r"10 MB are free, and 100 MB are to stay free.*make room"):
        Retention(catalogue, settings(min_free_mb=100)).make_room()
    catalogue.close()
    assert ids(tmp_path) == []


def test_a_pass_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record_many(tmp_path, ["car"] * 7)
    monkeypatch.setattr(retention_module, "MOST_DELETIONS", 3)
    assert [tidied(tmp_path, START, max_gb=1e-9) for _ in range(4)] == [3, 3, 1, 0]


def test_a_clip_that_two_events_share_goes_with_the_second(tmp_path: Path) -> None:
    sink = started_sink(tmp_path)
    camera = Camera(sink)
    camera.frames(1)
    camera.tell("a", "new")
    camera.tell("b", "new", 2)
    camera.frames(1)
    camera.tell("a", "end", reason="gone")
    camera.tell("b", "end", 2, reason="gone")
    sink.close()
    catalogue = Catalogue(tmp_path)
    catalogue.delete(f"{DAY}/a")
    assert f"{DAY}/a.mp4" in everything(tmp_path)
    catalogue.close()
    (b,) = rows(tmp_path)
    assert play(tmp_path / clips(b)[0]).numbers
    sink = started_sink(tmp_path)  # also after a start
    sink.close()
    assert clips(rows(tmp_path)[0]) == [f"{DAY}/a.mp4"]
    catalogue = Catalogue(tmp_path)
    catalogue.delete(f"{DAY}/b")
    catalogue.close()
    assert list(everything(tmp_path)) == [".lock", "index.sqlite"]


def test_a_clock_that_is_not_set_ages_only_what_it_dated_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention_module, "clock_synchronized", lambda: False)
    record_many(tmp_path, ["car"])
    at_boot = datetime(1970, 1, 1, 0, 1, tzinfo=UTC)
    sink = started_sink(tmp_path, clips=False)
    camera = Camera(sink, wall=at_boot)
    for name in ("boot1", "boot2"):
        short_event(camera, name, clock_synchronized=False)
    sink.close()
    far = datetime(2090, 1, 1, tzinfo=UTC)
    assert tidied(tmp_path, far, max_age_days=30) == 2
    assert ids(tmp_path) == ["e0"]


@pytest.mark.usefixtures("trusted_clock")
def test_events_of_before_the_clock_was_set_are_as_old_as_what_followed(tmp_path: Path) -> None:
    sink = started_sink(tmp_path, clips=False)
    camera = Camera(sink, wall=datetime(1970, 1, 1, 0, 1, tzinfo=UTC))
    short_event(camera, "boot", clock_synchronized=False)
    camera.wall = START
    short_event(camera, "after")
    sink.close()
    for _ in range(2):
        assert tidied(tmp_path, START + timedelta(days=29), max_age_days=30) == 0
        (tmp_path / "index.sqlite").unlink()  # and so after the index was lost
        started_sink(tmp_path, clips=False).close()
    assert tidied(tmp_path, START + timedelta(days=31), max_age_days=30) == 2


# Index


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    record_many(tmp_path, ["car"] * 2)
    foreign = {
        "notes.txt": "a",
        f"{DAY}/holiday.mp4": "b",
        f"{DAY}/x.json": "{}",
        f"{DAY}/.editor.swp.part": "c",
        f"{DAY}/e0.mp4.bak": "d",
        "2026/11/readme": "e",
        "abcd/ef/gh/x.jpg": "f",
    }
    for name, text in foreign.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "2025").symlink_to("/etc")
    started_sink(tmp_path, max_gb=1e-9).close()
    assert ids(tmp_path) == []
    assert {name: (tmp_path / name).read_text() for name in foreign} == foreign
    assert (tmp_path / "2025").is_symlink()


def test_a_lost_index_is_made_anew(tmp_path: Path) -> None:
    record_many(tmp_path, ["car", "person", "car"])
    index = Index(tmp_path, write=True)
    keep_event(tmp_path, index, f"{DAY}/e1", True)
    index.close()
    before = rows(tmp_path)
    (tmp_path / "index.sqlite").unlink()
    started_sink(tmp_path, clips=False).close()
    assert rows(tmp_path) == before


@pytest.mark.parametrize("damage", ["garbage", "empty", "torn", "version", "foreign", "page"])
def test_a_damaged_index_is_set_aside_and_made_anew(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    record_many(tmp_path, ["car", "person", "car"] * 15)
    before = rows(tmp_path)
    path = tmp_path / "index.sqlite"
    data = path.read_bytes()
    if damage == "garbage":
        path.write_bytes(os.urandom(8192))
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "torn":
        path.write_bytes(data[: len(data) // 2 // 4096 * 4096])
    elif damage == "page":
        path.write_bytes(data[:8192] + os.urandom(4096) + data[12288:])
    else:
        path.unlink()
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE t (x)")
            if damage == "version":
                database.execute("PRAGMA user_version = 99")
        database.close()
    started_sink(tmp_path, clips=False).close()
    assert rows(tmp_path) == before
    if damage != "empty":  # SQLite takes that for a new one
        assert "set aside as index.damaged.sqlite" in caplog.text
        assert (tmp_path / "index.damaged.sqlite").exists()


def test_rows_whose_files_vanished_are_dropped(tmp_path: Path) -> None:
    record_many(tmp_path, ["car"] * 4)
    (tmp_path / DAY / "e0.thumb.jpg").unlink()
    for path in (tmp_path / DAY).glob("e1*"):
        path.unlink()
    (tmp_path / DAY / "e2.json").unlink()  # the row knows what it said
    started_sink(tmp_path, clips=False).close()
    assert ids(tmp_path) == ["e2", "e3"]
    assert read_sidecar(tmp_path, f"{DAY}/e2") is not None
    for path in (tmp_path / DAY).iterdir():
        path.unlink()
    (tmp_path / DAY).rmdir()
    started_sink(tmp_path, clips=False).close()
    assert ids(tmp_path) == []


def test_a_sidecar_that_names_files_elsewhere_is_not_trusted(tmp_path: Path) -> None:
    victim = tmp_path / "victim.mp4"
    victim.write_text("precious")
    root = tmp_path / "recordings"
    record_many(root, ["car"] * 2)
    entry = read_sidecar(root, f"{DAY}/e0")
    assert entry is not None
    outside = [msgspec.structs.replace(entry.files[0], path="../victim.mp4")]
    for name, changes in {
        "evil1": {"files": outside},
        "evil2": {"path": "../../../etc/x"},
        "evil3": {"path": f"{DAY}/e0"},
    }.items():
        evil = msgspec.structs.replace(entry, **{"path": f"{DAY}/{name}", **changes})
        (root / DAY / f"{name}.json").write_bytes(msgspec.json.encode(evil))
    (root / DAY / "huge.json").write_bytes(b"[" * 10**6)
    (root / DAY / "empty.json").write_bytes(b"")
    started_sink(root, clips=False, max_gb=1e-9).close()
    assert victim.read_text() == "precious"
    assert ids(root) == []


def test_readers_see_whole_events_while_they_are_written(tmp_path: Path) -> None:
    sink = started_sink(tmp_path, clips=False, max_gb=2e-5)
    camera = Camera(sink)
    short_event(camera, "first")
    sink._disk.drain(10)
    seen, faults = 0, []
    stop = threading.Event()

    def read() -> None:
        nonlocal seen
        while not stop.is_set():
            index = Index(tmp_path)
            for row in index.select(Filter()):
                seen += 1
                if not row.entry.files:
                    faults.append(row)
            index.close()

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(30):
        short_event(camera, f"e{number}", seconds=0.2)
    sink.close()
    stop.set()
    reader.join()
    assert seen
    assert not faults
    assert len(rows(tmp_path)) < 31, "and the limit of size was in force"


def test_filters(tmp_path: Path) -> None:
    record_many(tmp_path, ["car", "person", "car"])

    def found(**wanted: object) -> list[str]:
        return [row.entry.event.id for row in rows(tmp_path, **wanted)]

    assert found() == ["e2", "e1", "e0"]
    assert found(limit=1) == ["e2"]
    assert found(labels=("person", "bus")) == ["e1"]
    assert found(since=START + timedelta(minutes=30)) == ["e2", "e1"]
    assert found(until=START + timedelta(minutes=90)) == ["e1", "e0"]
    assert found(keys=("e1",)) == ["e1"]
    assert found(keys=("e",)) == ["e2", "e1", "e0"]
    assert found(keys=(f"{DAY}/e0",)) == ["e0"]
    assert found(keys=("%", "_")) == []
    assert found(kept=True) == []


def test_entries_survive_json() -> None:
    sample = Camera(None).record("a", "end")  # type: ignore[arg-type]
    entry = Entry(event=sample, number=3, path=f"{DAY}/a")
    assert msgspec.json.decode(msgspec.json.encode(entry), type=Entry) == entry
