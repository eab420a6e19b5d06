"""Data sets of other tools become what training reads."""

import json

import cv2
import numpy as np
import pytest
from drawn import (
    PHOTOS,
    TENSORFLOW_FILE,
    WRITERS,
    draw,
    framed,
    refused,
    run_import,
    tf_example,
    voc_xml,
    write_coco,
    write_voc,
    write_yolo,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.__main__ import main
from deploy.data.dataset import load_coco
from deploy.data.formats import ReadOptions, detect_format, open_source
from deploy.data.formats.base import photo_facts
from deploy.data.formats.yolo import parse_line

__all__ = ["refused"]  # A fixture.


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_becomes_the_same_data_set(name, tmp_path):
    source, out = tmp_path / "source", tmp_path / "data" / "train.json"
    source.mkdir()
    WRITERS[name](source)
    assert detect_format(source) == name
    assert run_import(source, out) == 0
    dataset = load_coco(out, out.with_suffix(""))
    labels = [category.name for category in dataset.categories]
    assert sorted(labels) == ["car", "person"]
    assert {photo.path.name for photo in dataset.photos} == set(PHOTOS)
    for photo in dataset.photos:
        size, boxes = PHOTOS[photo.path.name]
        assert photo_facts(photo.path, "")[0] == size
        assert [labels[n] for n in photo.classes] == [label for label, _ in boxes]
        np.testing.assert_allclose(
            photo.xyxy, np.reshape([b for _, b in boxes], (-1, 4)), atol=0.02
        )
        assert photo.known.all()


def test_a_record_of_tensorflow_is_read(tmp_path):
    (tmp_path / "drawn.tfrecord").write_bytes(TENSORFLOW_FILE)
    items = list(open_source(tmp_path / "drawn.tfrecord", ReadOptions()).items)
    assert [item.name for item in items] == ["drawn-0.png", "drawn-1.png"]
    assert [item.boxes[0].label for item in items] == ["person", "car"]
    assert all(item.size == (32, 24) for item in items)
    assert all(item.boxes[0].xyxy == (8.0, 6.0, 24.0, 18.0) for item in items)


def test_an_imported_data_set_trains(tmp_path):
    write_yolo(tmp_path / "source")
    assert run_import(tmp_path / "source", tmp_path / "data" / "train.json") == 0
    rest = ["--phases", "96x1", "--width", "0.35", "--batch", "2", "--out", str(tmp_path / "run")]
    assert main(["train", "--data", str(tmp_path / "data"), *rest]) == 0
    assert (tmp_path / "run" / "last.pt").is_file()


def test_photos_that_are_in_place_stay_there(tmp_path):
    write_voc(tmp_path / "train")
    before = sorted((tmp_path / "train").iterdir())
    assert run_import(tmp_path / "train", tmp_path / "train.json") == 0
    assert sorted((tmp_path / "train").iterdir()) == before
    assert len(load_coco(tmp_path / "train.json", tmp_path / "train").photos) == len(PHOTOS)


def test_photos_of_the_same_name_are_kept_apart(tmp_path):
    for part in ("a", "b"):
        write_voc(tmp_path / "source" / part)
    cv2.imwrite(str(tmp_path / "source" / "b" / "one.png"), np.zeros((48, 64, 3), np.uint8))
    assert run_import(tmp_path / "source", tmp_path / "train.json", "--format", "voc") == 0
    photos = load_coco(tmp_path / "train.json", tmp_path / "train").photos
    assert len({photo.path for photo in photos}) == 2 * len(PHOTOS)
    assert (tmp_path / "train" / "one-2.png").is_file()


class TestClasses:
    @pytest.fixture
    def source(self, tmp_path):
        write_yolo(tmp_path / "source")
        return tmp_path / "source"

    @pytest.fixture
    def existing(self, tmp_path):
        file = tmp_path / "existing.json"
        named = [(1, "person"), (3, "car"), (8, "truck")]
        categories = [{"id": n, "name": name} for n, name in named]
        file.write_text(json.dumps({"images": [], "annotations": [], "categories": categories}))
        return file

    def test_ids_come_from_an_existing_data_set(self, source, existing, tmp_path):
        out = tmp_path / "train.json"
        assert run_import(source, out, "--classes", existing) == 0
        content = json.loads(out.read_text())
        assert [c["id"] for c in content["categories"]] == [1, 3, 8]
        assert {b["category_id"] for b in content["annotations"]} == {1, 3}
        # Nobody looked for trucks: they are unknown, not absent.
        assert all(image["labelled"] == [1, 3] for image in content["images"])

    def test_a_class_without_id_is_refused(self, source, existing, tmp_path, refused):
        (source / "data.yaml").write_text("train: images\nnames: [person, auto]\n")
        error = refused(source, tmp_path / "train.json", "--classes", existing)
        assert "--classes has no auto" in error
        assert "--rename auto=NAME" in error

    def test_a_class_is_renamed_or_left_out(self, source, existing, tmp_path):
        (source / "data.yaml").write_text("train: images\nnames: {0: human, 1: auto}\n")
        out = tmp_path / "train.json"
        options = ("--classes", existing, "--rename", "auto=car", "--only", "car")
        assert run_import(source, out, *options) == 0
        content = json.loads(out.read_text())
        assert [b["category_id"] for b in content["annotations"]] == [3, 3]
        assert all(image["labelled"] == [3] for image in content["images"])

    def test_only_the_labelled_classes_are_exhaustive(self, source, tmp_path):
        out = tmp_path / "train.json"
        assert run_import(source, out, "--labelled", "person") == 0
        for photo in load_coco(out, out.with_suffix("")).photos:
            assert photo.known.tolist() == [True, False]

    def test_an_unknown_labelled_class_is_refused(self, source, tmp_path, refused):
        assert "'dog' is no class" in refused(source, tmp_path / "t.json", "--labelled", "dog")

    def test_what_a_coco_file_says_of_its_labels_is_kept(self, tmp_path):
        root = tmp_path / "c"
        root.mkdir()
        write_coco(root, labelled=[7], source="gate")
        assert run_import(root / "drawn.json", tmp_path / "train.json") == 0
        dataset = load_coco(tmp_path / "train.json", tmp_path / "train")
        assert [c.id for c in dataset.categories] == [1, 2]
        assert all(photo.known.tolist() == [False, True] for photo in dataset.photos)
        assert {photo.source for photo in dataset.photos} == {"gate"}

    def test_names_of_numbered_records(self, tmp_path, refused):
        photo = cv2.imencode(".jpg", np.zeros((10, 10, 3), np.uint8))[1].tobytes()
        corners = {f"image__object__bbox__{c}": [v] for c, v in
                   [("xmin", 0.1), ("ymin", 0.1), ("xmax", 0.9), ("ymax", 0.9)]}  # fmt: skip
        record = tf_example(image__encoded=[photo], image__object__class__label=[2], **corners)
        file = tmp_path / "x.record"
        file.write_bytes(framed(record))
        assert "--names" in refused(file, tmp_path / "train.json")
        (tmp_path / "label_map.pbtxt").write_text(
            "item { id: 1 name: 'person' }\nitem { id: 2 name: 'dog' }"
        )
        assert run_import(file, tmp_path / "train.json") == 0
        content = json.loads((tmp_path / "train.json").read_text())
        assert content["annotations"][0]["category_id"] == 2
        assert content["categories"][1] == {"id": 2, "name": "dog"}


def test_difficult_objects_are_trained_on_but_not_evaluated(tmp_path):
    draw(tmp_path)
    size, boxes = PHOTOS["one.png"]
    (tmp_path / "one.xml").write_text(voc_xml("one.png", size, boxes, difficult=1))
    assert run_import(tmp_path / "one.xml", tmp_path / "train.json") == 0
    content = json.loads((tmp_path / "train.json").read_text())
    assert all(box["iscrowd"] == 1 for box in content["annotations"])
    (photo,) = load_coco(tmp_path / "train.json", tmp_path / "train").photos
    assert len(photo.xyxy) == 2
    assert photo.known.all()


def test_crowds_are_neither_objects_nor_background(tmp_path):
    write_coco(tmp_path)
    content = json.loads((tmp_path / "drawn.json").read_text())
    content["annotations"][0]["iscrowd"] = 1
    (tmp_path / "drawn.json").write_text(json.dumps(content))
    photo = load_coco(tmp_path / "drawn.json", tmp_path / "drawn").photos[0]
    assert photo.classes.tolist() == [1]
    assert photo.known.tolist() == [False, True]


def test_boxes_outside_are_cut_and_empty_ones_left_out(tmp_path, capsys):
    write_voc(tmp_path / "s")
    size, _ = PHOTOS["one.png"]
    boxes = [("car", (50, 10, 90, 30)), ("person", (70, 10, 80, 30)), ("car", (9, 9, 9, 12))]
    (tmp_path / "s" / "one.xml").write_text(voc_xml("one.png", size, boxes))
    assert run_import(tmp_path / "s", tmp_path / "train.json") == 0
    out = capsys.readouterr().out
    assert "boxes cut at the photo's border: 1" in out
    assert "boxes left out, as they have no area: 2" in out
    content = json.loads((tmp_path / "train.json").read_text())
    assert [50, 10, 14, 20] in [box["bbox"] for box in content["annotations"]]


def test_the_splits_of_a_source_are_not_mixed(tmp_path, refused):
    for split in ("train", "val"):
        write_voc(tmp_path / "s" / split)
    assert "--split train" in refused(tmp_path / "s", tmp_path / "train.json")
    assert "no split 'test'" in refused(tmp_path / "s", tmp_path / "t.json", "--split", "test")
    assert run_import(tmp_path / "s", tmp_path / "train.json", "--split", "val") == 0


def test_roboflow_and_ultralytics_yolo_folders(tmp_path):
    write_yolo(tmp_path / "train")
    write_yolo(tmp_path / "valid")
    for split in ("train", "valid"):
        (tmp_path / split / "data.yaml").unlink()
    config = "train: ../train/images\nval: ../valid/images\nnames:\n- person\n- car\n"
    (tmp_path / "data.yaml").write_text(config)
    assert run_import(tmp_path, tmp_path / "o" / "val.json", "--split", "val") == 0
    (tmp_path / "data.yaml").unlink()
    (tmp_path / "classes.txt").write_text("person\ncar\n")
    assert run_import(tmp_path, tmp_path / "o" / "train.json", "--split", "train") == 0


def test_voc_image_sets(tmp_path, refused):
    root = tmp_path / "VOC2007"
    write_voc(root / "Annotations")
    (root / "JPEGImages").mkdir()
    for name in PHOTOS:
        (root / "Annotations" / name).rename(root / "JPEGImages" / name)
    lists = root / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("one\n")
    (lists / "val.txt").write_text("two\ndrei ä\n", "utf-8")
    assert "--split train" in refused(root, tmp_path / "train.json")
    assert run_import(root, tmp_path / "val.json", "--split", "val") == 0
    assert len(json.loads((tmp_path / "val.json").read_text())["images"]) == 2


@settings(deadline=None)
@given(
    x=st.integers(0, 90), y=st.integers(0, 50), width=st.integers(1, 10), height=st.integers(1, 10)
)
def test_a_line_of_yolo_gives_back_its_box(x, y, width, height):
    values = ((x + width / 2) / 100, (y + height / 2) / 60, width / 100, height / 60)
    line = "0 " + " ".join(f"{value:.6f}" for value in values)
    box = parse_line(line, {0: "car"}, (100, 60), "")
    assert box.xyxy == pytest.approx((x, y, x + width, y + height), abs=1e-3)


def test_a_polygon_of_yolo_gives_its_bounds():
    box = parse_line("0 0.1 0.5 0.2 0.25 0.4 0.75", {0: "car"}, (100, 60), "")
    assert box.xyxy == pytest.approx((10, 15, 40, 45))
