"""The whole build on a data set that the test draws: train, export, quantize, measure, package."""

import numpy as np
import pytest

from deploy.__main__ import main
from pi_detector.detector.bundle import load_bundle
from pi_detector.detector.runtime import open_interpreter


@pytest.fixture(scope="module")
def bundle(data, tmp_path_factory):
    work = tmp_path_factory.mktemp("work")
    arguments = ["--data", str(data), "--out", str(work / "run")]
    assert main(["train", *arguments, "--phases", "128x2", "--width", "0.35", "--batch", "8"]) == 0
    build = ["build", "--data", str(data), "--checkpoint", str(work / "run" / "last.pt")]
    rest = ["--work", str(work / "build"), "--calibration-photos", "16", "--out", str(work / "b")]
    assert main([*build, *rest]) == 0
    return work / "b"


def test_the_bundle_is_whole_and_its_input_takes_bytes(bundle):
    loaded = load_bundle(bundle)
    assert [label.id for label in loaded.labels] == [1, 3]
    interpreter = open_interpreter(loaded.model, "litert", 1, name="built", trusted=True)
    details = interpreter.get_input_details()[0]
    assert details["dtype"] == np.int8
    assert details["quantization"] == (1 / 128, 0)
    assert (bundle / "README.md").read_text().count("| mean AP50 |") == 1


def test_the_graph_holds_integers_only(bundle):
    interpreter = open_interpreter(
        load_bundle(bundle).model, "litert", 1, name="built", trusted=True
    )
    kinds = {str(np.dtype(d["dtype"])) for d in interpreter.get_tensor_details()}
    assert "float32" not in kinds


def test_too_few_calibration_photos_are_refused(data, bundle, tmp_path, capsys):
    checkpoint = bundle.parent / "run" / "last.pt"
    arguments = ["--data", str(data), "--checkpoint", str(checkpoint), "--work", str(tmp_path)]
    assert main(["build", *arguments, "--out", str(tmp_path / "b")]) == 65
    assert "24 calibration photos, 256 needed" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint"])
def test_a_damaged_checkpoint_is_refused(data, tmp_path, capsys, damage):
    checkpoint = tmp_path / "last.pt"
    checkpoint.write_bytes(damage)
    arguments = ["--data", str(data), "--checkpoint", str(checkpoint), "--out", str(tmp_path / "b")]
    assert main(["build", *arguments]) == 65
    assert str(checkpoint) in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_missing_and_empty_annotations_are_refused(tmp_path, capsys):
    assert main(["train", "--data", str(tmp_path), "--out", str(tmp_path / "run")]) == 65
    assert "train.json: cannot be read" in capsys.readouterr().err
    (tmp_path / "train.json").write_text('{"images": [], "annotations": [], "categories": []}')
    assert main(["train", "--data", str(tmp_path), "--out", str(tmp_path / "run")]) == 65
    assert "lists no images" in capsys.readouterr().err
