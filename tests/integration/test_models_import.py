"""``pi-detector models import``: bundles of foreign models that detect, or what a file is."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import pi_detector
from model_files import changed, constant_model, with_files
from yolo_heads import stored, yolov5_head, yolov8_head

from pi_detector.core.geometry import pairwise_iou
from pi_detector.detector.bundle import find_model
from pi_detector.detector.detector import Detector
from pi_detector.detector.foreign.making import Wishes, import_model
from pi_detector.errors import BadLabelsError, BadModelError, SinkError

SIZE = (160, 128)
FRAME = (640, 320)
# The frame fills the input's width; bars of 24 pixels lie above and below.
SHOWN = [([20.0, 30.0, 60.0, 100.0], 1, 0.9), ([100.0, 40.0, 140.0, 80.0], 0, 0.7)]
IN_FRAME = [[80.0, 24.0, 240.0, 304.0], [400.0, 64.0, 560.0, 224.0]]
NAMES = {"0": "person", "1": "dog", "2": "gate"}
NHWC, NCHW = (1, 128, 160, 3), (1, 3, 128, 160)
LEGACY = "reference/ssd_mobilenet_v1_coco_uint8_postprocess.tflite"
LEGACY_LABELS = "reference/ssd_mobilenet_v1_coco_labels.txt"
CLASSIFIER = "reference/mobilenet_v2_1.0_224_imagenet_ptq_int8.tflite"


def said(**more: Any) -> str:
    return json.dumps({"task": "detect", "names": NAMES, "license": "AGPL-3.0", **more})


def yolov8(shape: tuple[int, ...] = NHWC, **more: Any) -> bytes:
    head = yolov8_head(SIZE, 3, SHOWN)
    return with_files(constant_model(shape, {"out": head}), metadata_json=said(**more))


def quantized(head: Any, zero_point: int = -128) -> bytes:
    scale = 1 / 255
    model = constant_model(
        NHWC, {"out": stored(head, scale, zero_point)}, kind="INT8", coding=(scale, zero_point)
    )
    return with_files(model, metadata_json=said())


def pixels(head: Any) -> Any:
    head = head.copy()
    head[:, :4] *= np.asarray([*SIZE, *SIZE], np.float32)[:, np.newaxis]
    return head


def imported(tmp_path: Path, model: bytes, **wishes: Any) -> Detector:
    path = tmp_path / "best.tflite"
    path.write_bytes(model)
    import_model(path, tmp_path / "yard", Wishes(**wishes))
    return Detector(tmp_path / "yard", threads=1)


def found_in(detector: Detector) -> tuple[list[str], Any]:
    found = detector.detect(np.zeros((FRAME[1], FRAME[0], 3), np.uint8))
    return found.label, found.xyxy


@pytest.mark.parametrize(
    ("model", "tolerance"),
    [
        (yolov8(NHWC), 0.999),
        (yolov8(NCHW), 0.999),
        (quantized(yolov8_head(SIZE, 3, SHOWN)), 0.95),
        (with_files(constant_model(NHWC, {"out": pixels(yolov8_head(SIZE, 3, SHOWN))}),
                    metadata_json=said()), 0.999),
        (with_files(constant_model(NHWC, {"out": yolov8_head(SIZE, 3, SHOWN).transpose(0, 2, 1)}),
                    metadata_json=said()), 0.999),
        (with_files(constant_model(NHWC, {"out": yolov5_head(SIZE, 3, SHOWN)}),
                    temp_meta_txt=str({"stride": 32, "names": dict(enumerate(NAMES.values()))})),
         0.999),
        (quantized(yolov5_head(SIZE, 3, SHOWN)), 0.95),
    ],
    ids=["v8", "channels first", "v8 int8", "v8 pixels", "v8 rows", "v5", "v5 int8"],
)  # fmt: skip
def test_a_yolo_finds_its_boxes_in_the_frame(
    tmp_path: Path, model: bytes, tolerance: float
) -> None:
    labels, boxes = found_in(imported(tmp_path, model))
    assert labels == ["dog", "person"]
    wanted = np.asarray(IN_FRAME, np.float32)
    assert (np.diag(pairwise_iou(boxes, wanted)) >= tolerance).all()


def test_a_yolo_that_suppresses_by_itself(tmp_path: Path) -> None:
    rows = np.zeros((1, 300, 6), np.float32)
    for row, (box, index, score) in zip(rows[0], SHOWN, strict=False):
        row[:] = [*box, score, index]
    model = constant_model(NCHW, {"out": rows})
    detector = imported(tmp_path, with_files(model, metadata_json=said(end2end=True)))
    labels, boxes = found_in(detector)
    assert labels == ["dog", "person"]
    np.testing.assert_allclose(boxes, IN_FRAME, atol=0.1)
    (tmp_path / "labels.txt").write_text("person\ndog\ngate")
    (tmp_path / "bare.tflite").write_bytes(model)
    with pytest.raises(BadLabelsError, match="has 3 labels, the model has 1 classes"):
        import_model(tmp_path / "bare.tflite", tmp_path / "other")


def test_the_command_says_what_it_made(tmp_path: Path) -> None:
    path = tmp_path / "best.tflite"
    path.write_bytes(yolov8(NCHW))
    out = tmp_path / "models" / "yard"
    done = pi_detector("models", "import", path, "--out", out, "--min-score", "0.3")
    assert done.returncode == 0, done.stderr
    assert f"{out}: YOLOv8" in done.stdout
    assert "160x128 float32 nchw, letterbox" in done.stdout
    assert "person, dog, gate" in done.stdout
    assert "dog 0.90, person 0.70" in done.stdout
    assert re.search(r"speed +\d+ ms per image", done.stdout)
    assert [each.name for each in out.parent.iterdir()] == ["yard"]
    assert (out / "labels.txt").read_text() == "person\ndog\ngate\n"
    manifest = tomllib.loads((out / "manifest.toml").read_text())
    assert manifest["model"]["licence"] == "AGPL-3.0"
    assert manifest["scores"]["default"] == 0.3
    done = pi_detector("models", "verify", out)
    assert done.returncode == 0
    done = pi_detector("run", "--source", "demo:", "--frames", "1", "--model", out)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    (record,) = [each for each in records if each["type"] == "detections"]
    assert [each["label"] for each in record["detections"]] == ["dog", "person"]
    done = pi_detector("models", "import", path, "--out", out)
    assert done.returncode == 74
    assert "exists; name a folder that does not" in done.stderr


@pytest.fixture
def legacy(shared: Path) -> bytes:
    """COCO's SSD: 90 classes beside the background."""
    if not (shared / LEGACY).is_file():
        pytest.skip(f"no reference model {shared / LEGACY}")
    return (shared / LEGACY).read_bytes()


def second_order(model: Any, schema: Any) -> None:
    """The outputs as TensorFlow 2 orders and names them: scores, boxes, count, classes."""
    graph = model.subgraphs[0]
    boxes, classes, scores, count = (int(index) for index in graph.outputs)
    graph.outputs = [scores, boxes, count, classes]
    for number, index in zip((1, 3, 0, 2), graph.outputs, strict=True):
        graph.tensors[index].name = f"StatefulPartitionedCall:{number}"


@pytest.mark.parametrize("second", [False, True], ids=["TF1", "TF2"])
def test_an_ssd_in_both_orders_of_its_outputs(
    tmp_path: Path, shared: Path, legacy: bytes, second: bool
) -> None:
    from pi_detector.sources.demo import load_photograph

    labels = shared / LEGACY_LABELS
    path = tmp_path / "detect.tflite"
    path.write_bytes(changed(legacy, second_order) if second else legacy)
    (tmp_path / "labelmap.txt").write_bytes(labels.read_bytes())
    import_model(path, tmp_path / "yard")
    outputs = tomllib.loads((tmp_path / "yard/manifest.toml").read_text())["outputs"]
    assert outputs["classes"] == ("StatefulPartitionedCall:2" if second else f"{PREFIX}:1")
    assert outputs["scores"] == ("StatefulPartitionedCall:1" if second else f"{PREFIX}:2")
    (tmp_path / "bare.tflite").write_bytes(legacy)
    bare = Detector(tmp_path / "bare.tflite", labels=labels, threads=1, min_score=0.4)
    wanted = bare.detect(load_photograph())
    found = Detector(tmp_path / "yard", threads=1).detect(load_photograph())
    assert "person" in found.label
    assert found.label == wanted.label
    np.testing.assert_allclose(found.xyxy, wanted.xyxy)


PREFIX = "TFLite_Detection_PostProcess"


def test_an_efficientdet_lite(tmp_path: Path, shared: Path, legacy: bytes) -> None:
    """It has no column for the background, TensorFlow 2's order, and its labels in itself."""

    def without_background(model: Any, schema: Any) -> None:
        second_order(model, schema)
        for operator in model.subgraphs[0].operators:
            if operator.customOptions is not None:
                scores = model.subgraphs[0].tensors[operator.inputs[1]]
                assert list(scores.shape) == [1, 1917, 91]

    names = (shared / LEGACY_LABELS).read_text().splitlines()[1:]
    model = with_files(changed(legacy, without_background), labelmap_txt="\n".join(names))
    detector = imported(tmp_path, model)
    assert detector.labels[18] == "dog"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("person\ndog", "has 2 labels, the model has 3 classes"),
        ("person\ndog\ngate\ncat", "has 4 labels, the model has 3 classes"),
        ("dog\nperson\ngate", "'dog' is the label of class 1, but by the model itself of class 2"),
        ("0 dog\n1 person\n2 gate", "'dog' is the label of class 1, but by"),
        ("1 person\n2 dog\n4 gate", "the numbers range from 1 to 4, the model has 3"),
        ("background\nperson\ndog", "has 2 labels after 'background', the model has 3"),
        ("person\n\ndog", "'dog' is the label of class 3, but by the model itself of class 2"),
        ("hund\nhund\ntor", "'hund' is the label of the classes 1 and 2"),
    ],
)
def test_labels_of_wrong_count_or_order_are_refused(
    tmp_path: Path, names: str, message: str
) -> None:
    (tmp_path / "given.txt").write_text(names)
    with pytest.raises(BadLabelsError, match=message):
        imported(tmp_path, yolov8(), labels=tmp_path / "given.txt")
    assert not (tmp_path / "yard").exists()


def test_labels_in_another_language(tmp_path: Path) -> None:
    (tmp_path / "given.txt").write_text("# Deutsch\nPerson\nHund\nTor\n")
    detector = imported(tmp_path, yolov8(), labels=tmp_path / "given.txt")
    assert list(detector.labels.values()) == ["Person", "Hund", "Tor"]


def test_labels_of_coco_have_its_order(tmp_path: Path) -> None:
    names = [label.name for label in find_model("coco").labels]
    head = yolov8_head(SIZE, 80, SHOWN)
    model = constant_model(NHWC, {"out": head})
    (tmp_path / "labels.txt").write_text("\n".join(sorted(names)))
    with pytest.raises(BadLabelsError, match="by COCO's order of class"):
        imported(tmp_path, model)
    assert imported(tmp_path, model, any_order=True).labels[1] == "airplane"


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (constant_model(NHWC, {"out": np.zeros((1, 1001), np.float32)}),
         r"is a classifier \(1001 classes\)"),
        (constant_model(NHWC, {"out": np.zeros((1, 128, 160, 21), np.float32)}),
         "is a segmentation model"),
        (yolov8(task="segment"), r"is a segmentation model \(-seg\).*export a detection model"),
        (yolov8(task="pose"), "is a pose model"),
        (yolov8(task="obb"), "is a model of rotated boxes"),
        (constant_model(NHWC, {"a": np.zeros((1, 36, 420), np.float32),
                               "b": np.zeros((1, 32, 40, 32), np.float32)}),
         "is a segmentation model with boxes"),
        (constant_model(NHWC, {"a": np.zeros((1, 1917, 4), np.float32),
                               "b": np.zeros((1, 1917, 91), np.float32)}),
         "is an SSD without its last operator.*TFLite_Detection_PostProcess"),
        (constant_model(NHWC, {"a": np.zeros((1, 16, 20, 67), np.float32),
                               "b": np.zeros((1, 8, 10, 67), np.float32)}),
         "gives raw feature maps"),
        (constant_model(NHWC, {"a": np.zeros((1, 7, 3), np.float32)}), "no decoder here knows"),
        (constant_model((1, 1, 128, 160), {"a": np.zeros((1, 7), np.float32)}),
         "is not one RGB image"),
        (constant_model(NHWC, {"out": np.full((1, 7, 420), 40, np.int8)}, kind="INT8",
                        coding=(2.5, 0)), "counts in steps of 2.5.*format=litert"),
        (constant_model(NHWC, {"out": np.full((1, 7, 420), -3, np.float32)}),
         "its scores range from -3 to -3.*sigmoid"),
        (constant_model(NHWC, {"out": np.full((1, 7, 420), 0.2, np.float32)}),
         "its boxes reach to 0.2, 0.2"),
        (constant_model(NHWC, {"out": np.full((1, 7, 420), np.nan, np.float32)}), "not finite"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named(tmp_path: Path, model: bytes, message: str) -> None:
    (tmp_path / "labels.txt").write_text("person\ndog\ngate")
    with pytest.raises(BadModelError, match=message):
        imported(tmp_path, model)
    assert not (tmp_path / "yard").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("edgetpu-custom-op", "is compiled for a Coral Edge TPU.*without '_edgetpu'"),
        ("FlexStridedSlice", r"needs TensorFlow's own operators \(FlexStridedSlice\)"),
    ],
)
def test_operators_that_no_runtime_has(
    tmp_path: Path, legacy: bytes, name: str, message: str
) -> None:
    def rename(model: Any, schema: Any) -> None:
        for code in model.operatorCodes:
            if code.customCode:
                code.customCode = name

    with pytest.raises(BadModelError, match=message):
        imported(tmp_path, changed(legacy, rename))


def test_a_classifier_as_it_is_downloaded(tmp_path: Path, shared: Path) -> None:
    if not (shared / CLASSIFIER).is_file():
        pytest.skip(f"no reference model {shared / CLASSIFIER}")
    with pytest.raises(BadModelError, match=r"is a classifier \(1001 classes\)"):
        import_model(shared / CLASSIFIER, tmp_path / "yard")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    (tmp_path / "best.tflite").write_bytes(yolov8())
    with pytest.raises(SinkError, match="models/yard: cannot be written"):
        import_model(tmp_path / "best.tflite", tmp_path / "models" / "yard")


def test_labels_of_a_data_set_of_yolo(tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text("nc: 3\nnames: [person, dog, 'gate']\n")
    model = constant_model(NHWC, {"out": yolov8_head(SIZE, 3, SHOWN)})
    assert found_in(imported(tmp_path, model))[0] == ["dog", "person"]
    (tmp_path / "data.yaml").write_text("names: {0: person, 1: dog}")
    with pytest.raises(BadLabelsError, match=r"data\.yaml: has 2 labels, the model has 3 classes"):
        import_model(tmp_path / "best.tflite", tmp_path / "other")


def test_a_bare_yolo_names_the_way(tmp_path: Path) -> None:
    path = tmp_path / "best.tflite"
    path.write_bytes(yolov8())
    for _ in range(2):
        done = pi_detector("models", "verify", path)
        assert done.returncode == 65
        assert "pi-detector models import" in done.stderr
        (tmp_path / "labels.txt").write_text("person\ndog\ngate\n")


def test_a_box_of_yolo_stays_as_the_network_gave_it(tmp_path: Path) -> None:
    beside = ([24.0, 34.0, 64.0, 104.0], 1, 0.8)
    head = yolov8_head(SIZE, 3, [*SHOWN, beside])
    model = with_files(constant_model(NHWC, {"out": head}), metadata_json=said())
    labels, boxes = found_in(imported(tmp_path, model))
    assert labels == ["dog", "person"]
    np.testing.assert_allclose(boxes, IN_FRAME, atol=0.1)
    manifest = tmp_path / "yard" / "manifest.toml"
    text = manifest.read_text()
    assert "average = false" in text
    manifest.write_text(text.replace("average = false", "average = true"))
    _, averaged = found_in(Detector(tmp_path / "yard", threads=1))
    assert (averaged[0] - boxes[0] > 3).all()


def test_the_folder_of_a_download(tmp_path: Path) -> None:
    folder = tmp_path / "download"
    folder.mkdir()
    (folder / "BEST.TFLITE").write_bytes(constant_model(NHWC, {"out": yolov8_head(SIZE, 3, SHOWN)}))
    (folder / "labelmap.txt").write_text("person\ndog\ngate")
    import_model(folder, tmp_path / "yard")
    assert found_in(Detector(tmp_path / "yard", threads=1))[0] == ["dog", "person"]
    with pytest.raises(BadModelError, match="is a bundle already"):
        import_model(tmp_path / "yard", tmp_path / "other")


def test_the_name_of_an_operator_that_was_overwritten(tmp_path: Path, legacy: bytes) -> None:
    name = b"TFLite_Detection_PostProcess"
    model = legacy.replace(name + b"\0", b"edgetpu-custom-op".ljust(len(name), b"\0") + b"\0")
    with pytest.raises(BadModelError, match="is compiled for a Coral Edge TPU"):
        imported(tmp_path, model)
