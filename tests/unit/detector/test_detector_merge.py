from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pi_detector.core.looks import Look
from pi_detector.detector.candidates import Candidates
from pi_detector.detector.merge import merge, placed

SIZE = (1280, 720)
WHOLE = Look.whole(*SIZE)
CROP = Look(400, 200, 200, 200, "motion")


def found(*rows: tuple[float, float, float, float, float, int]) -> Candidates:
    """Rows of x1, y1, x2, y2, score, class index."""
    table = np.array(rows, np.float32).reshape(-1, 6)
    return Candidates(table[:, :4], table[:, 4], table[:, 5].astype(np.int64))


def boxes(merged: Candidates) -> list[tuple[float, ...]]:
    return [tuple(row) for row in merged.xyxy.round(3).tolist()]


def test_boxes_of_a_crop_come_back_to_the_frame() -> None:
    inside = placed(found((50, 100, 100, 200, 0.9, 0)), CROP)
    assert boxes(inside) == [(450, 300, 500, 400)]


def test_what_one_look_missed_the_other_adds() -> None:
    merged = merge(
        [(WHOLE, found((20, 20, 200, 300, 0.9, 0))), (CROP, found((450, 250, 470, 290, 0.6, 0)))],
        SIZE,
        0.5,
    )
    assert boxes(merged) == [(20, 20, 200, 300), (450, 250, 470, 290)]
    assert merged.score.tolist() == pytest.approx([0.9, 0.6])


def test_the_same_object_in_two_looks_is_one() -> None:
    merged = merge(
        [(WHOLE, found((448, 250, 502, 352, 0.7, 0))), (CROP, found((450, 250, 500, 350, 0.8, 0)))],
        SIZE,
        0.5,
    )
    assert len(merged) == 1
    assert merged.score[0] == pytest.approx(0.8)


def test_objects_of_two_classes_stay_two() -> None:
    merged = merge(
        [(WHOLE, found((448, 250, 502, 352, 0.7, 1))), (CROP, found((450, 250, 500, 350, 0.8, 0)))],
        SIZE,
        0.5,
    )
    assert len(merged) == 2


@pytest.mark.parametrize(
    "box",
    [(400, 250, 440, 300), (560, 250, 600, 300), (450, 200, 500, 260), (450, 340, 500, 398)],
    ids=["left", "right", "top", "bottom"],
)
def test_a_box_that_an_inner_border_cuts_gives_way(box: tuple[float, ...]) -> None:
    assert len(merge([(CROP, found((*box, 0.9, 0)))], SIZE, 0.5)) == 0
    whole = (box[0] - 30, box[1] - 30, box[2] + 30, box[3] + 30)
    merged = merge([(WHOLE, found((*whole, 0.5, 0))), (CROP, found((*box, 0.9, 0)))], SIZE, 0.5)
    assert boxes(merged) == [whole]


@pytest.mark.parametrize("corner", [(0, 0), (1080, 520)])
def test_the_border_of_the_frame_cuts_nothing(corner: tuple[int, int]) -> None:
    x, y = corner
    crop = Look(x, y, 200, 200, "motion")
    box = (x, y, x + 60, y + 60) if x == 0 else (x + 140, y + 140, x + 200, y + 200)
    assert boxes(merge([(crop, found((*box, 0.9, 0)))], SIZE, 0.5)) == [box]


def test_a_part_gives_way_to_the_whole_that_its_look_did_not_show() -> None:
    person, head = (450, 150, 550, 600), (470, 210, 530, 280)
    merged = merge([(WHOLE, found((*person, 0.8, 0))), (CROP, found((*head, 0.9, 0)))], SIZE, 0.5)
    assert boxes(merged) == [person]


def test_two_small_ones_replace_the_one_that_a_coarse_look_made_of_them() -> None:
    both = (440, 250, 520, 330)
    one, other = (445, 252, 475, 328), (485, 252, 515, 328)
    merged = merge(
        [(WHOLE, found((*both, 0.7, 0))), (CROP, found((*one, 0.8, 0), (*other, 0.75, 0)))],
        SIZE,
        0.5,
    )
    assert boxes(merged) == [one, other]


def test_a_part_does_not_replace_a_box_that_the_finer_look_has_as_well() -> None:
    person, again, part = (440, 230, 520, 390), (442, 232, 518, 388), (445, 240, 500, 300)
    merged = merge(
        [(WHOLE, found((*person, 0.8, 0))), (CROP, found((*again, 0.6, 0), (*part, 0.7, 0)))],
        SIZE,
        0.5,
    )
    assert merged.score[0] == pytest.approx(0.8)
    assert boxes(merged)[0][3] > 380


def test_a_weak_part_does_not_replace_a_strong_whole() -> None:
    person, part = (440, 230, 520, 390), (450, 240, 500, 270)
    merged = merge([(WHOLE, found((*person, 0.9, 0))), (CROP, found((*part, 0.3, 0)))], SIZE, 0.5)
    assert person in boxes(merged)


def test_nothing_found_is_nothing_merged() -> None:
    assert len(merge([(WHOLE, found()), (CROP, found())], SIZE, 0.5)) == 0
    assert len(merge([(Look.whole(1, 1), found())], (1, 1), 0.5)) == 0


shares = st.floats(0, 1, width=32)
rows = st.lists(
    st.tuples(shares, shares, shares, shares, st.floats(0.125, 1, width=32), st.integers(0, 2)),
    max_size=8,
)
looks = st.builds(
    Look, st.integers(0, 900), st.integers(0, 400), st.integers(100, 380),
    st.integers(100, 320), st.just("motion"),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(looks, rows), min_size=1, max_size=4), rows)
def test_merging_adds_nothing_and_keeps_the_best_of_the_whole_frame(
    crops: list[tuple[Look, list]], whole: list
) -> None:
    def ordered(table: list) -> Candidates:
        upright = [
            (min(a, c), min(b, d), max(a, c) + 0.01, max(b, d) + 0.01, s, k)
            for a, b, c, d, s, k in table
        ]
        return found(*upright)

    def scaled(table: list, look: Look) -> Candidates:
        part = ordered(table)
        sides = np.array([look.width, look.height] * 2, np.float32)
        return placed(replace(part, xyxy=part.xyxy * sides), look)

    parts = [(look, scaled(table, look)) for look, table in crops]
    parts.append((WHOLE, scaled(whole, WHOLE)))
    merged = merge(parts, SIZE, 0.5)
    given_pairs = {
        (float(s), int(k))
        for _, part in parts
        for s, k in zip(part.score, part.class_index, strict=True)
    }
    pairs = list(zip(merged.score.tolist(), merged.class_index.tolist(), strict=True))
    assert set(pairs) <= given_pairs
    assert sorted((s for s, _ in pairs), reverse=True) == [s for s, _ in pairs]
    assert len(merged) <= sum(len(part) for _, part in parts)
    # The order of the looks decides nothing but ties.
    if len({s for s, _ in given_pairs}) == sum(len(part) for _, part in parts):
        reverse = merge(parts[::-1], SIZE, 0.5)
        assert sorted(reverse.score.tolist()) == sorted(merged.score.tolist())
