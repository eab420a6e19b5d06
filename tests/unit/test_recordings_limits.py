"""Limits of recordings: by age, by size and by room on the disk, and what is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from recorded import (
    DAY,
    START,
    Camera,
    clips,
    everything,
    ids,
    play,
    record_many,
    rows,
    settings,
    short_event,
    started_sink,
)

from pi_detector.errors import SinkError
from pi_detector.sinks.recordings import retention as retention_module
from pi_detector.sinks.recordings.catalogue import Catalogue, keep_event
from pi_detector.sinks.recordings.index import Index
from pi_detector.sinks.recordings.retention import Retention


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
