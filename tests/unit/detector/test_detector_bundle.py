"""Bundles and bare models on disk: what is read, and what is refused."""

import hashlib

import msgspec
import pytest
import tomli_w

from pi_detector.config.settings import DetectionSettings, ModelSettings
from pi_detector.detector.bundle import load_bare, load_bundle, load_model
from pi_detector.detector.manifest import Manifest
from pi_detector.detector.thresholds import NEVER, lowest_scores
from pi_detector.errors import BadLabelsError, BadModelError, ConfigError, ModelNotFoundError

MODEL = (16).to_bytes(4, "little") + b"TFL3" + bytes(64)


def manifest():
    return {
        "model": {
            "name": "yard",
            "version": "1.2.0",
            "description": "a test",
            "architecture": "ssdlite",
            "licence": "Apache-2.0",
            "file": "model.tflite",
            "sha256": hashlib.sha256(MODEL).hexdigest(),
        },
        "input": {"tensor": "image", "height": 64, "width": 96, "dtype": "int8"},
        "anchors": {
            "strides": [16, 32],
            "sizes": [[20.0], [50.0]],
            "aspect_ratios": [0.5, 1.0],
            "variances": [0.1, 0.1, 0.2, 0.2],
        },
        "outputs": {"logits": "l", "boxes": "b"},
        "scores": {"default": 0.4, "by_label": {"bus": 0.3}},
        "labels": [{"id": 1, "name": "person"}, {"id": 6, "name": "bus"}],
        "training": {"epochs": 30, "data": {"photos": 5319}},
        "figures": {"ap50": 0.5},
    }


def write(folder, said, labels="person\nbus\n"):
    (folder / "model.tflite").write_bytes(MODEL)
    (folder / "labels.txt").write_text(labels)
    (folder / "manifest.toml").write_text(tomli_w.dumps(said))
    return folder


def test_reads_a_bundle(tmp_path):
    bundle = load_bundle(write(tmp_path, manifest()))
    assert bundle.name == "yard"
    assert bundle.model == MODEL
    assert [(label.id, label.name) for label in bundle.labels] == [(1, "person"), (6, "bus")]
    assert bundle.manifest.anchor_spec().input_size == (64, 96)
    assert bundle.default_scores() == {"person": 0.4, "bus": 0.3}


def test_a_manifest_survives_the_round_trip(tmp_path):
    first = load_bundle(write(tmp_path, manifest())).manifest
    again = msgspec.toml.decode(tomli_w.dumps(msgspec.to_builtins(first)), type=Manifest)
    assert again == first


def test_a_model_that_was_changed(tmp_path):
    write(tmp_path, manifest())
    (tmp_path / "model.tflite").write_bytes(MODEL[:-1] + b"x")
    with pytest.raises(BadModelError, match=r"SHA-256 is .*the manifest says .*models verify"):
        load_bundle(tmp_path)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("person\n", "has 1 labels, the manifest has 2"),
        ("person\ntruck\n", "labels.txt:2: is 'truck', the manifest says 'bus'"),
        ("", "empty; write"),
    ],
)
def test_labels_that_do_not_fit(tmp_path, labels, message):
    with pytest.raises(BadLabelsError, match=message):
        load_bundle(write(tmp_path, manifest(), labels))


@pytest.mark.parametrize(
    ("missing", "error"),
    [
        ("model.tflite", ModelNotFoundError),
        ("manifest.toml", ModelNotFoundError),
        ("labels.txt", BadLabelsError),
    ],
)
def test_a_file_that_is_missing(tmp_path, missing, error):
    (write(tmp_path, manifest()) / missing).unlink()
    with pytest.raises(error, match=missing):
        load_bundle(tmp_path)


def _with(**changes):
    said = manifest()
    for path, value in changes.items():
        table, key = path.split("__")
        said[table][key] = value
    return said


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (_with(model__colour="red"), "colour"),
        (_with(input__dtype="int4"), "int4"),
        (_with(model__sha256="abc"), "sha256"),
        (_with(model__file="../model.tflite"), "file"),
        (_with(scores__by_label={"bos": 0.1}), "bos"),
        (_with(anchors__strides=[16]), "strides"),
        ({k: v for k, v in manifest().items() if k != "anchors"}, "set both or neither"),
        (manifest() | {"labels": []}, "empty"),
        (manifest() | {"labels": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}, "twice"),
    ],
)
def test_a_manifest_that_makes_no_sense(tmp_path, said, message):
    with pytest.raises(BadModelError, match=f"manifest.toml.*{message}"):
        load_bundle(write(tmp_path, said))


def test_a_manifest_that_is_not_toml(tmp_path):
    write(tmp_path, manifest())
    (tmp_path / "manifest.toml").write_text("[model\n")
    with pytest.raises(BadModelError, match=r"manifest\.toml"):
        load_bundle(tmp_path)


@pytest.mark.parametrize("first", ["unlabeled\n", "background\n", "???\n", ""])
def test_bare_labels_count_from_one_without_the_background(tmp_path, first):
    (tmp_path / "detect.tflite").write_bytes(MODEL)
    (tmp_path / "labels.txt").write_text(f"{first}person\nbicycle")
    bundle = load_bare(tmp_path / "detect.tflite")
    assert [(label.id, label.name) for label in bundle.labels] == [(1, "person"), (2, "bicycle")]
    assert bundle.name == "detect"
    assert bundle.manifest is None


def test_a_bare_model_without_labels(tmp_path):
    (tmp_path / "detect.tflite").write_bytes(MODEL)
    with pytest.raises(
        BadLabelsError, match=r"labels\.txt: no such labels file; set model\.labels"
    ):
        load_model(ModelSettings(path=str(tmp_path / "detect.tflite")))


def test_labels_in_the_settings_are_for_bare_models(tmp_path):
    write(tmp_path, manifest())
    with pytest.raises(ConfigError, match=r"model\.labels"):
        load_model(ModelSettings(path=str(tmp_path), labels="x.txt"))


def test_a_path_that_is_not_there(tmp_path):
    with pytest.raises(ModelNotFoundError, match="nowhere: no such model"):
        load_model(ModelSettings(path=str(tmp_path / "nowhere")))


def test_a_bundle_that_ships_is_named_by_its_folder(tmp_path, monkeypatch):
    assert load_model(ModelSettings(path="street-small")).name == "street-small"
    with pytest.raises(ModelNotFoundError, match=r"street-tiny: .*coco, street, street-small"):
        load_model(ModelSettings(path="street-tiny"))
    # What lies in the working directory comes first.
    (tmp_path / "street").mkdir()
    write(tmp_path / "street", manifest())
    monkeypatch.chdir(tmp_path)
    assert load_model(ModelSettings(path="street")).name == "yard"


@pytest.mark.parametrize(
    ("detection", "expected"),
    [
        (DetectionSettings(), [0.4, 0.3]),
        (DetectionSettings(min_score=0.6), [0.6, 0.6]),
        (DetectionSettings(min_scores={"person": 0.1}), [0.1, 0.3]),
        (DetectionSettings(min_score=0.6, min_scores={"bus": 0.2}), [0.6, 0.2]),
        (DetectionSettings(labels=("bus",)), [NEVER, 0.3]),
    ],
)
def test_thresholds(tmp_path, detection, expected):
    assert lowest_scores(load_bundle(write(tmp_path, manifest())), detection) == expected


@pytest.mark.parametrize(
    ("detection", "message"),
    [
        (DetectionSettings(labels=("persom",)), r"detection\.labels: .*'persom'.*'person'"),
        (DetectionSettings(min_scores={"zebra": 0.1}), r"min_scores: .*'zebra'.*person, bus"),
    ],
)
def test_a_label_that_the_model_does_not_know(tmp_path, detection, message):
    with pytest.raises(ConfigError, match=message):
        lowest_scores(load_bundle(write(tmp_path, manifest())), detection)


def test_a_manifest_that_is_nested_too_deeply(tmp_path):
    write(tmp_path, manifest())
    (tmp_path / "manifest.toml").write_text("a = " + "[" * 50_000)
    with pytest.raises(BadModelError, match="nested too deeply"):
        load_bundle(tmp_path)
