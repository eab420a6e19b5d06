"""Clips that several events share: how soon there is one, and where in it an event begins."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
import pytest
from recorded import DAY, Camera, clips, play, rows, short_event, started_sink

from pi_detector.sinks.recordings.index import Row
from pi_detector.sinks.recordings.layout import read_sidecar, write_sidecar
from pi_detector.sinks.recordings.recorder import LONGEST_WAIT_S
from pi_detector.sinks.web.events import Query, recorded_page

SOON_S = 1 + LONGEST_WAIT_S + 1.1
"""After the end of an event: what follows it, the wait, and the next keyframe."""


class OldMedia(msgspec.Struct):
    """A file as the versions knew it that told no offset."""

    path: str
    kind: str
    started: str | None = None
    duration_s: float | None = None


class OldEntry(msgspec.Struct):
    """What such a version read of a sidecar."""

    number: int
    path: str
    files: tuple[OldMedia, ...]
    version: Literal[1] = 1


def row_of(folder: Path, event_id: str) -> Row:
    (row,) = rows(folder, ids=(event_id,))
    return row


def first_with_object(folder: Path, row: Row) -> float:
    """Where in an event's first clip the red box is seen first, in seconds."""
    shown = play(folder / clips(row)[0])
    return shown.times_s[shown.with_object.index(True)]


def test_an_event_that_is_over_has_its_clip_soon_while_others_go_on(tmp_path: Path) -> None:
    sink = started_sink(tmp_path, longest_clip_s=300, longest_event_s=300)
    camera = Camera(sink)
    camera.frames(3)
    camera.tell("long", "new", 9)
    for name in ("a", "b", "c"):
        camera.frames(4)
        short_event(camera, name)
    ended_s = camera.at_s
    camera.frames(SOON_S)
    sink._disk.drain(60)
    for name in ("a", "b", "c"):
        row = row_of(tmp_path, name)
        assert row.entry.complete, name
        assert play(tmp_path / clips(row)[0]).numbers, name
    camera.frames(100 - (camera.at_s - ended_s))
    camera.tell("long", "end", 9, reason="gone")
    sink.close()
    long = row_of(tmp_path, "long")
    assert len(clips(long)) == 2, "nobody waited for the rest"
    numbers = [number for path in clips(long) for number in play(tmp_path / path).numbers]
    assert numbers == list(range(numbers[0], numbers[-1] + 1)), "without a gap"


def test_a_clip_tells_where_each_of_its_events_begins(tmp_path: Path) -> None:
    sink = started_sink(tmp_path, pre_s=2)
    camera = Camera(sink)
    camera.frames(5)
    camera.tell("first", "new", 9)
    camera.frames(6)
    short_event(camera, "second", duration_s=0.0)
    camera.frames(1)
    camera.tell("first", "end", 9, reason="gone")
    camera.frames(2)
    sink.close()
    first, second = row_of(tmp_path, "first"), row_of(tmp_path, "second")
    assert clips(first) == clips(second) == [f"{DAY}/first.mp4"]
    begins_s = first_with_object(tmp_path, second)
    assert second.entry.files[0].offset_s == pytest.approx(begins_s, abs=0.05)
    assert 2 <= (first.entry.files[0].offset_s or 0) <= 3
    page = recorded_page(tmp_path, Query(id="second"))
    (card,) = page.events
    assert card.clips[0].offset_s == pytest.approx(begins_s, abs=0.05)
    assert not card.recording


def test_what_continues_in_a_further_clip_begins_at_its_start(tmp_path: Path) -> None:
    sink = started_sink(tmp_path, longest_clip_s=10)
    camera = Camera(sink)
    camera.frames(3)
    camera.tell("long", "new")
    camera.frames(15)
    camera.tell("long", "end", reason="gone")
    sink.close()
    offsets = [media.offset_s for media in row_of(tmp_path, "long").entry.files]
    assert offsets[1] == 0.0
    assert (offsets[0] or 0) > 1


def test_an_older_version_told_no_offset(tmp_path: Path) -> None:
    sink = started_sink(tmp_path, pre_s=2)
    camera = Camera(sink)
    camera.frames(5)
    short_event(camera, "old")
    camera.frames(2)
    sink.close()
    entry = read_sidecar(tmp_path, f"{DAY}/old")
    assert entry is not None
    expected = entry.files[0].offset_s
    files = tuple(msgspec.structs.replace(media, offset_s=None) for media in entry.files)
    write_sidecar(tmp_path, msgspec.structs.replace(entry, files=files))
    assert b"offset_s" not in (tmp_path / f"{DAY}/old.json").read_bytes()
    (tmp_path / "index.sqlite").unlink()
    started_sink(tmp_path).close()
    (card,) = recorded_page(tmp_path, Query()).events
    assert card.clips[0].offset_s == pytest.approx(expected, abs=0.05)


def test_an_older_version_reads_what_this_one_writes(tmp_path: Path) -> None:
    sink = started_sink(tmp_path)
    camera = Camera(sink)
    camera.frames(2)
    short_event(camera, "new")
    sink.close()
    old = msgspec.json.decode((tmp_path / f"{DAY}/new.json").read_bytes(), type=OldEntry)
    assert old.files[0].kind == "clip"


def test_the_page_says_that_a_clip_is_still_being_written(tmp_path: Path) -> None:
    sink = started_sink(tmp_path)
    camera = Camera(sink)
    camera.frames(2)
    camera.tell("long", "new", 9)
    camera.frames(1)
    short_event(camera, "brief")
    camera.frames(3)
    sink._disk.drain(60)
    (card,) = recorded_page(tmp_path, Query(id="brief")).events
    assert card.recording
    assert not card.going_on
    assert card.clips == ()
    sink.close()
    (card,) = recorded_page(tmp_path, Query(id="brief")).events
    assert not card.recording
    assert len(card.clips) == 1
