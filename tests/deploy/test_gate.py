"""The gate, golden pictures, and bundles that are whole or not there."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from deploy.__main__ import main
from deploy.data.dataset import DatasetError
from deploy.evaluation.gate import GateError, Loss, check_floor, check_golden, check_loss
from deploy.evaluation.golden import VIEWS_S, read_golden, record
from deploy.evaluation.interval import Interval
from deploy.evaluation.metrics import Metrics
from deploy.packaging.package import staged_bundle
from pi_detector.config.settings import ModelSettings
from pi_detector.sources.demo import load_photograph, render_view

STREET = Path(__file__).resolve().parents[2] / "models" / "street"
MODEL = ModelSettings(path=str(STREET))
SCORES = dict.fromkeys(("person", "bicycle", "car", "motorcycle", "bus", "truck"), 0.3)
GOOD = Metrics(0.40, 0.70, None, None, None, {})


NONE = Interval(0.2, -0.5, 0.9)


def test_a_loss_that_the_photos_show_is_refused():
    check_loss(Loss(ap50=Interval(1.4, 0.9, 1.9), ap=NONE))
    with pytest.raises(GateError, match=r"loses 2\.0 points \(95 % interval 1\.1 to 2\.9\) of AP "):
        check_loss(Loss(ap50=NONE, ap=Interval(2.0, 1.1, 2.9)))
    with pytest.raises(GateError, match=r"loses 1\.6 points .* of AP50 against float"):
        check_loss(Loss(ap50=Interval(1.6, 0.2, 3.0), ap=NONE))


def test_a_loss_that_may_be_chance_is_none():
    """One object of nine that scores a little lower is eleven points."""
    check_loss(Loss(ap50=Interval(11.0, -4.0, 30.0), ap=Interval(5.0, -9.0, 20.0)))


def photos_with_boxes(tmp_path, count):
    content = {
        "images": [{"id": n, "file_name": f"{n}.png"} for n in range(count)],
        "annotations": [
            {"id": n + 1, "image_id": n, "category_id": 1, "bbox": [10, 10, 50, 50], "area": 2500,
             "iscrowd": 0}
            for n in range(count)
        ],
        "categories": [{"id": 1, "name": "fox"}],
    }  # fmt: skip
    file = tmp_path / "val.json"
    file.write_text(json.dumps(content))
    right = {"category_id": 1, "bbox": [10, 10, 50, 50], "score": 0.9}
    return file, [{**right, "image_id": n} for n in range(count)]


@pytest.mark.parametrize(("count", "missed", "refused"), [(9, 1, False), (400, 40, True)])
def test_the_number_of_photos_decides_what_a_missed_object_means(tmp_path, count, missed, refused):
    file, found = photos_with_boxes(tmp_path, count)
    loss = Loss.measured(file, found, found[missed:])
    assert loss.ap50.points == pytest.approx(loss.ap.points)
    assert loss.ap.points > 5
    if refused:
        with pytest.raises(GateError, match=r"of AP"):
            check_loss(loss)
    else:
        check_loss(loss)


def test_a_model_that_finds_nothing_is_refused_whatever_it_loses():
    check_floor(GOOD, "the validation photos")
    with pytest.raises(GateError, match=r"AP50 0\.000 on the validation photos, below 0\.30"):
        check_floor(replace(GOOD, ap50=0.0), "the validation photos")


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    return record(MODEL, None, tmp_path_factory.mktemp("golden"), SCORES)


def test_a_model_agrees_with_itself_and_sees_the_man(golden, tmp_path):
    check_golden(MODEL, golden, tmp_path, SCORES)
    assert len(golden) == len(VIEWS_S)
    best = [max(found, key=lambda f: f[1]) for found in golden.values()]
    assert {label for label, _, _ in best} == {"person"}


def test_an_object_that_is_missing_or_new_is_refused(golden, tmp_path):
    name, found = next(iter(golden.items()))
    more = [*found, ("bus", 0.8, [10.0, 10.0, 90.0, 60.0])]
    with pytest.raises(GateError, match=f"{name}: misses a bus of 0.80"):
        check_golden(MODEL, {**golden, name: more}, tmp_path, SCORES)
    with pytest.raises(GateError, match=f"{name}: adds a person"):
        check_golden(MODEL, {**golden, name: []}, tmp_path, SCORES)


def test_pictures_of_ones_own_are_copied_and_must_show_something(tmp_path):
    pictures, kept = tmp_path / "pictures", tmp_path / "kept"
    pictures.mkdir()
    view = render_view(load_photograph(), (320, 240), 2.0)
    cv2.imwrite(str(pictures / "man.png"), view)
    found = record(MODEL, pictures, kept, SCORES)
    assert (kept / "man.png").read_bytes() == (pictures / "man.png").read_bytes()
    assert found["man.png"][0][0] == "person"
    cv2.imwrite(str(pictures / "man.png"), view * 0)
    with pytest.raises(DatasetError, match="is sure of nothing in these pictures"):
        record(MODEL, pictures, kept, SCORES)


def test_verify_checks_the_shipped_bundle(capsys):
    assert main(["verify", str(STREET)]) == 0
    assert f"{len(VIEWS_S)} golden pictures agree" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), ("{", "is damaged"), ('{"demo:0.0": [[1]]}', "is damaged")],
)
def test_missing_and_damaged_golden_files_are_refused(tmp_path, content, message):
    bundle = tmp_path / "bundle"
    shutil.copytree(STREET, bundle)
    (bundle / "golden.json").unlink(missing_ok=True)
    if content is not None:
        (bundle / "golden.json").write_text(content)
    with pytest.raises(DatasetError, match=message):
        read_golden(bundle)


def test_a_model_file_that_was_changed_is_refused(tmp_path, capsys):
    bundle = tmp_path / "bundle"
    shutil.copytree(STREET, bundle)
    content = bytearray((bundle / "model.tflite").read_bytes())
    content[-1] ^= 1
    (bundle / "model.tflite").write_bytes(content)
    assert main(["verify", str(bundle)]) == 65
    assert "SHA-256" in capsys.readouterr().err


def test_a_bundle_that_fails_half_way_leaves_the_old_one(tmp_path):
    out = tmp_path / "bundle"
    with staged_bundle(out) as folder:
        (folder / "model.tflite").write_text("old")

    def fail():
        with staged_bundle(out) as folder:
            (folder / "model.tflite").write_text("new")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        fail()
    assert (out / "model.tflite").read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]
    with staged_bundle(out) as folder:
        (folder / "model.tflite").write_text("new")
    assert (out / "model.tflite").read_text() == "new"
    assert list(tmp_path.iterdir()) == [out]
