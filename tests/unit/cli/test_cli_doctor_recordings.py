"""The doctor's checks of recordings: settings that could not work on this device."""

from __future__ import annotations

import shutil
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from recorded import DAY, record_many, settings

from pi_detector.cli.doctor_recordings import recordings
from pi_detector.cli.findings import Level
from pi_detector.sinks.recordings.catalogue import keep_event
from pi_detector.sinks.recordings.index import Index


def found(folder: Path, **changes: object) -> list[tuple[str, str]]:
    """Level and text of what is amiss."""
    findings = recordings(settings(path=str(folder), **changes))
    return [(each.level, str(each)) for each in findings if each.level is not Level.OK]


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A disk of 32 GB that is half full."""
    usage = SimpleNamespace(total=32 * 10**9, free=16 * 10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    return usage


@pytest.mark.usefixtures("disk")
def test_nothing_is_amiss_with_a_folder_that_is_new(tmp_path: Path) -> None:
    assert found(tmp_path / "new" / "er", max_gb=8, min_free_mb=1000) == []
    assert list(recordings(settings(enabled=False))) == []


@pytest.mark.usefixtures("disk")
def test_clips_without_pyav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    ((level, text),) = found(tmp_path)
    assert level is Level.WARN
    assert "to install it: " in text
    assert found(tmp_path, clips=False) == []


def test_limits_that_the_disk_cannot_meet(tmp_path: Path, disk: SimpleNamespace) -> None:
    ((level, text),) = found(tmp_path, max_gb=64)
    assert (level, "max_gb = 64 exceeds" in text) == (Level.WARN, True)
    ((level, text),) = found(tmp_path, min_free_mb=32000)
    assert (level, "too small for one event" in text) == (Level.FAIL, True)
    disk.free = 10**8
    ((level, text),) = found(tmp_path, min_free_mb=1000)
    assert (level, "free space on the disk" in text) == (Level.FAIL, True)


@pytest.mark.usefixtures("disk")
def test_protected_events_that_leave_no_room(tmp_path: Path) -> None:
    record_many(tmp_path, ["car"])
    with closing(Index(tmp_path, write=True)) as index:
        keep_event(tmp_path, index, f"{DAY}/e0", True)
    ((level, text),) = found(tmp_path, max_gb=1e-6)
    assert (level, "keep --off" in text) == (Level.FAIL, True)


@pytest.mark.usefixtures("disk")
def test_an_index_that_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "index.sqlite").write_bytes(b"no database" * 1000)
    ((level, text),) = found(tmp_path)
    assert (level, "damaged" in text) == (Level.WARN, True)
