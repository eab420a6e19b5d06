"""Data sets cut in two by camera and time, and put together."""

import json
from collections import Counter

import cv2
import numpy as np
import pytest

from deploy.__main__ import main
from deploy.data.alike import Look
from deploy.data.dataset import load_coco
from deploy.data.split import Shot, camera_of, deal, groups, read_shot


def shot(name, camera="gate", time_s=None, bits=None, labels=("car",)):
    """A photo that looks like no other, if its hash is not given."""
    if bits is None:
        seed = sum(map(ord, name)) * 7919 + len(name)
        bits = int(np.random.default_rng(seed).integers(0, 2**63))
    return Shot(name, camera, time_s, Look(name, b"", bits), frozenset(labels))


def test_photos_that_follow_each_other_stay_together():
    shots = [shot(f"{n}", time_s=t) for n, t in enumerate((0, 50, 100, 500, 555, None))]
    found = sorted(sorted(group) for group in groups(shots))
    assert found == [[0, 1, 2], [3, 4], [5]]
    other = [shot(f"{n}", camera=f"c{n}", time_s=0) for n in range(3)]
    assert len(groups(other)) == 3


def test_photos_of_a_camera_that_look_alike_stay_together():
    bits = 0x0F0F_1234_5678_9ABC
    shots = [shot("a", bits=bits), shot("b", bits=bits ^ 0b111), shot("c", bits=~bits % 2**64)]
    assert sorted(map(len, groups(shots))) == [1, 2]
    apart = [shot("a", "x", bits=bits), shot("b", "y", bits=bits)]
    assert len(groups(apart)) == 2


@pytest.mark.parametrize("seed", range(5))
def test_each_class_has_its_share_and_no_group_is_cut(seed):
    rare = [shot(f"r{n}", camera=f"r{n}", labels=("owl",)) for n in range(5)]
    bursts = [
        shot(f"b{n}-{m}", camera=f"b{n}", time_s=m, labels=("car",))
        for n in range(12)
        for m in range(5)
    ]
    shots = [*rare, *bursts]
    chosen = deal(shots, 0.2, seed)
    assert Counter(label for i in chosen for label in shots[i].labels)["owl"] == 1
    assert 8 <= len(chosen) <= 16
    for group in groups(shots):
        assert len(chosen & set(group)) in (0, len(group))


def test_where_a_photo_comes_from(tmp_path):
    assert camera_of("gate_20261130_120000.jpg", "porch") == "porch"
    assert camera_of("yard/1.jpg", "") == "yard"
    assert camera_of("IMG_2031.jpg", "") == camera_of("IMG_9999.jpg", "")
    cv2.imwrite(str(tmp_path / "a_2026-11-30T12-00-01.jpg"), np.zeros((9, 9, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "a_20261130_120031.jpg"), np.zeros((9, 9, 3), np.uint8))
    times = [
        read_shot(path, path.name, "", frozenset()).time_s for path in sorted(tmp_path.iterdir())
    ]
    assert abs(times[0] - times[1]) == 30


@pytest.fixture
def whole(tmp_path):
    """Photos of noise from two cameras, a burst of four from each of five days."""
    folder = tmp_path / "all"
    folder.mkdir()
    rng = np.random.default_rng(1)
    images, boxes = [], []
    for number in range(40):
        camera, day, second = ("gate", "yard")[number % 2], number // 8, number % 8
        name = f"{camera}_202611{day + 10}_1200{second:02}.png"
        small = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / name), cv2.resize(small, (64, 48)))
        image = {"id": number, "file_name": name, "width": 64, "height": 48, "license": "mine"}
        images.append(image)
        boxes.append({"id": number, "image_id": number, "category_id": 1 + day % 2,
                      "bbox": [4, 4, 20, 30]})  # fmt: skip
    categories = [{"id": 1, "name": "fox"}, {"id": 2, "name": "owl"}]
    content = {"images": images, "annotations": boxes, "categories": categories}
    (tmp_path / "all.json").write_text(json.dumps(content))
    return tmp_path / "all.json"


def test_split_writes_what_training_reads(whole, tmp_path, capsys):
    out = tmp_path / "data"
    assert main(["dataset", "split", str(whole), "--out", str(out), "--val", "0.2"]) == 0
    assert "val.json: 8 photos (fox" in capsys.readouterr().out
    train, val = (load_coco(out / f"{n}.json", out / n).photos for n in ("train", "val"))
    assert (len(train), len(val)) == (32, 8)
    moments = [{photo.path.name.rsplit("_", 1)[0] for photo in part} for part in (train, val)]
    assert not moments[0] & moments[1]
    assert json.loads((out / "val.json").read_text())["images"][0]["license"] == "mine"
    assert main(["dataset", "split", str(whole), "--out", str(out)]) == 65
    assert "is there already" in capsys.readouterr().err


def test_one_burst_cannot_be_split(whole, tmp_path, capsys):
    content = json.loads(whole.read_text())
    content["images"] = [i for i in content["images"] if i["file_name"].startswith("gate_20261110")]
    kept = {image["id"] for image in content["images"]}
    content["annotations"] = [b for b in content["annotations"] if b["image_id"] in kept]
    whole.write_text(json.dumps(content))
    command = ["dataset", "split", str(whole), "--out", str(tmp_path / "data")]
    assert main(command) == 65
    assert "a split would measure what was trained on" in capsys.readouterr().err
    assert not (tmp_path / "data" / "train.json").exists()
    assert main([*command, "--val", "1.5"]) == 65
    assert main([*command, "--gap", "0.5"]) == 0


def test_merged_classes_go_by_name_and_are_unknown_where_nobody_looked(whole, tmp_path, capsys):
    other = tmp_path / "other"
    other.mkdir()
    name = "gate_20261110_120000.png"
    cv2.imwrite(str(other / name), np.full((48, 64, 3), 90, np.uint8))
    content = {
        "images": [{"id": 7, "file_name": name, "width": 64, "height": 48}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 1, "bbox": [1, 1, 9, 9]}],
        "categories": [{"id": 1, "name": "owl"}, {"id": 2, "name": "hare"}],
    }
    (tmp_path / "other.json").write_text(json.dumps(content))
    out = tmp_path / "data" / "train.json"
    command = ["dataset", "merge", str(whole), str(tmp_path / "other.json"), "--out", str(out)]
    assert main(command) == 0
    assert "41 photos (fox 24, owl 17, hare 0)" in capsys.readouterr().out
    dataset = load_coco(out, out.with_suffix(""))
    assert [c.name for c in dataset.categories] == ["fox", "owl", "hare"]
    *rest, last = dataset.photos
    assert last.path.name != name
    assert last.known.tolist() == [False, True, True]
    assert last.classes.tolist() == [1]
    assert all(photo.known.tolist() == [True, True, False] for photo in rest)
    assert main(command) == 65


def test_a_missing_photo_is_named(whole, tmp_path, capsys):
    (tmp_path / "all" / "gate_20261110_120000.png").unlink()
    assert main(["dataset", "split", str(whole), "--out", str(tmp_path / "d")]) == 65
    assert "gate_20261110_120000.png" in capsys.readouterr().err
