"""Broken data sets are refused with the file and the fix."""

import json

import pytest
from drawn import (
    TENSORFLOW_FILE,
    WRITERS,
    framed,
    refused,
    run_import,
    voc_xml,
    write_coco,
    write_voc,
    write_yolo,
)

from deploy.data.dataset import DatasetError, load_coco

__all__ = ["refused"]  # A fixture.


class TestImport:
    """``dataset import``."""

    def test_an_empty_folder(self, tmp_path, refused):
        (tmp_path / "s").mkdir()
        assert "name the format with --format" in refused(tmp_path / "s", tmp_path / "train.json")
        for name in WRITERS:
            error = refused(tmp_path / "s", tmp_path / "train.json", "--format", name)
            assert str(tmp_path / "s") in error

    def test_nothing_there(self, tmp_path, refused):
        assert "no such file" in refused(tmp_path / "missing", tmp_path / "train.json")

    def test_an_annotation_file_in_the_way(self, tmp_path, capsys):
        write_voc(tmp_path / "s")
        (tmp_path / "train.json").write_text("mine")
        assert run_import(tmp_path / "s", tmp_path / "train.json") == 65
        assert (tmp_path / "train.json").read_text() == "mine"

    def test_another_photo_in_the_way(self, tmp_path, refused):
        write_voc(tmp_path / "s")
        (tmp_path / "train").mkdir()
        (tmp_path / "train" / "one.png").write_bytes(b"mine")
        assert "in the way" in refused(tmp_path / "s", tmp_path / "train.json")
        assert (tmp_path / "train" / "one.png").read_bytes() == b"mine"

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            ("0 20 30 10 10", "look like pixels"),
            ("0 -0.5 0.5 0.1 0.1", "negative"),
            ("0 nan 0.5 0.1 0.1", "not a coordinate"),
            ("7 0.5 0.5 0.1 0.1", "class 7 is not among the names (0 to 1)"),
            ("person 0.5 0.5 0.1 0.1", "class x y width height"),
            ("0 0.5 0.5 0.1", "3 numbers"),
            ("0 0.5 0.5 0.1 0.1 0.9", "5 numbers"),
        ],
    )
    def test_lines_of_yolo(self, line, reason, tmp_path, refused):
        write_yolo(tmp_path / "s")
        file = tmp_path / "s" / "labels" / "one.txt"
        file.write_text(f"0 0.5 0.5 0.1 0.1\n{line}\n")
        error = refused(tmp_path / "s", tmp_path / "train.json")
        assert f"{file}:2" in error
        assert reason in error

    def test_yolo_without_names(self, tmp_path, refused):
        write_yolo(tmp_path / "s")
        (tmp_path / "s" / "data.yaml").unlink()
        assert "--names" in refused(tmp_path / "s", tmp_path / "train.json")

    def test_yolo_without_labels(self, tmp_path, refused):
        write_yolo(tmp_path / "s")
        for file in (tmp_path / "s" / "labels").iterdir():
            file.unlink()
        assert "none of 3 photos has a label" in refused(tmp_path / "s", tmp_path / "train.json")

    @pytest.mark.parametrize(
        ("old", "new", "reason"),
        [
            ("</annotation>", "", "not well-formed"),
            ("annotation>", "labels>", "is <labels>"),
            ("<annotation>", "<!DOCTYPE a [<!ENTITY e 'x'>]><annotation>", "document type"),
            ("<xmin>5</xmin>", "<xmin>five</xmin>", "'five', not a number"),
            ("<xmin>5</xmin>", "<xmin>1e400</xmin>", "out of range"),
            ("<xmin>5</xmin>", "", "<xmin> is ''"),
            ("<name>car</name>", "", "no <name>"),
            ("<width>64</width>", "<width>640</width>", "the photo is 64x48"),
            ("one.png", "other.png", None),
        ],
    )
    def test_files_of_voc(self, old, new, reason, tmp_path, refused):
        write_voc(tmp_path / "s")
        file = tmp_path / "s" / "one.xml"
        file.write_text(file.read_text().replace(old, new))
        if reason is None:  # A renamed photo is found by the name of its annotation.
            assert run_import(tmp_path / "s", tmp_path / "train.json") == 0
            return
        error = refused(tmp_path / "s", tmp_path / "train.json")
        assert str(file) in error
        assert reason in error

    def test_fractions_in_voc(self, tmp_path, refused):
        write_voc(tmp_path / "s")
        boxes = [("car", (-0.9, -0.8, 0.5, 0.6))]
        (tmp_path / "s" / "one.xml").write_text(voc_xml("one.png", (64, 48), boxes))
        assert "look like fractions" in refused(tmp_path / "s", tmp_path / "train.json")

    def test_a_photo_of_voc_that_is_missing(self, tmp_path, refused):
        write_voc(tmp_path / "s")
        (tmp_path / "s" / "one.png").unlink()
        error = refused(tmp_path / "s", tmp_path / "train.json")
        assert "'one.png' is not in" in error
        assert "--photos" in error

    def test_a_photo_that_is_none(self, tmp_path, refused):
        write_voc(tmp_path / "s")
        (tmp_path / "s" / "one.png").write_bytes(b"GIF89a")
        assert "not a JPEG, PNG" in refused(tmp_path / "s", tmp_path / "train.json")

    @pytest.mark.parametrize("cut", [1, 4, 11, 30])
    def test_records_cut_off(self, cut, tmp_path, refused):
        file = tmp_path / "x.tfrecord"
        file.write_bytes(TENSORFLOW_FILE[:-cut])
        assert "record 2 is cut off" in refused(file, tmp_path / "train.json")

    @pytest.mark.parametrize("place", [0, 9, 100, -1])
    def test_records_with_a_wrong_byte(self, place, tmp_path, refused):
        data = bytearray(TENSORFLOW_FILE)
        data[place] ^= 1
        file = tmp_path / "x.tfrecord"
        file.write_bytes(data)
        assert "wrong check sum" in refused(file, tmp_path / "train.json")

    def test_records_that_are_no_examples(self, tmp_path, refused):
        file = tmp_path / "x.tfrecord"
        file.write_bytes(framed(b"\xff\xff\xff"))
        assert "not a tf.train.Example" in refused(file, tmp_path / "train.json")
        file.write_bytes(framed(b""))
        assert "no `image/encoded`" in refused(file, tmp_path / "train.json")


class TestCoco:
    """``load_coco``, which training reads through."""

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (lambda c: c.pop("images"), "missing required field `images`"),
            (lambda c: c.update(images=[]), "lists no images"),
            (lambda c: c.update(categories=[]), "lists no categories"),
            (lambda c: c["images"].append(c["images"][0]), "image id 0 is there twice"),
            (lambda c: c["annotations"][0].update(image_id=99), "names no listed image"),
            (lambda c: c["annotations"][0].update(category_id=99), "has category 99"),
            (lambda c: c["annotations"][0].update(bbox=[1, 2, 3]), "$.annotations[0].bbox"),
            (lambda c: [b.update(bbox=[0.1, 0.2, 0.3, 0.4]) for b in c["annotations"]],
             "look like fractions"),
            (lambda c: c["images"][1].update(file_name="no.png"), "1 of 3 photos are missing"),
        ],
    )  # fmt: skip
    def test_refuses(self, change, reason, tmp_path):
        write_coco(tmp_path)
        file = tmp_path / "drawn.json"
        content = json.loads(file.read_text())
        change(content)
        file.write_text(json.dumps(content))
        with pytest.raises(DatasetError) as caught:
            load_coco(file, tmp_path / "drawn")
        assert str(file) in str(caught.value)
        assert reason in str(caught.value)
