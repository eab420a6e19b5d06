"""A disk that is full, for real, and comes back."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from recorded import Camera, clips, everything, play, rows, short_event, started_sink
from where import SUPPORT

from pi_detector.errors import SinkError
from pi_detector.sinks.recordings import clipfile
from pi_detector.sinks.recordings import disk as disk_module
from pi_detector.sinks.recordings import sink as sink_module
from pi_detector.sinks.recordings.disk import DiskThread
from pi_detector.sinks.recordings.retention import free_bytes
from pi_detector.sinks.recordings.sink import RecordingSink


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("cannot mount a small file system: needs root")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_module, "RETRY_S", 0.05)
    monkeypatch.setattr(clipfile, "BATCH_BYTES", 10_000)


def fill(ballast: Path, leave: int) -> None:
    """Fill a disk, but for so many bytes, with a file."""
    with ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while (free := free_bytes(ballast.parent)) > leave:
            file.write(bytes(min(65536, free - leave)))


def until_it_fails(camera: Camera, seconds: float) -> SinkError:
    for _ in range(round(seconds * 10)):
        try:
            camera.frame()
            camera.sink._disk.drain(10)
        except SinkError as error:
            return error
    pytest.fail("the sink went on")


def until_it_recovers(camera: Camera, seconds: float = 20) -> int:
    """The number of the first frame that was taken again."""
    for _ in range(round(seconds * 10)):
        time.sleep(0.02)
        try:
            camera.frame()
        except SinkError:
            continue
        return camera.number - 1
    pytest.fail("the sink did not go on")


@pytest.mark.parametrize("min_free_mb", [0, 1])
def test_a_full_disk_stops_recording_and_room_brings_it_back(
    small_disk: Path, min_free_mb: int
) -> None:
    sink = started_sink(small_disk, min_free_mb=min_free_mb, max_kbps=2000)
    camera = Camera(sink, size=(640, 480))
    camera.frames(3)
    ballast = small_disk / "ballast"
    fill(ballast, 1_100_000 if min_free_mb else 100_000)
    camera.objects[1] = (40, 50, 80, 100)
    camera.frame()
    camera.tell("full", "new")
    sink._disk.drain(10)
    fill(ballast, 900_000 if min_free_mb else 0)
    error = until_it_fails(camera, 60)
    words = "less than recording.min_free_mb" if min_free_mb else "No space left on device"
    assert words in str(error)
    assert "free s" in str(error)
    with pytest.raises(SinkError):
        camera.frame()
    ballast.unlink()
    back = until_it_recovers(camera)
    camera.frames(2)
    camera.objects.clear()
    camera.tell("full", "end", reason="gone")
    camera.frames(2)
    short_event(camera, "later")
    camera.frames(2)
    sink.close()

    later, full = sorted(rows(small_disk), key=lambda row: row.entry.event.id, reverse=True)
    assert later.entry.event.id == "later"
    assert full.entry.complete
    shown = [play(small_disk / path) for path in clips(full)]
    assert all(each.numbers for each in shown)
    assert back <= shown[-1].numbers[0] <= back + 11, "with the next keyframe it was filmed again"
    assert len(play(small_disk / clips(later)[0]).numbers) >= 40
    names = list(everything(small_disk))
    assert not [name for name in names if name.endswith(".part")]


def test_old_events_make_room_for_new_ones(small_disk: Path) -> None:
    sink = started_sink(small_disk, min_free_mb=1)
    rng = np.random.default_rng(1)
    camera = Camera(sink, size=(640, 480))
    for number in range(80):
        camera.scores[1] = 0.5 + float(rng.uniform(0, 0.4))
        short_event(camera, f"e{number:02d}", seconds=0.5)
        camera.frames(1.5)
        sink._disk.drain(10)
    sink.close()
    found = [row.entry.event.id for row in rows(small_disk)]
    assert found[0] == "e79"
    assert 5 < len(found) < 80
    assert found == [f"e{number:02d}" for number in range(79, 79 - len(found), -1)]
    for row in rows(small_disk):
        assert play(small_disk / clips(row)[0]).numbers


def test_a_file_too_large_for_its_limits_is_an_error_with_what_was_written(tmp_path: Path) -> None:
    """RLIMIT_FSIZE, in a process of its own."""
    program = f"""
import resource, signal, sys
sys.path.insert(0, {str(SUPPORT)!r})
from recorded import *
from pi_detector.sinks.recordings import clipfile
from pi_detector.errors import SinkError
clipfile.BATCH_BYTES = 10_000
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sink = started_sink(Path({str(tmp_path)!r}))
camera = Camera(sink, size=(640, 480))
camera.frames(2)
camera.tell("a", "new")
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))
try:
    for _ in range(400):
        camera.frame()
        sink._disk.drain(10)
except SinkError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
sink.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert "File too large" in done.stdout, done.stderr
    (row,) = rows(tmp_path)
    assert play(tmp_path / clips(row)[0]).numbers


def test_a_folder_that_cannot_be_made_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match=f"^{tmp_path}/file/r: cannot write: "):
        started_sink(tmp_path / "file" / "r")


def test_a_sink_can_be_started_again(tmp_path: Path) -> None:
    sink: RecordingSink = started_sink(tmp_path)
    camera = Camera(sink)
    short_event(camera, "a")
    sink.close()
    sink.start()
    short_event(camera, "b")
    sink.close()
    assert [row.entry.event.id for row in rows(tmp_path)] == ["b", "a"]


def test_an_index_that_is_damaged_while_recording_is_made_anew(tmp_path: Path) -> None:
    sink = started_sink(tmp_path, clips=False)
    camera = Camera(sink)
    short_event(camera, "a")
    sink._disk.drain(10)
    sink._storage._catalogue.index.close()
    (tmp_path / "index.sqlite").write_bytes(b"no database" * 1000)
    for suffix in ("-wal", "-shm"):
        (tmp_path / f"index.sqlite{suffix}").unlink(missing_ok=True)
    sink._storage._catalogue.index._database = __import__("sqlite3").connect(
        tmp_path / "index.sqlite", isolation_level=None, check_same_thread=False
    )
    short_event(camera, "b")
    until_it_fails(camera, 5)
    until_it_recovers(camera)
    short_event(camera, "c")
    sink.close()
    assert [row.entry.event.id for row in rows(tmp_path)] == ["c", "b", "a"]


def test_the_disk_thread_does_jobs_in_order_and_tells_the_first_error() -> None:
    done: list[int] = []
    disk = DiskThread()

    def fail() -> None:
        done.append(2)
        raise OSError("first")

    disk.submit(lambda: done.append(1))
    disk.submit(fail)
    disk.submit(lambda: done.append(3))
    assert disk.drain(5)
    assert done == [1, 2, 3]
    assert str(disk.take_error()) == "first"
    assert disk.take_error() is None
    assert disk.close(5)


def test_the_disk_thread_holds_a_bounded_amount(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_module, "MOST_WAITING_BYTES", 1000)
    disk = DiskThread()
    go = threading.Event()
    disk.submit(go.wait)
    disk.submit(lambda: None, 600)
    disk.submit(lambda: None, 600)
    blocked = threading.Thread(target=disk.submit, args=(lambda: None, 600))
    blocked.start()
    blocked.join(0.2)
    assert blocked.is_alive()
    assert not disk.drain(0.05)
    go.set()
    blocked.join(5)
    assert not blocked.is_alive()
    assert disk.drain(5)
    assert disk.close(5)
