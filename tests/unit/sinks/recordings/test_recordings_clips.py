"""Clips: what they show, how long, at what speed."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from recorded import (
    DAY,
    LABELS,
    START,
    START_NS,
    Camera,
    clips,
    everything,
    play,
    rows,
    short_event,
    started_sink,
)

from pi_detector.core.frame import Frame
from pi_detector.core.geometry import Detections
from pi_detector.core.records import status_record
from pi_detector.core.result import Result, Timings


def test_a_clip_begins_before_the_object_appears_and_ends_after_it_left(tmp_path: Path) -> None:
    sink = started_sink(tmp_path, pre_s=2, post_s=1)
    camera = Camera(sink)
    camera.frames(5)
    short_event(camera, "one", seconds=1.5)
    camera.frames(4)
    sink.close()

    (row,) = rows(tmp_path)
    (clip,) = row.entry.files[:1]
    shown = play(tmp_path / clip.path)
    assert shown.with_object == [50 <= number < 65 for number in shown.numbers]
    first, last = shown.numbers[0], shown.numbers[-1]
    assert 50 - 20 - 10 <= first <= 50 - 20, "pre_s before the event, from a keyframe"
    assert last == 65 + 10
    assert shown.numbers == list(range(first, last + 1))
    assert clip.duration_s == pytest.approx((last - first + 1) / 10, abs=0.01)
    assert clip.started == row.entry.event.started - timedelta(seconds=(50 - first) / 10)
    assert row.entry.complete
    assert not row.entry.interrupted


def test_the_first_frames_of_an_event_that_was_confirmed_late_are_there(tmp_path: Path) -> None:
    sink = started_sink(tmp_path, pre_s=1)
    camera = Camera(sink)
    camera.frames(5)
    camera.objects[1] = (40, 50, 80, 100)
    camera.frames(2)  # the tracker is not sure for two seconds
    camera.tell("late", "new", duration_s=2.0)
    camera.frames(1)
    camera.tell("late", "end", reason="gone")
    sink.close()
    (row,) = rows(tmp_path)
    shown = play(tmp_path / clips(row)[0])
    assert shown.numbers[0] <= 40
    assert shown.with_object[:5] == [False] * 5
    assert shown.with_object.index(True) == 50 - shown.numbers[0]


def test_frames_that_come_irregularly_keep_the_speed_of_life(tmp_path: Path) -> None:
    sink = started_sink(tmp_path, pre_s=3, fps=20)
    camera = Camera(sink)
    steps = np.random.default_rng(7).choice([0.06, 0.1, 0.13, 0.4, 1.7], 120)
    for number, step in enumerate(steps):
        camera.frame(float(step))
        if number == 60:
            camera.tell("uneven", "new")
        if number == 100:
            camera.tell("uneven", "end", reason="gone")
    sink.close()
    (row,) = rows(tmp_path)
    shown = play(tmp_path / clips(row)[0])
    begin = camera.taken[shown.numbers[0]]
    lived = [camera.taken[number] - begin for number in shown.numbers]
    np.testing.assert_allclose(shown.times_s, lived, atol=0.001)
    assert shown.numbers == list(range(shown.numbers[0], shown.numbers[-1] + 1))
    assert begin <= camera.taken[60] - 3
    assert camera.taken[100] + 1 - 1.7 <= camera.taken[shown.numbers[-1]] <= camera.taken[100] + 1


def test_two_events_at_a_time_share_a_clip(tmp_path: Path) -> None:
    sink = started_sink(tmp_path)
    camera = Camera(sink)
    camera.frames(3)
    camera.objects[1] = (10, 50, 40, 100)
    camera.frame()
    camera.tell("a", "new", 1)
    camera.frames(1)
    camera.objects[2] = (100, 50, 140, 100)
    camera.frame()
    camera.tell("b", "new", 2, label="car", class_id=1)
    camera.frames(1)
    camera.tell("a", "end", 1, reason="gone")
    camera.frames(3)  # longer than a's post_s: b holds the clip
    camera.tell("b", "end", 2, label="car", class_id=1, reason="gone")
    camera.frames(3)
    sink.close()

    later, earlier = rows(tmp_path)
    assert (earlier.entry.event.id, later.entry.event.id) == ("a", "b")
    assert clips(earlier) == clips(later) == [f"{DAY}/a.mp4"]
    shown = play(tmp_path / clips(earlier)[0])
    assert shown.numbers == list(range(shown.numbers[0], 30 + 1 + 10 + 1 + 10 + 30 + 10))
    assert [name for name in everything(tmp_path) if name.endswith(".mp4")] == [f"{DAY}/a.mp4"]


def test_events_one_after_another_have_clips_of_their_own(tmp_path: Path) -> None:
    sink = started_sink(tmp_path, post_s=0.5)
    camera = Camera(sink)
    camera.frames(3)
    short_event(camera, "a")
    camera.frames(1)
    short_event(camera, "b")
    camera.frames(1)
    sink.close()
    b, a = rows(tmp_path)
    assert clips(a) == [f"{DAY}/a.mp4"]
    assert clips(b) == [f"{DAY}/b.mp4"]
    first, second = play(tmp_path / clips(a)[0]), play(tmp_path / clips(b)[0])
    assert second.numbers[0] < first.numbers[-1], "what was before b is in both"


def test_a_long_clip_goes_on_in_a_further_file_without_a_gap(tmp_path: Path) -> None:
    sink = started_sink(tmp_path, longest_clip_s=10)
    camera = Camera(sink)
    camera.frames(3)
    camera.objects[1] = (40, 50, 80, 100)
    camera.tell("long", "new")
    camera.frames(22)
    camera.tell("brief", "new", 2)
    camera.frames(1)
    camera.tell("brief", "end", 2, reason="gone")
    camera.frames(2)
    camera.tell("long", "end", reason="gone")
    camera.frames(3)
    sink.close()
    brief, long = rows(tmp_path)
    assert clips(long) == [f"{DAY}/long.mp4", f"{DAY}/long.2.mp4", f"{DAY}/long.3.mp4"]
    shown = [play(tmp_path / path) for path in clips(long)]
    numbers = [number for each in shown for number in each.numbers]
    assert numbers == list(range(numbers[0], 280 + 10))
    assert all(each.times_s[-1] <= 11 for each in shown)
    assert clips(brief) == [f"{DAY}/long.3.mp4"]


def test_an_event_that_begins_just_after_a_change_of_files_has_both(tmp_path: Path) -> None:
    sink = started_sink(tmp_path, longest_clip_s=10, pre_s=2)
    camera = Camera(sink)
    camera.frames(3)
    camera.tell("long", "new")
    while not list(tmp_path.rglob("long.mp4")):  # named when the next one begins
        camera.frame()
        sink._disk.drain(10)
    camera.frames(1)
    camera.tell("b", "new", 2)
    camera.frames(1)
    sink.close()
    b = next(row for row in rows(tmp_path) if row.entry.event.id == "b")
    assert clips(b) == [f"{DAY}/long.mp4", f"{DAY}/long.2.mp4"]


def test_an_event_that_never_ends_is_filmed_for_as_long_as_is_set(tmp_path: Path) -> None:
    sink = started_sink(tmp_path, longest_event_s=10)
    camera = Camera(sink)
    camera.frames(3)
    camera.objects[1] = (40, 50, 80, 100)
    camera.tell("parked", "new")
    camera.frames(30)
    sink._disk.drain(10)
    (row,) = rows(tmp_path)
    assert not row.entry.complete
    shown = play(tmp_path / clips(row)[0])
    assert shown.numbers[-1] == 30 - 1 + 100
    camera.tell("parked", "end", reason="gone", duration_s=30.0)
    sink.close()
    (row,) = rows(tmp_path)
    assert row.entry.complete
    assert row.entry.event.duration_s == 30.0
    assert [media.kind for media in row.entry.files] == ["clip", "thumbnail", "snapshot", "clean"]


def test_closing_in_the_middle_of_an_event_finishes_its_clip(tmp_path: Path) -> None:
    sink = started_sink(tmp_path)
    camera = Camera(sink)
    camera.frames(3)
    camera.objects[1] = (40, 50, 80, 100)
    camera.frame()
    camera.tell("open", "new")
    camera.frames(2)
    sink.close()
    (row,) = rows(tmp_path)
    assert row.entry.complete
    assert row.entry.interrupted
    assert play(tmp_path / clips(row)[0]).numbers[-1] == camera.number - 1
    assert not [name for name in everything(tmp_path) if name.endswith(".part")]
    sink.close()


def test_a_shutdown_ends_the_clip_at_once(tmp_path: Path) -> None:
    sink = started_sink(tmp_path, post_s=60)
    camera = Camera(sink)
    camera.frames(3)
    camera.tell("a", "new")
    camera.tell("b", "new", 2)
    camera.frames(1)
    camera.tell("a", "end", reason="shutdown")
    sink._disk.drain(10)
    assert not list(tmp_path.rglob("*.mp4")), "b goes on"
    camera.tell("b", "end", 2, reason="shutdown")
    sink._disk.drain(10)
    assert [row.entry.complete for row in rows(tmp_path)] == [True, True]
    sink.close()


def test_a_source_that_is_gone_ends_the_clip_and_its_return_begins_another(tmp_path: Path) -> None:
    sink = started_sink(tmp_path)
    camera = Camera(sink)
    camera.frames(3)
    camera.tell("a", "new")
    camera.frames(2)
    sink.handle(status_record("source", "demo", "stalled"))
    camera.frame(30)
    camera.frames(2)
    camera.frame(30)  # nobody told of this gap
    camera.frames(1)
    camera.tell("a", "end", reason="gone")
    sink.close()
    (row,) = rows(tmp_path)
    shown = [play(tmp_path / path) for path in clips(row)]
    assert [each.numbers[-1] for each in shown] == [49, 70, 81]
    for each in shown:
        assert max(later - earlier for earlier, later in pairwise(each.times_s)) < 1


def test_a_fast_camera_is_filmed_at_the_rate_that_is_set(tmp_path: Path) -> None:
    for fps, step_s, low, high in (
        (10, 1 / 30, 9.5, 10.5),
        (10, 1 / 15, 7, 10.5),
        (10, 0.1, 9.5, 10.5),
    ):
        folder = tmp_path / f"{step_s:.3f}"
        sink = started_sink(folder, fps=fps, pre_s=1)
        camera = Camera(sink)
        jitter = np.random.default_rng(1).uniform(-0.2, 0.2, 1000)
        for number in range(round(12 / step_s)):
            camera.frame(step_s * (1 + float(jitter[number])))
            if camera.number == round(1.5 / step_s):
                camera.tell("a", "new")
        sink.close()
        (row,) = rows(folder)
        shown = play(folder / clips(row)[0])
        rate = (len(shown.times_s) - 1) / shown.times_s[-1]
        assert low <= rate <= high, (step_s, rate)


def test_frames_of_another_size_begin_another_clip(tmp_path: Path) -> None:
    sink = started_sink(tmp_path)
    camera = Camera(sink)
    camera.frames(2)
    camera.tell("a", "new")
    camera.frames(1)
    camera.size = (321, 241)  # H.264 has even sides
    camera.frames(1)
    camera.tell("a", "end", reason="gone")
    sink.close()
    (row,) = rows(tmp_path)
    shown = [play(tmp_path / path) for path in clips(row)]
    assert [each.numbers[-1] for each in shown] == [29, 39]


def test_a_wide_camera_is_filmed_at_the_width_that_is_set(tmp_path: Path) -> None:
    import av

    sink = started_sink(tmp_path, width=80)
    camera = Camera(sink)
    camera.frames(2)
    short_event(camera, "a")
    sink.close()
    (row,) = rows(tmp_path)
    with av.open(str(tmp_path / clips(row)[0])) as clip:
        assert (clip.streams.video[0].width, clip.streams.video[0].height) == (80, 60)


def test_the_memory_of_the_past_is_bounded() -> None:
    from types import SimpleNamespace

    from pi_detector.sinks.recordings.encoder import Shot
    from pi_detector.sinks.recordings.ring import Ring

    ring = Ring(5, 10_000)
    for number in range(1000):
        ring.add(Shot(SimpleNamespace(), number * 10**8, START, number % 10 == 0, 100))
    kept = ring.since(0)
    assert kept[0].keyframe
    assert 50 <= len(kept) <= 60
    assert [shot.captured_ns // 10**8 for shot in ring.since(970 * 10**8)] == list(range(970, 1000))
    assert ring.since(975 * 10**8)[0].captured_ns == 970 * 10**8
    for number in range(1000, 1100):
        ring.add(Shot(SimpleNamespace(), number * 10**8, START, number % 10 == 0, 1000))
    assert sum(shot.size for shot in ring.since(0)) <= 10_000 + 10 * 1000
    ring.add(Shot(SimpleNamespace(), 110 * 10**9, START, False, 10**6))
    assert ring.since(0)[0].keyframe


def test_without_clips_nothing_is_encoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "pi_detector.sinks.recordings.recorder.make_encoder", lambda *_: pytest.fail("encoded")
    )
    sink = started_sink(tmp_path, clips=False)
    camera = Camera(sink)
    short_event(camera, "a")
    sink.close()
    (row,) = rows(tmp_path)
    assert [media.kind for media in row.entry.files] == ["thumbnail", "snapshot", "clean"]


def test_frames_without_detections_or_tracks_are_filmed_too(tmp_path: Path) -> None:
    sink = started_sink(tmp_path)
    camera = Camera(sink)
    camera.frames(2)
    camera.tell("a", "new")
    for number in range(20, 30):
        frame = Frame(
            np.zeros((120, 160, 3), np.uint8), number, START_NS + number * 10**8 + 10**8, START, "x"
        )
        sink.handle(Result(frame, Detections(), LABELS, Timings(0, 0, 0, 0), inferred=False))
    sink.close()
    (row,) = rows(tmp_path)
    assert len(play(tmp_path / clips(row)[0]).numbers) == 30


def test_an_event_that_ends_as_the_file_changes_has_both(tmp_path: Path) -> None:
    for ends_before_s in (0.05, 0.5, 0.95):
        folder = tmp_path / str(ends_before_s)
        sink = started_sink(folder, longest_clip_s=10, pre_s=1, post_s=1)
        camera = Camera(sink)
        camera.frames(3)
        camera.tell("a", "new")
        camera.frames(9 - ends_before_s)
        camera.tell("a", "end", reason="gone")
        camera.frames(4)
        sink.close()
        (row,) = rows(folder)
        shown = [play(folder / path) for path in clips(row)]
        last = camera.begun["a"].sequence + round((9 - ends_before_s) * 10) + 10
        assert shown[-1].numbers[-1] in (last - 1, last)
        assert row.entry.complete
