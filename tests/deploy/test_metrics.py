"""Metrics: unknown classes left out, figures of cases that can be worked out by hand."""

import json

import pytest

from deploy.metrics import measure


@pytest.fixture
def annotations(tmp_path):
    """Two photos; the person of the second is not annotated, as persons are unknown there."""
    content = {
        "categories": [{"id": 1, "name": "person"}, {"id": 3, "name": "car"}],
        "images": [
            {"id": 1, "file_name": "a.jpg", "width": 100, "height": 100, "labelled": [1, 3]},
            {"id": 2, "file_name": "b.jpg", "width": 100, "height": 100, "labelled": [3]},
        ],
        "annotations": [
            box(1, 1, 1, [10, 10, 20, 40]),
            box(2, 1, 3, [50, 50, 40, 20]),
            box(3, 2, 3, [10, 50, 40, 20]),
        ],
    }
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(content))
    return path


def box(number, image, category, xywh):
    area = xywh[2] * xywh[3]
    return {"id": number, "image_id": image, "category_id": category, "bbox": xywh,
            "area": area, "iscrowd": 0}  # fmt: skip


def found(image, category, xywh, score):
    return {"image_id": image, "category_id": category, "bbox": xywh, "score": score}


PERFECT = [
    found(1, 1, [10, 10, 20, 40], 0.9),
    found(1, 3, [50, 50, 40, 20], 0.8),
    found(2, 3, [10, 50, 40, 20], 0.7),
]


def test_perfect_detections_score_one(annotations):
    metrics = measure(annotations, PERFECT)
    assert metrics.ap50 == pytest.approx(1)
    assert metrics.ap == pytest.approx(1)
    assert metrics.classes["car"].objects == 2


def test_a_detection_of_an_unknown_class_is_neither_right_nor_wrong(annotations):
    extra = found(2, 1, [60, 10, 20, 40], 0.99)
    assert measure(annotations, [*PERFECT, extra]).ap50 == pytest.approx(1)


def test_a_false_detection_of_a_known_class_costs(annotations):
    extra = found(1, 1, [60, 10, 20, 40], 0.99)
    metrics = measure(annotations, [*PERFECT, extra])
    assert metrics.classes["person"].ap50 == pytest.approx(0.5)
    assert metrics.classes["car"].ap50 == pytest.approx(1)


def test_nothing_found_scores_zero(annotations):
    assert measure(annotations, []).ap50 == 0


def test_the_shipped_score_keeps_the_true_and_drops_the_false(annotations):
    extra = found(1, 3, [0, 0, 10, 10], 0.3)
    car = measure(annotations, [*PERFECT, extra]).classes["car"]
    assert 0.3 < car.score <= 0.4
    assert (car.precision, car.recall) == pytest.approx((1, 1))
