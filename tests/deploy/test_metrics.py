"""Metrics: unknown classes left out, figures of cases that can be worked out by hand."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from deploy.__main__ import main
from deploy.evaluation.confusion import confusion
from deploy.evaluation.evaluate import evaluate
from deploy.evaluation.metrics import measure
from pi_detector.config.settings import ModelSettings

BUNDLE = Path(__file__).parents[2] / "models/street"


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


SCORES = {"person": 0.5, "car": 0.5}


def counts(annotations, results, thresholds=SCORES):
    matrix = confusion(annotations, results, thresholds)
    assert matrix.labels == ("person", "car", "background")
    return matrix.counts.tolist()


def test_a_perfect_detector_fills_the_diagonal(annotations):
    assert counts(annotations, PERFECT) == [[1, 0, 0], [0, 2, 0], [0, 0, 0]]


def test_a_miss_a_false_alarm_and_a_mistaken_class_each_have_their_cell(annotations):
    results = [
        found(1, 3, [10, 10, 20, 38], 0.9),  # on the person
        found(1, 3, [0, 80, 10, 10], 0.9),  # on nothing
        found(2, 3, [10, 50, 40, 20], 0.7),
    ]
    assert counts(annotations, results) == [[0, 1, 0], [0, 1, 1], [0, 1, 0]]
    matrix = confusion(annotations, results, SCORES)
    assert matrix.precision("car") == pytest.approx(1 / 3)
    assert matrix.recall("car") == pytest.approx(1 / 2)
    assert (matrix.precision("person"), matrix.recall("person")) == (None, 0)


def test_an_object_goes_to_its_own_class_even_if_another_is_surer(annotations):
    results = [found(1, 3, [10, 10, 20, 40], 0.9), found(1, 1, [10, 10, 20, 36], 0.6)]
    assert counts(annotations, results) == [[1, 0, 0], [0, 0, 2], [0, 1, 0]]


def test_a_second_detection_of_an_object_is_false(annotations):
    results = [*PERFECT, found(1, 1, [10, 10, 20, 38], 0.6)]
    assert counts(annotations, results) == [[1, 0, 0], [0, 2, 0], [1, 0, 0]]


def test_the_matrix_leaves_out_what_is_unknown_and_what_is_below_the_threshold(annotations):
    results = [*PERFECT, found(2, 1, [60, 10, 20, 40], 0.99), found(1, 1, [60, 10, 20, 40], 0.49)]
    assert counts(annotations, results) == [[1, 0, 0], [0, 2, 0], [0, 0, 0]]


def test_detections_in_a_crowd_are_neither_right_nor_wrong(annotations):
    content = json.loads(annotations.read_text())
    content["annotations"].append(box(4, 1, 3, [0, 0, 100, 30]) | {"iscrowd": 1})
    annotations.write_text(json.dumps(content))
    results = [*PERFECT, found(1, 3, [60, 5, 20, 10], 0.9), found(1, 1, [60, 5, 20, 10], 0.9)]
    assert counts(annotations, results) == [[1, 0, 0], [0, 2, 0], [1, 0, 0]]


def test_a_class_that_the_model_does_not_know_is_missed(annotations):
    assert counts(annotations, PERFECT, {"car": 0.5}) == [[0, 0, 1], [0, 2, 0], [0, 0, 0]]


@pytest.fixture
def photos(annotations):
    """The photos that the annotations list, blank."""
    folder = annotations.with_suffix("")
    folder.mkdir()
    for name in ("a.jpg", "b.jpg"):
        cv2.imwrite(str(folder / name), np.full((100, 100, 3), 128, np.uint8))
    return folder


def test_the_command_writes_the_figures_of_a_results_file(annotations, tmp_path, capsys):
    results, out = tmp_path / "found.json", tmp_path / "out.json"
    results.write_text(json.dumps(PERFECT))
    command = ["evaluate", str(results), "--annotations", str(annotations), "--json", str(out)]
    assert main(command) == 0
    assert "| car | 0 | 2 | 0 |" in capsys.readouterr().out
    content = json.loads(out.read_text())
    assert content["metrics"]["ap50"] == 1
    assert content["operating_point"]["classes"]["car"] == {
        "threshold": 0.5, "precision": 1, "recall": 1
    }  # fmt: skip


def test_the_threshold_can_be_given(annotations, tmp_path, capsys):
    results = tmp_path / "found.json"
    results.write_text(json.dumps(PERFECT))
    command = ["evaluate", str(results), "--annotations", str(annotations), "--min-score", "0.75"]
    assert main(command) == 0
    assert "| car | 0 | 1 | 1 |" in capsys.readouterr().out


def test_a_class_that_the_bundle_lacks_counts_0_and_is_named(annotations, photos, caplog):
    content = json.loads(annotations.read_text())
    content["categories"][1]["name"] = "zebra"
    annotations.write_text(json.dumps(content))
    metrics = evaluate(ModelSettings(), annotations, photos)
    assert "does not know the class 'zebra'" in caplog.text
    assert metrics.classes["zebra"].ap50 == 0


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (None, "cannot be read"),
        ("{", "not a COCO annotation file"),
        ("[1]", "not a COCO annotation file"),
        ('{"images": []}', "needs `images`, `annotations` and `categories`"),
    ],
)
def test_annotations_that_cannot_be_used_are_refused(tmp_path, capsys, damage, message):
    path, results = tmp_path / "val.json", tmp_path / "found.json"
    results.write_text("[]")
    if damage is not None:
        path.write_text(damage)
    assert main(["evaluate", str(results), "--annotations", str(path)]) == 65
    error = capsys.readouterr().err
    assert str(path) in error
    assert message in error


def test_missing_photos_and_foreign_detections_are_refused(annotations, tmp_path, capsys):
    bundle = [str(BUNDLE), "--annotations", str(annotations)]
    assert main(["evaluate", *bundle]) == 65
    assert "2 of 2 photos are missing" in capsys.readouterr().err
    results = tmp_path / "found.json"
    results.write_text(json.dumps([found(77, 1, [0, 0, 9, 9], 0.9)]))
    assert main(["evaluate", str(results), "--annotations", str(annotations)]) == 65
    assert "lists no image 77" in capsys.readouterr().err
    results.write_text('[{"image_id": 1}]')
    assert main(["evaluate", str(results), "--annotations", str(annotations)]) == 65
    assert "not a COCO results list" in capsys.readouterr().err


def test_a_foreign_detector_is_measured_by_the_names_of_its_classes(
    annotations, photos, shared, tmp_path
):
    model = shared / "reference/ssd_mobilenet_v1_coco_uint8_postprocess.tflite"
    labels = shared / "reference/ssd_mobilenet_v1_coco_labels.txt"
    out = tmp_path / "out.json"
    command = ["evaluate", str(model), "--labels", str(labels), "--json", str(out)]
    assert main([*command, "--annotations", str(annotations)]) == 0
    classes = json.loads(out.read_text())["operating_point"]["classes"]
    assert [row["threshold"] for row in classes.values()] == [0.5, 0.5]
