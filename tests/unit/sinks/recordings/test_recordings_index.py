"""The index of the recordings: made anew when it is lost or damaged, and asked."""

from __future__ import annotations

import os
import sqlite3
import threading
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from recorded import DAY, START, Camera, ids, record_many, rows, short_event, started_sink

from pi_detector.sinks.recordings.catalogue import keep_event
from pi_detector.sinks.recordings.filters import Filter
from pi_detector.sinks.recordings.index import Index
from pi_detector.sinks.recordings.layout import Entry, read_sidecar


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
