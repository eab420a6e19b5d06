"""Pseudo-labels: sure boxes become annotations, doubtful ones are ignored, both as measured."""

import json

import pytest

from deploy.__main__ import main
from deploy.data.pseudo import PseudoSettings, add_coco_classes, pseudo_label, read_detections

BOX = [10.0, 10.0, 20.0, 20.0]
ELSEWHERE = [60.0, 60.0, 20.0, 20.0]


def content(labelled=60, unlabelled=3):
    """Photos with a dog each, annotated in the first ones."""
    images = [
        {"id": i, "file_name": f"{i}.jpg", "width": 100, "height": 100,
         "labelled": [1] if i < labelled else []}
        for i in range(labelled + unlabelled)
    ]  # fmt: skip
    annotations = [
        {"id": i, "image_id": i, "category_id": 1, "bbox": BOX, "iscrowd": 0}
        for i in range(labelled)
    ]
    return {"images": images, "annotations": annotations,
            "categories": [{"id": 1, "name": "dog"}]}  # fmt: skip


def added(content):
    return [box for box in content["annotations"] if "pseudo" in box]


def test_scores_are_judged_on_annotated_photos():
    photos = content()
    # Boxes of 0.7 are right, those of 0.5 every third time, those of 0.3 never.
    found = {i: [(1, 0.72, BOX), (1, 0.32, ELSEWHERE)] for i in range(63)}
    for i in range(60):
        found[i].append((1, 0.52, ELSEWHERE))
        if i % 3 == 0:
            found[i][0] = (1, 0.52, BOX)
    for i in range(60, 63):
        found[i].append((1, 0.52, ELSEWHERE))
    report = pseudo_label(photos, found, PseudoSettings(right_doubt=0.2))
    assert report["dog"]["measured"]
    assert report["dog"]["sure"] == pytest.approx(0.7)
    assert report["dog"]["doubt"] == pytest.approx(0.5)
    assert [(b["pseudo"], b.get("ignore", 0)) for b in added(photos)] == [(0.72, 0), (0.52, 1)] * 3
    assert all(image["labelled"] == [1] for image in photos["images"])


def test_with_few_objects_the_given_scores_count():
    photos = content(labelled=5)
    report = pseudo_label(photos, {i: [(1, 0.3, BOX)] for i in range(8)}, PseudoSettings())
    assert not report["dog"]["measured"]
    assert [box.get("ignore") for box in added(photos)] == [1, 1, 1]


def test_a_teacher_that_overlooks_a_class_does_not_say_where_it_is_absent():
    photos = content()
    report = pseudo_label(photos, {i: [] for i in range(63)}, PseudoSettings())
    assert report["dog"]["overlooked"] == 1.0
    assert photos["images"][-1]["labelled"] == []


def test_both_forms_of_detections_say_the_same(tmp_path):
    photos = content()
    rows, by_name = tmp_path / "rows.json", tmp_path / "by_name.json"
    rows.write_text(json.dumps(
        [{"image_id": 3, "category_id": 1, "score": 0.5, "bbox": BOX}]
    ))  # fmt: skip
    by_name.write_text(json.dumps({"3.jpg": [[1, 0.5, *BOX]], "another.jpg": [[1, 0.5, *BOX]]}))
    assert read_detections(rows, photos) == read_detections(by_name, photos)


@pytest.mark.parametrize("text", ["nonsense", '[{"image_id": 3}]', "[]", "{}", '{"3.jpg": [[1]]}'])
def test_what_is_no_detections_is_refused(tmp_path, data, text, capsys):
    file = tmp_path / "found.json"
    file.write_text(text)
    out = tmp_path / "out.json"
    arguments = ["--data", str(data), "--detections", str(file), "--out", str(out)]
    assert main(["pseudo-label", *arguments]) == 65
    assert "found.json" in capsys.readouterr().err
    assert not out.exists()


def test_all_of_coco_becomes_categories():
    photos = content()
    photos["categories"][0] = {"id": 18, "name": "dog"}
    add_coco_classes(photos)
    assert len(photos["categories"]) == 80
    assert photos["categories"][0]["name"] == "dog"
    assert {c["id"]: c["name"] for c in photos["categories"]}[90] == "toothbrush"
