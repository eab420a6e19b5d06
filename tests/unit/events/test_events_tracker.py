from __future__ import annotations

import itertools

import numpy as np
import pytest
from staged import LABELS, PERSON, TRUCK, Row, car, detections, person

from pi_detector.config.events import TrackingSettings
from pi_detector.core.geometry import pairwise_iou
from pi_detector.core.looks import Look
from pi_detector.events.matching import assign, grown_iou
from pi_detector.events.tracker import Tracker, Tracks


class Followed:
    """A tracker and the time."""

    def __init__(self, **settings: object) -> None:
        self.tracker = Tracker(TrackingSettings(**settings), LABELS)  # type: ignore[arg-type]
        self.s = 0.0

    def see(self, *rows: Row, dt_s: float = 0.1, looks: tuple[Look, ...] = ()) -> Tracks:
        self.s += dt_s
        found = detections(rows)
        high = np.full(len(rows), 0.5, np.float32)
        return self.tracker.update(found, high, round(self.s * 1e9), looks)


def ids(tracks: Tracks) -> list[int]:
    return tracks.track_id[tracks.row >= 0].tolist()


@pytest.mark.parametrize("fps", [2, 3, 5, 10, 30])
@pytest.mark.parametrize("speed", [0, 60, 120])
def test_one_walker_keeps_one_id_at_any_frame_rate(fps: int, speed: float) -> None:
    """A person of 40 pixels' width: at 2 frames a second it moves more than that."""
    followed = Followed()
    for number in range(4 * fps):
        tracks = followed.see(person(60 + speed * number / fps), dt_s=1 / fps)
        assert ids(tracks) == [1]
    assert tracks.confirmed.tolist() == [True]


def test_one_walker_keeps_one_id_when_frames_are_dropped_at_random() -> None:
    followed = Followed()
    rng = np.random.default_rng(2)
    x = 50.0
    while x < 600:
        dt_s = float(rng.choice([0.07, 0.1, 0.3, 0.6]))
        x += 90 * dt_s
        assert ids(followed.see(person(x), dt_s=dt_s)) == [1]


def test_numbers_are_never_given_again() -> None:
    followed = Followed()
    for number in range(1, 6):
        assert ids(followed.see(person(300))) == [number]
        for _ in range(5):
            followed.see()
    followed.tracker.clear()
    assert ids(followed.see(person(300))) == [6]


def test_a_walker_hidden_for_a_second_is_found_where_it_was_going() -> None:
    followed = Followed()
    xs = [100 + 8 * number for number in range(50)]
    for number, x in enumerate(xs):
        tracks = followed.see(*[person(x)] * (not 20 <= number < 30))
    assert ids(tracks) == [1]


def test_an_object_that_is_gone_is_told_once() -> None:
    followed = Followed(lost_s=1)
    for _ in range(5):
        followed.see(person(300))
    ended = [followed.see().ended for _ in range(20)]
    assert [e for e in ended if e] == [(1,)]
    assert ended.index((1,)) == pytest.approx(9, abs=1)


def test_a_gap_between_frames_is_no_absence() -> None:
    followed = Followed(lost_s=1, min_misses=3)
    for _ in range(5):
        followed.see(person(300))
    assert not any(followed.see(dt_s=20).ended for _ in range(2))
    assert followed.see(dt_s=20).ended == (1,)


def test_patience_is_by_object() -> None:
    followed = Followed(lost_s=1)
    for _ in range(5):
        followed.see(person(300), car(500))
    by_x = dict(zip([300, 500], [1, 2], strict=True))
    followed.tracker.be_patient(by_x[500], 10)
    ended = [(followed.s, e) for e in (followed.see().ended for _ in range(150)) for e in e]
    (early, first), (late, second) = ended
    assert (first, second) == (1, 2)
    assert late - early > 8


def test_labels_that_are_not_alike_are_not_one_object() -> None:
    followed = Followed()
    for _ in range(5):
        followed.see(person(300))
    tracks = followed.see((TRUCK, 300, 300, 40, 100, 0.9))
    assert ids(tracks) == [2]


def test_a_box_around_two_persons_and_half_a_person_are_no_objects() -> None:
    followed = Followed()
    pair = [person(300), person(345)]
    for _ in range(5):
        followed.see(*pair)
    around = (PERSON, 322.0, 300.0, 90.0, 105.0, 0.6)
    half = (PERSON, 300.0, 240.0, 38.0, 40.0, 0.6)
    assert ids(followed.see(*pair, around, half)) == [1, 2]


def test_it_holds_no_more_than_it_sees() -> None:
    """A detector that sees things at random everywhere, for ten minutes of one frame a second."""
    followed = Followed()
    rng = np.random.default_rng(0)
    most = 0
    for _ in range(600):
        rows = [person(rng.uniform(0, 640), rng.uniform(100, 480)) for _ in range(4)]
        most = max(most, len(followed.see(*rows, dt_s=1).track_id))
    assert most < 40


def test_boxes_that_do_not_grow_have_the_plain_overlap() -> None:
    rng = np.random.default_rng(1)
    corner = rng.uniform(0, 50, (2, 6, 2))
    a, b = np.concatenate([corner, corner + rng.uniform(1, 60, (2, 6, 2))], axis=2)
    plain = pairwise_iou(a.astype(np.float32), b.astype(np.float32))
    assert np.allclose(grown_iou(a, b, np.zeros((6, 2))), plain, atol=1e-5)
    assert (grown_iou(a, b, np.full((6, 2), 0.5)) > 0).sum() > (plain > 0).sum()


def test_the_best_sum_wins_over_the_best_pair() -> None:
    similarity = np.array([[0.9, 0.8], [0.8, 0.1]])
    rows, columns = assign(similarity, 0.2)
    assert dict(zip(rows.tolist(), columns.tolist(), strict=True)) == {0: 1, 1: 0}


def test_assignment_is_optimal_against_all_permutations() -> None:
    rng = np.random.default_rng(4)
    for _ in range(50):
        shape = rng.integers(1, 5, 2)
        similarity = rng.random(shape)
        rows, columns = assign(similarity, 0.0)
        assert len(rows) == min(shape)
        wide = similarity if shape[0] <= shape[1] else similarity.T
        best = max(
            sum(wide[i, p] for i, p in enumerate(chosen))
            for chosen in itertools.permutations(range(wide.shape[1]), wide.shape[0])
        )
        assert similarity[rows, columns].sum() == pytest.approx(best)


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nothing_is_assigned_to_nothing(shape: tuple[int, int]) -> None:
    rows, columns = assign(np.zeros(shape), 0.2)
    assert len(rows) == len(columns) == 0
    assert len(assign(np.full((2, 2), 0.1), 0.2)[0]) == 0


WHOLE = Look.whole(1280, 720)


def test_who_is_outside_of_all_looks_is_not_missed() -> None:
    followed = Followed(lost_s=0.5)
    for _ in range(4):
        followed.see(person(300))
    elsewhere = Look(800, 0, 192, 192, "motion")
    for _ in range(15):
        tracks = followed.see(looks=(elsewhere,))
        assert tracks.track_id.tolist() == [1]
        assert tracks.missed.tolist() == [False]
    assert ids(followed.see(person(300))) == [1]


def test_one_who_is_outside_of_all_looks_is_forgotten_in_the_end() -> None:
    followed = Followed(lost_s=0.5)
    for _ in range(4):
        followed.see(person(300))
    gone = [followed.see(looks=(Look(800, 0, 192, 192, "rest"),)).ended for _ in range(25)]
    assert [each for each in gone if each] == [(1,)]


def test_a_look_that_shows_the_place_and_nobody_there_is_a_miss() -> None:
    followed = Followed(lost_s=0.5)
    for _ in range(4):
        followed.see(person(300))
    crop = Look(200, 150, 200, 200, "track")
    missed = followed.see(looks=(crop,)).missed.tolist()
    assert missed == [True]
    for _ in range(10):
        tracks = followed.see(looks=(crop,))
    assert tracks.track_id.tolist() == []


def test_the_whole_frame_does_not_show_who_is_small() -> None:
    """Else someone who is detected in crops, every other frame, was never believed."""
    small: Row = (PERSON, 306, 330, 12, 30, 0.8)
    followed = Followed()
    crop = Look(210, 220, 192, 192, "motion")
    for _ in range(3):
        followed.see(small, looks=(crop,))
        tracks = followed.see(looks=(WHOLE,))
        assert tracks.missed.tolist() == [False]
    assert tracks.confirmed.tolist() == [True]

    large = Followed()
    large.see(person(300), looks=(WHOLE,))
    assert large.see(looks=(WHOLE,)).missed.tolist() == [True]
