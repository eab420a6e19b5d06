"""The check of data sets, and the contact sheet."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from deploy.__main__ import main
from deploy.data.alike import difference_hash
from deploy.data.check import check, find_splits
from deploy.data.contact_sheet import choose_photos, contact_sheet
from deploy.data.dataset import load_coco

SHARED = Path(__file__).parents[2].parent / "shared" / "dataset"


def picture(seed, size=(320, 240)):
    """A picture of soft blobs, each seed another."""
    few = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(few, size, interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def drawn(tmp_path):
    """Two splits of four pictures with a person each; images 1 and 2 state what is labelled."""
    for number, split in enumerate(("train", "val")):
        (tmp_path / split).mkdir()
        images, boxes = [], []
        for n in range(1, 5):
            cv2.imwrite(str(tmp_path / split / f"{n}.jpg"), picture(10 * number + n))
            images.append({"id": n, "file_name": f"{n}.jpg", "width": 320, "height": 240})
            if n < 3:
                images[-1] |= {"labelled": [1], "source": "gate"}
            boxes.append({"id": n, "image_id": n, "category_id": 1, "iscrowd": 0,
                          "bbox": [10, 20, 30 * n, 40], "area": 1200 * n})  # fmt: skip
        content = {
            "images": images,
            "annotations": boxes,
            "categories": [{"id": 1, "name": "person"}, {"id": 3, "name": "car"}],
        }
        (tmp_path / f"{split}.json").write_text(json.dumps(content))
    return tmp_path


def change(file, edit):
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))


def found(folder, level="error"):
    report = check(find_splits([folder]))
    return {(p.split, p.what): p.cases for p in report.problems if p.level == level}


def test_a_sound_data_set_has_no_errors(drawn, capsys):
    assert main(["dataset", "check", str(drawn)]) == 0
    out = capsys.readouterr().out
    assert "train: 4 photos, 4 objects" in out
    assert "0 errors" in out


def test_the_balance_counts_where_a_class_is_labelled(drawn):
    change(drawn / "train.json", lambda c: c["images"][0].update(labelled=[3]))
    split = check([drawn / "train.json"]).splits["train"]
    person, car = split.classes["person"], split.classes["car"]
    assert (person.labelled, person.photos, person.objects) == (3, 3, 3)
    assert (person.small, person.medium, person.large) == (0, 3, 0)
    assert person.sources == {"gate": 1, "": 2}
    assert (car.labelled, car.objects) == (3, 0)
    assert split.sources == {"gate": 2, "": 2}


def test_areas_divide_small_from_large(drawn):
    def edit(content):
        for box, area in zip(content["annotations"], (1023, 1024, 9215, 9216), strict=True):
            box["area"] = area

    change(drawn / "train.json", edit)
    person = check([drawn / "train.json"]).splits["train"].classes["person"]
    assert (person.small, person.medium, person.large) == (1, 2, 1)


def test_crowds_are_not_counted(drawn):
    change(drawn / "train.json", lambda c: c["annotations"][0].update(iscrowd=1))
    assert check([drawn / "train.json"]).splits["train"].classes["person"].objects == 3


@pytest.mark.parametrize(
    ("edit", "what", "case"),
    [
        (lambda c: c["annotations"][1].update(bbox=[1, 1, 0, 9]), "boxes without area", "2.jpg"),
        (lambda c: c["annotations"][1].update(bbox=[300, 1, 30, 9]),
         "boxes that leave their photo", "of 320x240"),
        (lambda c: c["annotations"][1].update(bbox=[-9, 1, 30, 9]),
         "boxes that leave their photo", "annotation 2"),
        (lambda c: [b.update(bbox=[0.1, 0.2, 0.3, 0.4]) for b in c["annotations"]],
         "boxes are fractions, not pixels", "above 1"),
        (lambda c: c["annotations"][1].update(image_id=9),
         "annotations of unlisted images", "annotation 2"),
        (lambda c: c["annotations"][1].update(category_id=9),
         "annotations of unlisted categories", "annotation 2"),
        (lambda c: c["annotations"][1].update(id=1), "annotation ids used twice", "1"),
        (lambda c: c["images"][1].update(id=1), "image ids used twice", "1"),
        (lambda c: c["images"][1].update(file_name="1.jpg"), "photos listed twice", "1.jpg"),
        (lambda c: c["images"][1].update(width=640), "sizes wrong", "the photo is 320x240"),
        (lambda c: c["images"][1].update(labelled=[9]),
         "`labelled` names unknown categories", "2.jpg"),
        (lambda c: c["images"][1].update(file_name="no.jpg"), "photos missing", "no.jpg"),
    ],
)  # fmt: skip
def test_errors_are_named(drawn, capsys, edit, what, case):
    change(drawn / "train.json", edit)
    assert case in found(drawn)["train", what][0]
    assert main(["dataset", "check", str(drawn)]) == 65
    out, err = capsys.readouterr()
    assert f"error: train: {what}" in out
    assert str(drawn / "train.json") in err


@pytest.mark.parametrize("damage", [lambda d: d[: len(d) // 2], lambda _: b"", lambda _: b"no"])
def test_broken_photos_are_named(drawn, damage):
    file = drawn / "val" / "3.jpg"
    file.write_bytes(damage(file.read_bytes()))
    assert str(file) in found(drawn)["val", "photos broken"][0]


def test_a_photo_turned_by_its_orientation(drawn):
    file = drawn / "train" / "1.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(file).copy().save(file, exif=exif)
    assert "EXIF orientation" in found(drawn)["train", "sizes wrong"][0]
    change(drawn / "train.json", lambda c: c["images"][0].update(width=240, height=320))
    assert not found(drawn)


def test_categories_must_agree_between_splits(drawn):
    change(drawn / "val.json", lambda c: c["categories"][1].update(id=4))
    (what, cases), = found(drawn).items()  # fmt: skip
    assert "categories numbered differently" in what[1]
    assert "car is 3" in cases[0]


def test_rounding_is_no_error(drawn):
    change(drawn / "train.json", lambda c: c["annotations"][1].update(bbox=[-0.5, 0, 321, 240.5]))
    assert not found(drawn)


def test_files_with_the_same_bytes(drawn):
    (drawn / "train" / "2.jpg").write_bytes((drawn / "train" / "1.jpg").read_bytes())
    (drawn / "val" / "3.jpg").write_bytes((drawn / "train" / "1.jpg").read_bytes())
    warnings = found(drawn, "warning")
    assert warnings["train", "files with the same bytes"] == ["2.jpg = 1.jpg"]
    across = warnings["train and val", "files with the same bytes"]
    assert across == ["1.jpg = 3.jpg", "2.jpg = 3.jpg"]


def test_look_alikes_across_splits(drawn):
    image = cv2.convertScaleAbs(picture(1, (200, 150)), alpha=0.8, beta=20)
    cv2.imwrite(str(drawn / "val" / "4.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 40])
    change(drawn / "val.json", lambda c: c["images"][3].update(width=200, height=150))
    warnings = found(drawn, "warning")
    (cases,) = (c for (split, _), c in warnings.items() if split == "train and val")
    assert len(cases) == 1
    assert cases[0].startswith("1.jpg ~ 4.jpg")


def test_pictures_without_detail_are_not_alike(drawn):
    for split, level in (("train", 10), ("val", 12)):
        cv2.imwrite(str(drawn / split / "1.jpg"), np.full((240, 320, 3), level, np.uint8))
    assert not [w for w in found(drawn, "warning") if w[0] == "train and val"]


def test_the_bits_of_a_hash():
    rising = np.tile(np.linspace(0, 255, 90, dtype=np.uint8), (80, 1))
    assert difference_hash(Image.fromarray(rising)) == 2**64 - 1
    assert difference_hash(Image.fromarray(rising[:, ::-1])) == 0


def test_the_report_as_json_names_every_case(drawn, capsys):
    def edit(content):
        first = content["annotations"][0]
        content["annotations"] += [
            {**first, "id": n, "bbox": [1, 1, 0, 0]} for n in range(10, 20)
        ]  # fmt: skip

    change(drawn / "train.json", edit)
    assert main(["dataset", "check", "--json", str(drawn / "train.json")]) == 65
    report = json.loads(capsys.readouterr().out)
    assert report["errors"] == 10
    (problem,) = (p for p in report["problems"] if p["level"] == "error")
    assert len(problem["cases"]) == problem["count"] == 10


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/dataset beside the checkout")
def test_the_data_set_of_the_shipped_model():
    report = check(find_splits([SHARED]))
    assert report.errors == 0
    assert report.splits["train"].classes["person"].objects == 14057


class TestContactSheet:
    def test_boxes_and_unknown_classes_are_drawn(self, drawn):
        dataset = load_coco(drawn / "train.json", drawn / "train")
        one = dataset.photos[0]
        sheet = np.asarray(contact_sheet(dataset, [one]))
        bare = np.asarray(contact_sheet(dataset, [_without_boxes(one)]))
        changed = np.argwhere((sheet != bare).any(-1))
        top, left = changed.min(0)
        bottom, right = changed.max(0)
        scale = 360 / 320
        # The box at 10, 20 of 30x40, its label above it; 6 px is the sheet's margin.
        assert left == pytest.approx(6 + 10 * scale, abs=2)
        assert bottom == pytest.approx(6 + 60 * scale, abs=2)
        assert top < 6 + 20 * scale
        assert right < 6 + 100 * scale
        known = np.asarray(contact_sheet(dataset, [_all_known(one)]))
        assert (known != sheet)[6 + 270 :].any()
        assert not (known != sheet)[: 6 + 270].any()

    def test_photos_are_drawn_by_lot(self, drawn):
        dataset = load_coco(drawn / "train.json", drawn / "train")
        assert choose_photos(dataset, 3, seed=2) == choose_photos(dataset, 3, seed=2)
        assert len(choose_photos(dataset, 99)) == 4

    def test_the_command(self, drawn, capsys):
        out = drawn / "sheet.jpg"
        show = ["dataset", "show", str(drawn / "train.json"), "--out"]
        assert main([*show, str(out), "--class", "person", "--count", "2"]) == 0
        assert Image.open(out).size == (2 * 366 + 6, 310 + 6)
        assert main([*show, str(out), "--class", "dog"]) == 65
        assert main([*show, str(out), "--class", "car"]) == 65
        assert main([*show, str(drawn / "sheet.gif")]) == 65
        assert "write a .jpg or a .png" in capsys.readouterr().err


def _without_boxes(photo):
    return replace(photo, xyxy=photo.xyxy[:0], classes=photo.classes[:0])


def _all_known(photo):
    return replace(photo, known=np.ones_like(photo.known))
