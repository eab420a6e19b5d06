"""A folder or index that is replaced while it is recorded to: noticed, told, and made again."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from recorded import NO_LIMITS, Camera, clips, ids, play, rows, short_event, started_sink

from pi_detector.config.settings import RecoverySettings
from pi_detector.core.records import StatusRecord
from pi_detector.errors import SinkError
from pi_detector.sinks.recordings import sink as sink_module
from pi_detector.sinks.recordings.sink import RecordingSink
from pi_detector.sinks.supervised import SupervisedSink

PATIENCE_S = 60.0


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_module, "RETRY_S", 0.05)
    monkeypatch.setattr(sink_module, "CHECK_S", 0.0)


class Run:
    """A sink as the pipeline has it, and what it reports."""

    def __init__(self, folder: Path) -> None:
        self.sink = RecordingSink(folder, NO_LIMITS)
        self.reports: list[StatusRecord] = []
        recovery = RecoverySettings(mode="always", first_delay_s=0.1, longest_delay_s=0.1)
        self.outer = SupervisedSink(self.sink, recovery, self.reports.append)
        self.outer.start()
        self.camera = Camera(self.outer)  # type: ignore[arg-type]

    def event(self, name: str) -> None:
        self.camera.frames(1)
        short_event(self.camera, name)
        self.camera.frames(2)
        self.sink._disk.drain(PATIENCE_S)

    def checkpoint(self) -> None:
        self.sink._storage._catalogue.index.rows("PRAGMA wal_checkpoint(TRUNCATE)")

    def until(self, *states: str) -> None:
        self._film(lambda: [report.state for report in self.reports] == list(states))

    def records(self, folder: Path, *names: str) -> None:
        self._film(lambda: ids(folder) == list(names))

    def _film(self, reached: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not reached():
            assert time.monotonic() < end, self.reports
            self.camera.frame()
            self.sink._disk.drain(PATIENCE_S)


def test_a_folder_that_is_replaced_gets_an_index_of_its_own(tmp_path: Path) -> None:
    folder, away = tmp_path / "recordings", tmp_path / "away"
    run = Run(folder)
    run.event("before")
    folder.rename(away)
    folder.mkdir()
    run.event("during")
    run.until("failed", "live")
    assert "the folder was replaced" in (run.reports[0].reason or "")
    run.event("after")
    run.outer.close()
    assert ids(away) == ["before"]
    # Whether the second event comes before the disk's thread notices is a matter of time.
    assert ids(folder) in (["after"], ["after", "during"])
    for row in rows(folder, keys=("after",)):
        assert play(folder / clips(row)[0]).numbers
    started_sink(away).close()
    assert ids(away) == ["before"], "and the other one is whole"


def test_a_folder_that_is_replaced_during_an_event_has_what_follows(tmp_path: Path) -> None:
    folder, away = tmp_path / "recordings", tmp_path / "away"
    run = Run(folder)
    run.camera.frames(2)
    run.camera.tell("long", "new")
    run.camera.frames(6)
    run.sink._disk.drain(PATIENCE_S)
    folder.rename(away)
    folder.mkdir()
    run.until("failed", "live")
    run.camera.frames(6)
    run.camera.tell("long", "end", reason="gone")
    run.camera.frames(3)
    run.outer.close()
    (row,) = rows(folder)
    assert row.entry.complete
    assert len(play(folder / clips(row)[0]).numbers) > 50
    started_sink(away).close()
    assert len(play(away / clips(rows(away)[0])[0]).numbers) > 20, "salvaged with its next start"


def test_a_folder_that_is_deleted_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    run = Run(folder)
    run.event("before")
    shutil.rmtree(folder)
    run.until("failed", "live")
    run.event("after")
    run.outer.close()
    assert ids(folder) == ["after"]


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(path.stat().st_size))


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def torn(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def deleted(path: Path) -> None:
    path.unlink()


def another(path: Path) -> None:
    path.with_name("new").write_bytes(b"not a database" * 1000)
    path.with_name("new").replace(path)


@pytest.mark.parametrize("harm", [garbage, emptied, torn, deleted, another])
def test_an_index_that_is_harmed_while_recording_is_made_again(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    run = Run(tmp_path)
    run.event("a")
    run.event("b")
    run.checkpoint()  # before it, all is in the -wal file, and nothing is lost
    harm(tmp_path / "index.sqlite")
    run.event("c")
    run.until("failed", "live")
    run.records(tmp_path, "a", "b", "c")
    run.event("d")
    run.outer.close()
    assert ids(tmp_path) == ["a", "b", "c", "d"]
    assert "index" in (run.reports[0].reason or "")


def test_an_index_is_not_taken_for_damaged_for_being_used(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for number in range(3):
        run.event(f"e{number}")
        run.checkpoint()
    run.outer.close()
    assert run.reports == []


def test_the_true_reason_is_told_where_a_clip_cannot_be_ended(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    sink = started_sink(folder)
    camera = Camera(sink)
    camera.frames(2)
    camera.tell("long", "new")
    camera.frames(1)
    sink._disk.drain(PATIENCE_S)
    folder.rename(tmp_path / "away")
    folder.mkdir()

    def film() -> None:
        for _ in range(200):
            camera.frame()
            sink._disk.drain(PATIENCE_S)

    with pytest.raises(SinkError, match="the folder was replaced"):
        film()
    sink.close()
