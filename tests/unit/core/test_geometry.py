from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pi_detector.core.geometry import Detections, FloatArray, pairwise_iou

# A loaded machine is no failure.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def boxes(draw: st.DrawFn) -> FloatArray:
    count = draw(st.integers(0, 6))
    corners = hnp.arrays(np.float32, (count, 2), elements=st.floats(0, 4096, width=32))
    first, second = draw(corners), draw(corners)
    return np.hstack([np.minimum(first, second), np.maximum(first, second)])


def test_iou_of_known_boxes() -> None:
    a = np.array([[0, 0, 2, 2], [10, 10, 12, 12]], np.float32)
    b = np.array([[0, 0, 2, 2], [1, 0, 3, 2], [1, 1, 3, 3], [2, 0, 4, 2]], np.float32)
    expected = [[1, 1 / 3, 1 / 7, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(pairwise_iou(a, b), expected, atol=1e-6)


def test_boxes_without_area_overlap_nothing() -> None:
    point = np.array([[5, 5, 5, 5]], np.float32)
    assert pairwise_iou(point, point).tolist() == [[0.0]]


@unhurried
@given(boxes(), boxes())
def test_iou_is_a_share_and_symmetric(a: FloatArray, b: FloatArray) -> None:
    iou = pairwise_iou(a, b)
    assert iou.shape == (len(a), len(b))
    assert iou.dtype == np.float32
    assert np.all((iou >= 0) & (iou <= 1 + 1e-5))
    np.testing.assert_allclose(iou, pairwise_iou(b, a).T, rtol=1e-6)


def test_detections_are_filtered_by_mask_and_ordered_by_index() -> None:
    found = Detections(
        np.arange(12, dtype=np.float32).reshape(3, 4),
        np.array([0.9, 0.8, 0.7], np.float32),
        np.array([1, 2, 1]),
    )
    persons = found[found.class_id == 1]
    assert len(persons) == 2
    assert persons.score.tolist() == found.score[[0, 2]].tolist()
    assert persons.xyxy[1].tolist() == [8, 9, 10, 11]
    assert found[np.array([2, 0])].xyxy[:, 0].tolist() == [8, 0]


def test_no_detections_have_the_right_shapes() -> None:
    nothing = Detections()
    assert len(nothing) == 0
    assert nothing.xyxy.shape == (0, 4)
    assert nothing[np.zeros(0, bool)].class_id.dtype == np.int64
