"""Exports as tools really write them: their ids, layouts, paths and encodings, and broken parts."""

import json

import pytest
from drawn import PHOTOS, draw, run_import, voc_xml, write_coco, write_voc, write_yolo

from deploy.data.dataset import load_coco
from deploy.data.formats import detect_format


@pytest.fixture
def coco(tmp_path):
    """A COCO folder, and a function that changes its file."""
    root = tmp_path / "s"
    root.mkdir()
    write_coco(root)

    def change(edit, encoding="utf-8"):
        file = root / "drawn.json"
        content = json.loads(file.read_text())
        edit(content)
        file.write_bytes(json.dumps(content).encode(encoding))
        return file

    return root, change


def imported(source, tmp_path, *options):
    out = tmp_path / "o" / "train.json"
    assert run_import(source, out, *options) == 0
    dataset = load_coco(out, out.with_suffix(""))
    names = [c.name for c in dataset.categories]
    return names, {p.path.name: [names[c] for c in p.classes] for p in dataset.photos}


EXPECTED = {name: [label for label, _ in boxes] for name, (_, boxes) in PHOTOS.items()}


def test_the_class_of_roboflow_that_groups_the_others_is_none(coco, tmp_path):
    def edit(content):
        for number, category in enumerate(content["categories"], 1):
            category.update(id=number, supercategory="yard")
        for box in content["annotations"]:
            box["category_id"] = {0: 1, 7: 2}[box["category_id"]]
        content["categories"].insert(0, {"id": 0, "name": "yard", "supercategory": "none"})

    root, change = coco
    file = change(edit)
    file.rename(root / "drawn" / "_annotations.coco.json")
    (root / "drawn").rename(root / "train")
    assert imported(root, tmp_path) == (["person", "car"], EXPECTED)


def test_a_class_that_is_used_is_kept_whatever_its_group(coco, tmp_path):
    def edit(content):
        content["categories"][0]["supercategory"] = "none"
        content["categories"][1]["supercategory"] = "person"

    assert imported(coco[1](edit), tmp_path) == (["person", "car"], EXPECTED)


def test_the_layout_of_coco_and_cvat(coco, tmp_path):
    root, change = coco
    file = change(lambda _: None)
    (root / "annotations").mkdir()
    file.rename(root / "annotations" / "instances_Train.json")
    (root / "annotations" / "captions_Train.json").write_text(
        '{"images": [], "annotations": [], "categories": []}'
    )
    (root / "images").mkdir()
    (root / "drawn").rename(root / "images" / "Train")
    assert detect_format(root) == "coco"
    assert imported(root, tmp_path) == (["person", "car"], EXPECTED)


def test_of_the_splits_of_coco_one_is_read(coco, tmp_path, capsys):
    root, change = coco
    text = change(lambda _: None).read_text()
    (root / "drawn.json").unlink()
    (root / "annotations").mkdir()
    for split in ("train2017", "val2017"):
        (root / "annotations" / f"instances_{split}.json").write_text(text)
    (root / "drawn").rename(root / "val2017")
    assert run_import(root, tmp_path / "x.json") == 65
    assert "with --split train" in capsys.readouterr().err
    assert imported(root, tmp_path, "--split", "val")[1] == EXPECTED


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark(coco, tmp_path, encoding):
    file = coco[1](lambda _: None, encoding)
    assert imported(file, tmp_path)[1] == EXPECTED


@pytest.mark.parametrize(
    "path", ["C:\\Users\\me\\photos\\{}", "/home/me/photos/{}", "../../photos/{}", "drawn\\{}"]
)
def test_paths_of_another_computer(coco, tmp_path, path):
    def edit(content):
        for image in content["images"]:
            image["file_name"] = path.format(image["file_name"])

    assert imported(coco[1](edit), tmp_path)[1] == EXPECTED


def test_a_path_never_leaves_the_folder_of_the_source(coco, tmp_path, capsys):
    draw(tmp_path / "secret")

    def edit(content):
        content["images"][0]["file_name"] = "../secret/mine.png"

    (tmp_path / "secret" / "one.png").rename(tmp_path / "secret" / "mine.png")
    assert "mine.png" not in imported(coco[1](edit), tmp_path)[1]
    assert "there is no photo '../secret/mine.png'" in capsys.readouterr().out


def test_names_in_another_case(coco, tmp_path):
    def edit(content):
        for image in content["images"]:
            image["file_name"] = image["file_name"].upper()

    assert imported(coco[1](edit), tmp_path)[1] == EXPECTED


def test_nulls_strings_and_missing_ids(coco, tmp_path):
    def edit(content):
        for image in content["images"]:
            image.update(id=f"img-{image['id']}", width=str(image["width"]))
        for category in content["categories"]:
            category["id"] = str(category["id"])
        for box in content["annotations"]:
            box.update(iscrowd=None, area=None, image_id=f"img-{box['image_id']}")
            box["bbox"] = [str(v) for v in box["bbox"]]
            del box["id"]

    assert imported(coco[1](edit), tmp_path) == (["person", "car"], EXPECTED)


def test_an_object_with_polygons_alone(coco, tmp_path):
    def edit(content):
        x, y, width, height = content["annotations"][0].pop("bbox")
        corners = [x, y, x + width, y, x + width, y + height]
        content["annotations"][0]["segmentation"] = [corners]

    file = coco[1](edit)
    assert imported(file, tmp_path)[1] == EXPECTED
    content = json.loads((tmp_path / "o" / "train.json").read_text())
    assert content["annotations"][0]["bbox"] == [4, 6, 16, 34]


def test_what_is_broken_is_skipped_and_counted(coco, tmp_path, capsys):
    def edit(content):
        more = [{**content["images"][1], "id": n, "file_name": f"{n}.png"} for n in (5,)]
        content["images"] += [*more, {"id": 9}]
        content["annotations"].append({"image_id": 77, "category_id": 7, "bbox": [1, 1, 5, 5]})

    root, change = coco
    file = change(edit)
    (root / "drawn" / "5.png").write_bytes((root / "drawn" / "one.png").read_bytes()[:-40])
    assert imported(file, tmp_path)[1] == EXPECTED
    out = capsys.readouterr().out
    assert "skipped, as they cannot be used: 3" in out
    for reason in ("is a broken photo", "has no `file_name`", "77"):
        assert reason in out
    assert run_import(file, tmp_path / "strict.json", "--strict") == 65
    assert not (tmp_path / "strict.json").exists()


def test_a_photo_with_a_broken_object_is_not_taken_for_one_without(coco, tmp_path):
    def edit(content):
        content["annotations"][0]["bbox"] = None

    assert "one.png" not in imported(coco[1](edit), tmp_path)[1]


def test_a_source_that_is_mostly_broken_is_refused(coco, tmp_path, capsys):
    root, change = coco
    file = change(lambda _: None)
    for name in ("one.png", "two.png"):
        (root / "drawn" / name).unlink()
    assert run_import(file, tmp_path / "train.json") == 65
    assert "2 photos or annotations cannot be used, 1 photos can" in capsys.readouterr().err


def test_other_json_files_beside_the_labels_are_no_coco(tmp_path):
    """Label Studio writes notes.json, Roboflow a README and its settings."""
    write_yolo(tmp_path / "s")
    (tmp_path / "s" / "notes.json").write_text('{"categories": [], "info": {}}')
    assert detect_format(tmp_path / "s") == "yolo"
    assert imported(tmp_path / "s", tmp_path)[1] == EXPECTED


def test_folders_in_another_case(tmp_path):
    write_yolo(tmp_path / "y")
    (tmp_path / "y" / "data.yaml").unlink()
    (tmp_path / "y" / "Classes.TXT").write_bytes("person\r\ncar\r\n".encode("utf-8-sig"))
    for name in ("images", "labels"):
        (tmp_path / "y" / name).rename(tmp_path / "y" / name.title())
    assert imported(tmp_path / "y", tmp_path)[1] == EXPECTED


def test_a_folder_of_voc_in_another_case(tmp_path):
    root = tmp_path / "v"
    write_voc(root / "annotations")
    (root / "Images").mkdir()
    for name in PHOTOS:
        (root / "annotations" / name).rename(root / "Images" / name.replace(".png", ".PNG"))
    assert {len(labels) for labels in imported(root, tmp_path)[1].values()} == {0, 1, 2}


def test_names_in_the_encoding_of_windows(tmp_path):
    write_yolo(tmp_path / "y")
    (tmp_path / "y" / "data.yaml").unlink()
    (tmp_path / "y" / "classes.txt").write_bytes("Fußgänger\ncar\n".encode("cp1252"))
    assert imported(tmp_path / "y", tmp_path)[0] == ["Fußgänger", "car"]


def test_a_broken_file_of_labelimg_is_skipped(tmp_path, capsys):
    write_voc(tmp_path / "v")
    size, boxes = PHOTOS["one.png"]
    (tmp_path / "v" / "four.xml").write_text(voc_xml("four.png", size, boxes))
    (tmp_path / "v" / "five.xml").write_text("<annotation>")
    assert imported(tmp_path / "v", tmp_path)[1] == EXPECTED
    assert "skipped, as they cannot be used: 2" in capsys.readouterr().out


def test_proposals_of_a_device_are_neither_learnt_nor_evaluated_until_they_are_corrected(
    coco, tmp_path
):
    """What `pi-detector collect export` writes: boxes to ignore, classes that nobody checked."""

    def edit(content):
        for image in content["images"]:
            image["labelled"] = []
        content["images"][0]["labelled"] = ["car"]
        for category in content["categories"]:
            category["id"] = category["name"]
        for box in content["annotations"]:
            box.update(category_id={0: "person", 7: "car"}[box["category_id"]], score=0.5)
            box["ignore"] = int(box["category_id"] == "person")

    imported(coco[1](edit), tmp_path)
    dataset = load_coco(tmp_path / "o" / "train.json", tmp_path / "o" / "train")
    photos = {photo.path.name: photo for photo in dataset.photos}
    assert photos["one.png"].ignored.tolist() == [True, False]
    assert photos["one.png"].known.tolist() == [False, True]
    assert photos["two.png"].known.tolist() == [False, False]
