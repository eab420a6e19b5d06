"""Models and labels as they are downloaded: read, or named as what they are."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import pi_detector
from model_files import changed

from pi_detector.config.settings import ModelSettings
from pi_detector.detector.bundle import load_model, takes_labels
from pi_detector.detector.detector import Detector
from pi_detector.detector.tflite_file import read_facts
from pi_detector.errors import BadLabelsError, BadModelError, ModelNotFoundError

LEGACY = "reference/ssd_mobilenet_v1_coco_uint8_postprocess.tflite"
LEGACY_LABELS = "reference/ssd_mobilenet_v1_coco_labels.txt"


@pytest.fixture
def legacy(shared: Path) -> bytes:
    """COCO's SSD: 90 classes beside the background."""
    if not (shared / LEGACY).is_file():
        pytest.skip(f"no reference model {shared / LEGACY}")
    return (shared / LEGACY).read_bytes()


@pytest.fixture
def labels(shared: Path) -> list[str]:
    if not (shared / LEGACY_LABELS).is_file():
        pytest.skip(f"no reference labels {shared / LEGACY_LABELS}")
    return (shared / LEGACY_LABELS).read_text().splitlines()


def write(path: Path, model: bytes, labels: list[str] | None, name: str = "labelmap.txt") -> Path:
    path.write_bytes(model)
    if labels is not None:
        path.with_name(name).write_text("\n".join(labels))
    return path


@pytest.mark.parametrize("name", ["detect.tflite", "DETECT.TFLITE", "detect.lite", "model"])
def test_a_bare_model_under_any_name(
    tmp_path: Path, legacy: bytes, labels: list[str], name: str
) -> None:
    path = write(tmp_path / name, legacy, labels)
    bundle = load_model(ModelSettings(path=str(path)))
    assert (bundle.labels[0].name, bundle.labels[17].name) == ("person", "dog")
    assert (bundle.labels[89].id, bundle.labels[89].name) == (90, "toothbrush")
    assert takes_labels(str(path))


def test_the_folder_of_a_download(tmp_path: Path, legacy: bytes, labels: list[str]) -> None:
    write(tmp_path / "detect.tflite", legacy, ["???", *labels[1:]])
    (tmp_path / "._detect.tflite").write_bytes(b"of a Mac")
    bundle = load_model(ModelSettings(path=str(tmp_path)))
    assert bundle.name == "detect"
    assert bundle.labels[17].name == "dog"
    detector = Detector(bundle, threads=1)
    assert detector.labels[18] == "dog"
    done = pi_detector("models", "verify", tmp_path)
    assert done.returncode == 0
    assert "ok" in done.stdout
    assert takes_labels(str(tmp_path))
    write(tmp_path / "other.tflite", legacy, None)
    with pytest.raises(BadModelError, match=r"several models \(detect.tflite, other.tflite\)"):
        load_model(ModelSettings(path=str(tmp_path)))


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"no \.tflite in this folder"):
        load_model(ModelSettings(path=str(tmp_path)))


def test_labels_that_the_model_carries(tmp_path: Path, legacy: bytes, labels: list[str]) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("labelmap.txt", "\n".join(labels))
    path = write(tmp_path / "detect.tflite", legacy + archive.getvalue(), None)
    assert load_model(ModelSettings(path=str(path))).labels[17].name == "dog"
    path.write_bytes(legacy)
    with pytest.raises(BadLabelsError, match="no such labels file"):
        load_model(ModelSettings(path=str(path)))


def test_labels_that_do_not_fit_are_refused_by_every_command(tmp_path: Path, legacy: bytes) -> None:
    path = write(tmp_path / "detect.tflite", legacy, ["person", "bicycle", "car"], "labels.txt")
    message = "labels.txt: has 3 labels, the model has 90 classes"
    for command in (
        ("models", "verify", path),
        ("models", "show", path),
        ("run", "--source", "demo:", "--frames", "1", "--model", path),
        ("detect", __file__, "--model", path),
    ):
        done = pi_detector(*command)
        assert done.returncode == 65, command
        assert message in done.stderr
    done = pi_detector("doctor", "--set", f"model.path={path}")
    assert message in done.stdout + done.stderr


def test_a_byte_order_mark_shifts_nothing(tmp_path: Path, legacy: bytes, labels: list[str]) -> None:
    path = write(tmp_path / "detect.tflite", legacy, ["\ufeff???", *labels[1:]])
    assert load_model(ModelSettings(path=str(path))).labels[17].name == "dog"


def test_the_class_count_is_the_operators_own(legacy: bytes) -> None:
    facts = read_facts(legacy)
    assert facts is not None
    assert facts.class_count == 90
    assert facts.input_shapes == ((1, 300, 300, 3),)
    assert facts.custom_operators == ("TFLite_Detection_PostProcess",)

    def without_background(model: Any, schema: Any) -> None:
        for operator in model.subgraphs[0].operators:
            if operator.customOptions is not None:
                scores = model.subgraphs[0].tensors[operator.inputs[1]]
                scores.shape = np.asarray([1, 1917, 90], np.int32)

    # EfficientDet has no column for the background: its option num_classes says so.
    facts = read_facts(changed(legacy, without_background))
    assert facts is not None
    assert facts.class_count == 90


def test_facts_of_a_damaged_model_are_none_or_facts(legacy: bytes) -> None:
    random = np.random.default_rng(7)
    head = bytearray(legacy[: 1 << 16])
    for _ in range(300):
        damaged = bytearray(head)
        for at in random.integers(0, len(damaged), 40):
            damaged[at] = random.integers(0, 256)
        read_facts(bytes(damaged[: random.integers(0, len(damaged))]) + legacy[-(1 << 16) :])
    assert read_facts(b"") is None
    assert read_facts(legacy[:1000]) is None


def renamed(name: str) -> Callable[[Any, Any], None]:
    def change(model: Any, schema: Any) -> None:
        for code in model.operatorCodes:
            if code.customCode:
                code.customCode = name

    return change


def newer(model: Any, schema: Any) -> None:
    for code in model.operatorCodes:
        if code.deprecatedBuiltinCode == schema.BuiltinOperator.CONV_2D:
            code.version = 99


def of_the_future(model: Any, schema: Any) -> None:
    for code in model.operatorCodes:
        if code.deprecatedBuiltinCode == schema.BuiltinOperator.CONV_2D:
            code.builtinCode = 250


def four_at_once(model: Any, schema: Any) -> None:
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].shape = np.asarray([4, 300, 300, 3], np.int32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (renamed("edgetpu-custom-op"), "is compiled for a Coral Edge TPU.*without '_edgetpu'"),
        (renamed("FlexStridedSlice"), r"needs TensorFlow's own operators \(FlexStridedSlice\)"),
        (renamed("OurOwnOp"), "needs the custom operator OurOwnOp"),
        (newer, r"is newer than \S+ \(its CONV_2D is of version 99\); upgrade"),
        (of_the_future, "is newer than .*out of range: 250.*; upgrade"),
        (four_at_once, "takes 4 images at once; export it with a batch size of 1"),
    ],
    ids=["edge tpu", "flex", "custom", "newer", "unknown", "batch"],
)
def test_a_model_that_does_not_load_is_named(
    tmp_path: Path,
    legacy: bytes,
    labels: list[str],
    change: Callable[[Any, Any], None],
    message: str,
) -> None:
    path = write(tmp_path / "detect.tflite", changed(legacy, change), labels)
    model = ModelSettings(path=str(path), threads=1)
    # Of a model without the operator nothing says how many classes there are: first is background.
    with pytest.raises(BadModelError, match=rf"detect\.tflite: {message}") as caught:
        Detector(load_model(model), threads=1)
    assert "damaged" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\n", "git lfs pull"),
        (b"\n<!DOCTYPE html>\n<html>", "is a web page.*download the file itself"),
        (b"PK\x03\x04" + bytes(40), "is a ZIP archive"),
        (b"\x1f\x8b\x08" + bytes(40), "is compressed by gzip"),
        (b"\x89HDF\r\n\x1a\n" + bytes(40), "is a Keras model"),
        (b"\x08\x07\x12\x07pytorch", "perhaps ONNX"),
        (b"anything else" * 9, "is not a .tflite file"),
    ],
)
def test_a_file_that_is_something_else(tmp_path: Path, content: bytes, message: str) -> None:
    path = write(tmp_path / "detect.tflite", content, ["person"])
    with pytest.raises(BadModelError, match=rf"detect\.tflite: .*{message}"):
        load_model(ModelSettings(path=str(path)))
