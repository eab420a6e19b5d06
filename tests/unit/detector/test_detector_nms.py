"""Suppression against a plain reference."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pi_detector.detector.nms import suppress, vote


def reference(xyxy, score, class_id, threshold):
    """Greedy suppression, a pair at a time."""

    def iou(a, b):
        width = min(a[2], b[2]) - max(a[0], b[0])
        height = min(a[3], b[3]) - max(a[1], b[1])
        overlap = max(width, 0) * max(height, 0)
        area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
        return overlap / (area - overlap)

    boxes = np.asarray(xyxy, np.float64)
    kept: list[int] = []
    for i in sorted(range(len(score)), key=lambda i: (-score[i], i)):
        rivals = [k for k in kept if class_id[k] == class_id[i]]
        if all(iou(boxes[k], boxes[i]) <= threshold for k in rivals):
            kept.append(i)
    return kept


# Whole numbers and powers of two: overlaps are exact, so none sits a rounding error off the limit.
box = st.tuples(
    st.integers(-64, 64), st.integers(-64, 64), st.integers(1, 64), st.integers(1, 64)
).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))
row = st.tuples(box, st.integers(0, 8).map(lambda n: n / 8), st.integers(0, 3))


@settings(max_examples=300, deadline=None)
@given(rows=st.lists(row, max_size=24), threshold=st.sampled_from([0.0, 0.3, 0.55, 0.7, 1.0]))
def test_keeps_what_plain_greedy_suppression_keeps(rows, threshold):
    xyxy = np.asarray([r[0] for r in rows], np.float32).reshape(-1, 4)
    score = np.asarray([r[1] for r in rows], np.float32)
    class_id = np.asarray([r[2] for r in rows], np.int64)
    kept = suppress(xyxy, score, class_id, threshold)
    assert kept.tolist() == reference(xyxy, score, class_id, threshold)


def test_agrees_in_normalized_units_on_a_crowd():
    rng = np.random.default_rng(7)
    centre = rng.uniform(0.1, 0.9, (40, 2))[rng.integers(0, 40, 400)]
    centre += rng.normal(0, 0.01, (400, 2))
    half = rng.uniform(0.03, 0.1, (400, 2))
    xyxy = np.concatenate([centre - half, centre + half], 1).astype(np.float32)
    score = rng.uniform(0.1, 1, 400).astype(np.float32)
    class_id = rng.integers(0, 6, 400)
    kept = suppress(xyxy, score, class_id, 0.5)
    assert kept.tolist() == reference(xyxy, score, class_id, 0.5)
    assert 0 < len(kept) < 400


def test_classes_do_not_suppress_each_other_where_coordinates_are_negative():
    xyxy = np.asarray([[0, 0, 100, 100], [-101, 0, -1, 100]], np.float32)
    kept = suppress(xyxy, np.asarray([0.9, 0.8], np.float32), np.asarray([0, 1]), 0.1)
    assert kept.tolist() == [0, 1]


def test_a_score_of_zero_stays():
    xyxy = np.asarray([[0, 0, 1, 1], [5, 5, 6, 6]], np.float32)
    assert suppress(xyxy, np.zeros(2, np.float32), np.zeros(2, np.int64), 0.5).tolist() == [0, 1]


def test_nothing_and_one():
    none = np.zeros((0, 4), np.float32)
    assert suppress(none, none[:, 0], np.zeros(0, np.int64), 0.5).tolist() == []
    one = np.asarray([[0, 0, 1, 1]], np.float32)
    assert suppress(one, np.zeros(1, np.float32), np.zeros(1, np.int64), 0.5).tolist() == [0]


def test_like_boxes_vote_with_their_scores():
    xyxy = np.asarray([[0, 0, 10, 10], [0, 0, 10, 12], [0, 0, 10, 30], [0, 0, 10, 12]], np.float32)
    score = np.asarray([0.75, 0.25, 0.5, 0.5], np.float32)
    class_id = np.asarray([0, 0, 0, 1])
    found = vote(xyxy, score, class_id, np.asarray([0, 3]))
    np.testing.assert_allclose(found, [[0, 0, 10, 10.5], [0, 0, 10, 12]], rtol=1e-6)


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.floats(0, 1, width=32)] * 5), max_size=12))
def test_voted_boxes_lie_within_those_that_vote(rows):
    table = np.asarray(rows, np.float32).reshape(-1, 5)
    xyxy = np.concatenate([table[:, :2], table[:, :2] + table[:, 2:4]], 1)
    class_id = np.zeros(len(table), np.int64)
    kept = suppress(xyxy, table[:, 4], class_id, 0.5)
    found = vote(xyxy, table[:, 4], class_id, kept)
    assert found.shape == (len(kept), 4)
    if len(kept):
        assert (found >= xyxy.min(0) - 1e-6).all()
        assert (found <= xyxy.max(0) + 1e-6).all()


def test_nothing_votes_for_nothing():
    none = np.zeros(0, np.int64)
    found = vote(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), none, none)
    assert found.shape == (0, 4)
