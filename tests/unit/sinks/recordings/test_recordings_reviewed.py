"""Marks of what was reviewed."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pi_detector.sinks.crop import WIDTH_PX, region_around
from pi_detector.sinks.recordings.reviewed import Reviewed
from pi_detector.sinks.recordings.track import MOST_POINTS, Track

NUMBERS = st.sets(st.integers(0, 60))


@given(st.lists(st.tuples(NUMBERS, st.booleans()), max_size=6))
def test_marks_are_those_of_a_set(changes: list[tuple[set[int], bool]]) -> None:
    marks, wanted = Reviewed(), set[int]()
    for numbers, on in changes:
        marks = marks.marked(numbers, on)
        wanted = wanted | numbers if on else wanted - numbers
    assert {number for number in range(62) if number in marks} == wanted


def test_marks_survive_in_a_small_file(tmp_path: Path) -> None:
    Reviewed().marked(range(10_000), True).marked([5], False).write(tmp_path)
    again = Reviewed.read(tmp_path)
    assert [number in again for number in (0, 5, 9_999, 10_000)] == [True, False, True, False]
    assert (tmp_path / "reviewed.json").stat().st_size < 50


@given(
    st.tuples(*(st.floats(-50, 700) for _ in range(4))),
    st.tuples(st.integers(1, 640), st.integers(1, 480)),
)
def test_a_crop_lies_within_the_frame(box: tuple[float, ...], frame: tuple[int, int]) -> None:
    x1, x2 = sorted((box[0], box[2]))
    y1, y2 = sorted((box[1], box[3]))
    left, top, right, bottom = region_around((x1, y1, x2, y2), frame)
    assert 0 <= left < right <= frame[0]
    assert 0 <= top < bottom <= frame[1]


def test_a_crop_shows_the_whole_object_and_more() -> None:
    left, top, right, bottom = region_around((300, 200, 340, 300), (640, 480))
    assert left < 270
    assert right > 370
    assert top < 180
    assert bottom > 320
    assert abs((right - left) / (bottom - top) - 4 / 3) < 0.02
    assert WIDTH_PX == 360


def test_a_track_of_any_length_fits_and_keeps_its_ends() -> None:
    track = Track()
    for step in range(5000):
        track.add(step / 10, step % 100 / 100, 0.5)
    points = track.points()
    assert len(points) <= MOST_POINTS
    assert points[0] == (0.0, 0.0, 0.5)
    assert points[-1][0] > 480


def test_what_stands_has_one_point() -> None:
    track = Track()
    for step in range(100):
        track.add(step, 0.5 + step % 2 * 0.01, 1.2)
    assert track.points() == ((0.0, 0.5, 1.0),)
