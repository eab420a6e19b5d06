"""Decoding of raw SSD outputs: the integer path against plain real numbers."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pi_detector.detector.anchors import AnchorSpec, decode_boxes, make_anchors, shapes_of
from pi_detector.detector.ssd import MAX_CANDIDATES, SsdDecoder, stored_limit
from pi_detector.detector.tensors import TensorInfo
from pi_detector.errors import BadLabelsError, BadModelError

SPEC = AnchorSpec(
    input_size=(64, 96),
    strides=(16, 32),
    shapes=(shapes_of((20.0,), (1.0, 2.0)), shapes_of((50.0,), (1.0, 2.0))),
)
N = len(SPEC)
CLASSES = 3


def info(name, columns, dtype=np.int8, scale=0.05, zero_point=10):
    quantized = np.dtype(dtype).kind in "iu"
    return TensorInfo(
        0, name, (1, N, columns), np.dtype(dtype), scale if quantized else 0.0, zero_point
    )


def plain(logits, boxes, logits_info, boxes_info, min_scores):
    """All anchors in real numbers: (score, anchor, class, box) of what reaches its threshold."""
    score = 1 / (1 + np.exp(-logits_info.dequantize(logits).astype(np.float64)))
    xyxy = decode_boxes(boxes_info.dequantize(boxes), make_anchors(SPEC), SPEC.variances)
    xyxy /= np.asarray([96, 64, 96, 64], np.float32)
    rows = [
        (score[a, c], a, c, xyxy[a])
        for a in range(N)
        for c in range(CLASSES)
        if score[a, c] >= min_scores[c]
    ]
    return sorted(rows, key=lambda r: (-r[0], r[1], r[2]))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    dtype=st.sampled_from([np.int8, np.uint8, np.float32]),
    min_scores=st.tuples(*[st.sampled_from([0.0, 0.07, 0.33, 0.61, 0.9, 0.999, 2.0])] * CLASSES),
)
def test_gives_what_real_numbers_give(seed, dtype, min_scores):
    rng = np.random.default_rng(seed)
    logits_info, boxes_info = info("logits", CLASSES, dtype), info("boxes", 4, dtype, 0.03, 5)
    if dtype == np.float32:
        logits = rng.normal(0, 3, (N, CLASSES)).astype(np.float32)
        boxes = rng.normal(0, 2, (N, 4)).astype(np.float32)
    else:
        limits = np.iinfo(dtype)
        logits, boxes = (
            rng.integers(limits.min, limits.max + 1, (N, c)).astype(dtype) for c in (CLASSES, 4)
        )
    found = SsdDecoder(SPEC, logits_info, boxes_info, min_scores).decode(logits, boxes)
    expected = plain(logits, boxes, logits_info, boxes_info, min_scores)[:MAX_CANDIDATES]
    assert found.class_index.tolist() == [row[2] for row in expected]
    np.testing.assert_allclose(found.score, [row[0] for row in expected], rtol=1e-5, atol=1e-6)
    if expected:
        np.testing.assert_allclose(found.xyxy, [row[3] for row in expected], rtol=1e-4, atol=1e-5)
    assert found.xyxy.dtype == found.score.dtype == np.float32


@given(score=st.floats(0.001, 0.999), scale=st.floats(0.005, 0.2), zero=st.integers(-128, 127))
def test_limit_is_the_lowest_stored_value_that_reaches_the_score(score, scale, zero):
    limit = stored_limit(score, info("logits", CLASSES, np.int8, scale, zero))
    logit = math.log(score / (1 - score))
    assert (limit - zero) * scale >= logit - 1e-9
    assert (limit - 1 - zero) * scale < logit


def test_bounds_what_goes_on_to_suppression():
    spec = AnchorSpec((300, 300), (8,), (((21.0, 21.0),),))
    logits = TensorInfo(0, "l", (1, len(spec), 1), np.dtype(np.int8), 0.05, 0)
    boxes = TensorInfo(1, "b", (1, len(spec), 4), np.dtype(np.int8), 0.05, 0)
    values = np.zeros((len(spec), 1), np.int8)
    values[1000:1010] = 100
    found = SsdDecoder(spec, logits, boxes, [0.2]).decode(values, np.zeros((len(spec), 4), np.int8))
    assert len(found.score) == MAX_CANDIDATES
    assert (found.score[:10] > 0.99).all()
    assert found.score[10] == pytest.approx(0.5)


def test_a_background_frame_gives_nothing():
    decoder = SsdDecoder(SPEC, info("l", CLASSES), info("b", 4), [0.5] * CLASSES)
    found = decoder.decode(np.full((N, CLASSES), -128, np.int8), np.zeros((N, 4), np.int8))
    assert len(found.score) == 0
    assert found.xyxy.shape == (0, 4)


def test_rejects_outputs_that_do_not_fit_the_anchors():
    wrong = TensorInfo(0, "l", (1, N + 1, CLASSES), np.dtype(np.int8), 0.05, 0)
    with pytest.raises(BadModelError, match=f"{N} anchors"):
        SsdDecoder(SPEC, wrong, info("b", 4), [0.5] * CLASSES)


def test_rejects_labels_that_do_not_fit_the_classes():
    with pytest.raises(BadLabelsError, match="2 labels, but the model has 3 classes"):
        SsdDecoder(SPEC, info("l", CLASSES), info("b", 4), [0.5] * 2)
