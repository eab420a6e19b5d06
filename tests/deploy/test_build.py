"""The whole build on a data set that the test draws: train, QAT, quantize, measure, package."""

import json

import numpy as np
import pytest

from deploy.__main__ import main
from pi_detector.detector.bundle import load_bundle
from pi_detector.detector.runtime import open_interpreter

RECIPE = """
summary = "A little training"
weights = "int8"
activations = "int8"
[calibration]
photos = 16
[qat]
epochs = 1
learning_rate = 1e-4
"""

WHY = "drawn photos of rectangles"
NAMED = ["--name", "yard", "--version", "1.0.0", "--description", "Persons and cars"]


@pytest.fixture(scope="module")
def bundle(data, tmp_path_factory):
    work = tmp_path_factory.mktemp("work")
    arguments = ["--data", str(data), "--out", str(work / "run")]
    assert main(["train", *arguments, "--phases", "128x2", "--width", "0.35", "--batch", "8"]) == 0
    (work / "qat.toml").write_text(RECIPE)
    checkpoint = ["--data", str(data), "--checkpoint", str(work / "run" / "last.pt")]
    qat = ["--recipe", str(work / "qat.toml"), "--batch", "8", "--out", str(work / "qat")]
    assert main(["qat", *checkpoint, *qat]) == 0
    rest = ["--work", str(work / "build"), "--calibration-photos", "16", "--out", str(work / "b")]
    rest += ["--accept", WHY]
    assert main(["build", *NAMED, *checkpoint, "--qat", str(work / "qat"), *rest]) == 0
    return work / "b"


def test_the_bundle_is_whole_and_its_input_takes_bytes(bundle):
    loaded = load_bundle(bundle)
    assert loaded.name == "yard"
    assert [label.id for label in loaded.labels] == [1, 3]
    interpreter = open_interpreter(loaded.model, "litert", 1, name="built", trusted=True)
    details = interpreter.get_input_details()[0]
    assert details["dtype"] == np.int8
    assert details["quantization"] == (1 / 128, 0)
    assert (bundle / "README.md").read_text().count("| mean AP50 |") == 1


def test_the_bundle_passes_its_own_check_and_its_figures_are_reproduced(bundle, data, capsys):
    assert main(["verify", str(bundle)]) == 0
    figures = json.loads((bundle / "figures.json").read_text())["val"]
    assert figures.keys() == {"float32", "int8", "int8-qat"}
    *_, shipped = figures.values()
    told = bundle.parent / "again.json"
    arguments = ["--annotations", str(data / "val.json"), "--json", str(told)]
    assert main(["evaluate", str(bundle), *arguments]) == 0
    assert f"| mean AP50 | {shipped['ap50']:.3f} |" in capsys.readouterr().out


def test_the_card_tells_the_lineage(bundle):
    card = (bundle / "README.md").read_text()
    assert "1. Training (float): 2 epochs at 128 px; batch 8" in card
    lineage = load_bundle(bundle).manifest.training["lineage"]
    assert lineage[0]["seed"] == 1


def test_the_graph_holds_integers_only(bundle):
    interpreter = open_interpreter(
        load_bundle(bundle).model, "litert", 1, name="built", trusted=True
    )
    kinds = {str(np.dtype(d["dtype"])) for d in interpreter.get_tensor_details()}
    assert "float32" not in kinds


def test_a_model_that_learnt_nothing_is_refused_with_its_figures(data, bundle, tmp_path, capsys):
    """All of its 24 photos calibrate it, though the recipe names 256."""
    checkpoint = bundle.parent / "run" / "last.pt"
    arguments = ["--data", str(data), "--checkpoint", str(checkpoint), "--work", str(tmp_path)]
    assert main(["build", *NAMED, *arguments, "--out", str(tmp_path / "b")]) == 65
    told = capsys.readouterr()
    assert "below 0.30 (worst: " in told.err
    assert "| mean AP50 |" in told.out
    assert not (tmp_path / "b").exists()


def test_what_the_gate_refused_and_why_it_was_accepted_stand_in_the_card(bundle):
    card = (bundle / "README.md").read_text()
    assert f"**Refused, and packaged nevertheless** ({WHY})" in card
    assert "- AP50 0." in card
    assert "Lost by INT8" in card


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--golden", "nowhere"], "nowhere: no such folder of pictures"),
        (["--golden", "EMPTY"], "holds no picture"),
        (["--qat", "EMPTY"], "int8.tflite: is missing"),
    ],
)
def test_inputs_are_checked_before_the_long_work(
    data, bundle, tmp_path, capsys, monkeypatch, more, message
):
    def export(*_):
        raise AssertionError("the long work began")

    monkeypatch.setattr("deploy.packaging.build.export_float", export)
    (tmp_path / "empty").mkdir()
    more = [str(tmp_path / "empty") if part == "EMPTY" else part for part in more]
    checkpoint = ["--data", str(data), "--checkpoint", str(bundle.parent / "run" / "last.pt")]
    out = ["--work", str(tmp_path / "w"), "--out", str(tmp_path / "b")]
    assert main(["build", *NAMED, *checkpoint, *more, *out]) == 65
    assert message in capsys.readouterr().err


def test_validation_photos_that_are_missing_are_named_before_the_long_work(
    data, bundle, tmp_path, capsys
):
    for name in ("train", "val"):
        (tmp_path / f"{name}.json").write_text((data / f"{name}.json").read_text())
    checkpoint = ["--checkpoint", str(bundle.parent / "run" / "last.pt")]
    out = ["--work", str(tmp_path / "w"), "--out", str(tmp_path / "b")]
    assert main(["build", *NAMED, "--data", str(tmp_path), *checkpoint, *out]) == 65
    assert "8 of 8 photos are missing" in capsys.readouterr().err
    assert not (tmp_path / "w" / "float32.tflite").exists()


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint"])
def test_a_damaged_checkpoint_is_refused(data, tmp_path, capsys, damage):
    checkpoint = tmp_path / "last.pt"
    checkpoint.write_bytes(damage)
    arguments = ["--data", str(data), "--checkpoint", str(checkpoint), "--out", str(tmp_path / "b")]
    assert main(["build", *NAMED, *arguments]) == 65
    assert str(checkpoint) in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_missing_and_empty_annotations_are_refused(tmp_path, capsys):
    assert main(["train", "--data", str(tmp_path), "--out", str(tmp_path / "run")]) == 65
    assert "train.json: cannot be read" in capsys.readouterr().err
    (tmp_path / "train.json").write_text('{"images": [], "annotations": [], "categories": []}')
    assert main(["train", "--data", str(tmp_path), "--out", str(tmp_path / "run")]) == 65
    assert "lists no images" in capsys.readouterr().err
