"""YOLO's outputs: boxes as its own formula has them, in float and in integers."""

import numpy as np
import pytest
from test_detector_decoders import Tensors, manifest
from yolo_heads import by_formula, stored, yolov5_head, yolov8_head

from pi_detector.detector.candidates import DecoderSpec
from pi_detector.detector.decoders import make_decoder
from pi_detector.detector.tensors import TensorInfo
from pi_detector.errors import BadLabelsError, BadModelError

SIZE = (96, 64)
SCALE, ZERO = 1 / 255, -128


def decoder(architecture, shape, dtype=np.float32, scores=(0.4, 0.4), **table):
    info = TensorInfo(
        7, "out", shape, np.dtype(dtype), *((SCALE, ZERO) if dtype == np.int8 else ())
    )
    said = manifest(architecture, decoder={"output": "out"} | table)
    return make_decoder(DecoderSpec("yard", [info], list(scores), said))


def noisy_head(seed, columns, count, objectness):
    """Scores of which a few are high, boxes anywhere."""
    random = np.random.default_rng(seed)
    head = random.random((columns, count), np.float32)
    head[4:] **= 3
    head[:2], head[2:4] = head[:2], head[2:4] / 3
    if objectness:
        head[4] = random.random(count)
    return head


@pytest.mark.parametrize("architecture", ["yolov8", "yolov5"])
@pytest.mark.parametrize("layout", ["columns", "rows"])
@pytest.mark.parametrize("dtype", [np.float32, np.int8])
def test_boxes_are_those_of_the_formula(architecture, layout, dtype):
    objectness = architecture == "yolov5"
    real = noisy_head(3, 7 if objectness else 6, 60, objectness)
    held = stored(real, SCALE, ZERO) if dtype == np.int8 else real
    real = (held.astype(np.float64) - ZERO) * SCALE if dtype == np.int8 else real
    array = held if layout == "columns" else held.T
    made = decoder(architecture, (1, *array.shape), dtype, layout=layout)
    found = made.read(Tensors(_7=np.ascontiguousarray(array)[np.newaxis]))
    wanted = by_formula(real, 0.4, objectness=objectness)
    assert len(wanted) > 5
    assert found.class_index.tolist() == [index for _, index, _ in wanted]
    np.testing.assert_allclose(found.score, [score for *_, score in wanted], atol=1e-6)
    np.testing.assert_allclose(found.xyxy, [box for box, *_ in wanted], atol=1e-6)


def test_boxes_in_pixels_are_divided_by_the_input():
    head = yolov8_head(SIZE, 2, [([8, 16, 40, 48], 1, 0.9)])
    head[:, :4] *= np.asarray([96, 64, 96, 64])[:, np.newaxis]
    found = decoder("yolov8", head.shape, unit="pixels").read(Tensors(_7=head))
    np.testing.assert_allclose(found.xyxy, [[8 / 96, 16 / 64, 40 / 96, 48 / 64]], atol=1e-6)


def test_a_class_has_a_lowest_score_of_its_own():
    boxes = [([0, 0, 30, 30], 0, 0.5), ([50, 0, 80, 30], 1, 0.5), ([0, 30, 30, 60], 1, 0.7)]
    head = yolov8_head(SIZE, 2, boxes)
    for dtype in (np.float32, np.int8):
        held = stored(head, SCALE, ZERO) if dtype == np.int8 else head
        found = decoder("yolov8", head.shape, dtype, (0.4, 0.6)).read(Tensors(_7=held))
        assert sorted(found.class_index.tolist()) == [0, 1]
        none = decoder("yolov8", head.shape, dtype, (2.0, 2.0)).read(Tensors(_7=held))
        assert len(none) == 0


def test_an_objectness_multiplies_the_score():
    head = yolov5_head(SIZE, 2, [([0, 0, 30, 30], 0, 0.5), ([50, 0, 80, 30], 1, 0.39)])
    found = decoder("yolov5", head.shape, layout="rows").read(Tensors(_7=head))
    assert found.class_index.tolist() == [0]
    assert found.score.tolist() == pytest.approx([0.5])


def test_numbers_that_are_none_are_no_boxes():
    head = yolov8_head(SIZE, 2, [([0, 0, 30, 30], 0, 0.9), ([50, 0, 80, 30], 1, 0.8)])
    cell = int(head[0, 4].argmax())
    head[0, 2, cell] = np.inf
    head[0, 4, 0] = np.nan
    found = decoder("yolov8", head.shape).read(Tensors(_7=head))
    assert found.class_index.tolist() == [1]


def test_suppressed_by_the_network_itself():
    rows = np.zeros((1, 300, 6), np.float32)
    rows[0, :3] = [[10, 20, 40, 60, 0.9, 1], [0, 0, 9, 9, 0.5, 0], [0, 0, 5, 5, 0.1, 9]]
    made = decoder("yolo-end2end", rows.shape, layout="rows", unit="pixels")
    found = made.read(Tensors(_7=rows))
    assert found.class_index.tolist() == [1, 0]
    np.testing.assert_allclose(found.xyxy[0], [10 / 96, 20 / 64, 40 / 96, 60 / 64], atol=1e-6)
    rows[0, 0, 5] = 2
    with pytest.raises(BadLabelsError, match="class 2, but there are labels for 2 classes"):
        made.read(Tensors(_7=rows))


@pytest.mark.parametrize(
    ("architecture", "shape", "table", "error", "message"),
    [
        ("yolov8", (1, 7, 84), {}, BadLabelsError, "2 labels, but the model has 3 classes"),
        ("yolov5", (1, 252, 6), {"layout": "rows"}, BadLabelsError, "the model has 1 classes"),
        ("yolov8", (1, 84), {}, BadModelError, r"output \(1, 84\) is not the one"),
        ("yolov8", (2, 6, 84), {}, BadModelError, "is not the one that its manifest describes"),
        ("yolo-end2end", (1, 300, 7), {}, BadModelError, r"is not \(1, N, 6\)"),
        ("yolov8", (1, 6, 84), {"unit": "metres"}, BadModelError, "metres.*import the model again"),
        ("yolov8", (1, 6, 84), {"output": "o"}, BadModelError, "no output 'o'"),
        ("yolov8", (1, 6, 84), {"color": 1}, BadModelError, "color"),
    ],
)
def test_an_output_that_does_not_fit_the_manifest(architecture, shape, table, error, message):
    with pytest.raises(error, match=message):
        decoder(architecture, shape, **table)


def test_the_best_of_too_many_are_kept():
    random = np.random.default_rng(5)
    head = random.uniform(0.5, 1, (1, 6, 2000)).astype(np.float32)
    found = decoder("yolov8", head.shape).read(Tensors(_7=head))
    best = np.sort(head[0, 4:].max(axis=0))[::-1]
    np.testing.assert_allclose(found.score, best[:1000])
