"""Limits of recordings: by age, by size and by room on the disk, and what is kept."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
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
    assert tidied(tmp_path, START, max_gb=size_of(tmp_path, ["e0"])) == 2
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


@pytest.fixture
def disk_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, int], None]:
    """Puts a folder on a disk on which so many bytes are free now."""

    def occupied(folder: Path) -> int:
        return sum(row.size + 4096 for row in rows(folder))

    def put(folder: Path, free: int) -> None:
        size = occupied(folder) + free
        monkeypatch.setattr(retention_module, "free_bytes", lambda _: size - occupied(folder))

    return put


def test_what_is_to_stay_free_stays_free(
    tmp_path: Path, disk_of: Callable[[Path, int], None]
) -> None:
    record_many(tmp_path, ["car"] * 4)
    catalogue = Catalogue(tmp_path)
    retention = Retention(catalogue, settings())
    retention._least_free = 100_000
    disk_of(tmp_path, round(100_000 - size_of(tmp_path, ["e0", "e1"]) * 1e9))
    assert retention.tidy(START) == 2
    catalogue.close()
    assert ids(tmp_path) == ["e2", "e3"]


def test_nothing_is_deleted_where_that_does_not_make_enough_room(
    tmp_path: Path, disk_of: Callable[[Path, int], None]
) -> None:
    record_many(tmp_path, ["car"] * 4)
    disk_of(tmp_path, 10_000_000)  # another program filled it
    catalogue = Catalogue(tmp_path)
    with pytest.raises(
        SinkError, match=r"10 MB free, less than recording.min_free_mb = 100.*free space"
    ):
        Retention(catalogue, settings(min_free_mb=100)).make_room()
    catalogue.close()
    assert ids(tmp_path) == ["e0", "e1", "e2", "e3"]


def test_finished_events_are_not_deleted_for_what_cannot_be(tmp_path: Path) -> None:
    record_many(tmp_path, ["car"] * 4)
    limit = size_of(tmp_path, ["e0", "e1"])
    catalogue = Catalogue(tmp_path)
    retention = Retention(catalogue, settings(max_gb=limit))
    for name in ("e0", "e1", "e2"):
        keep_event(tmp_path, catalogue.index, f"{DAY}/{name}", True)
    assert retention.tidy(START) == 0
    with pytest.raises(
        SinkError, match=r"protected and ongoing events take .* GB, more than .*keep --off"
    ):
        retention.check_size()
    keep_event(tmp_path, catalogue.index, f"{DAY}/e2", False)
    retention.check_size()
    catalogue.close()
    assert ids(tmp_path) == ["e0", "e1"]


def test_an_event_that_outgrows_the_limit_costs_no_finished_one(tmp_path: Path) -> None:
    record_many(tmp_path, ["car"] * 4)
    sink = started_sink(
        tmp_path, longest_clip_s=10, max_gb=size_of(tmp_path, ["e0", "e1", "e2", "e3"]) + 2e-5
    )
    camera = Camera(sink)
    camera.objects[1] = (40, 50, 80, 100)
    camera.frames(2)
    camera.tell("long", "new")

    def film() -> None:
        for _ in range(1200):
            camera.frame()
            sink._disk.drain(10)

    with pytest.raises(SinkError, match="nothing more is recorded"):
        film()
    left = ids(tmp_path)
    assert left[-2:] == ["e3", "long"], "deleting them would not have been enough"
    with contextlib.suppress(SinkError):
        camera.tell("long", "end", reason="gone")
    sink._disk.drain(10)
    assert not [row for row in rows(tmp_path) if not row.entry.complete], "its end was taken"
    with contextlib.suppress(SinkError):
        sink.close()


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
    assert tidied(tmp_path, far, max_age_days=30) == 0
    assert ids(tmp_path) == ["boot1", "boot2", "e0"]


@pytest.mark.usefixtures("trusted_clock")
def test_events_that_no_clock_dated_do_not_grow_old_when_it_is_set(tmp_path: Path) -> None:
    record_many(tmp_path, ["car"])
    sink = started_sink(tmp_path, clips=False)
    camera = Camera(sink, wall=datetime(2016, 1, 1, tzinfo=UTC))
    for name in ("boot1", "boot2"):
        short_event(camera, name, clock_synchronized=False)
    sink.close()
    assert tidied(tmp_path, START + timedelta(days=1), max_age_days=30) == 0
    assert tidied(tmp_path, START + timedelta(days=99), max_age_days=30) == 1
    assert ids(tmp_path) == ["boot1", "boot2"]
    assert tidied(tmp_path, START, max_gb=size_of(tmp_path, ["boot2"])) == 1
    assert ids(tmp_path) == ["boot2"], "size limits them too"


@pytest.mark.usefixtures("trusted_clock")
def test_an_event_during_which_the_clock_was_set_is_as_old_as_its_end_tells(tmp_path: Path) -> None:
    sink = started_sink(tmp_path, clips=False)
    camera = Camera(sink, wall=datetime(2016, 1, 1, tzinfo=UTC))
    camera.objects[1] = (40, 50, 80, 100)
    camera.frame()
    camera.tell("set", "new", clock_synchronized=False)
    camera.frames(5)
    camera.wall = START
    camera.tell("set", "end", reason="gone")
    sink.close()
    assert tidied(tmp_path, START + timedelta(days=29), max_age_days=30) == 0
    assert tidied(tmp_path, START + timedelta(days=31), max_age_days=30) == 1


@pytest.mark.usefixtures("trusted_clock")
@pytest.mark.parametrize("year", [2016, 2040])
def test_above_the_size_what_no_clock_dated_goes_last(tmp_path: Path, year: int) -> None:
    record_many(tmp_path, ["car", "person"])
    sink = started_sink(tmp_path, clips=False, snapshots=False)
    camera = Camera(sink, wall=datetime(year, 1, 1, tzinfo=UTC))
    for name in ("boot1", "boot2"):
        short_event(camera, name, clock_synchronized=False)
    sink.close()
    limits = {"max_age_days": 30, "keep_days": {"person": 300.0}}
    now = START + timedelta(days=1)
    for left in (["boot1", "boot2", "e1"], ["boot1", "boot2"], ["boot2"]):
        assert tidied(tmp_path, now, max_gb=size_of(tmp_path, left), **limits) == 1
        assert ids(tmp_path) == left


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
