"""The bundled model and bare models, run for real; damaged files must not crash the process."""

import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from pi_detector.bench.frames import load_frames
from pi_detector.config.settings import DetectionSettings, ModelSettings
from pi_detector.core.frame import Frame
from pi_detector.detector.bundle import find_bundles, load_model
from pi_detector.detector.detector import Detector
from pi_detector.detector.runtime import available_runtimes
from pi_detector.errors import BadLabelsError, BadModelError

LEGACY = "reference/ssd_mobilenet_v1_coco_uint8_postprocess.tflite"
LEGACY_LABELS = "reference/ssd_mobilenet_v1_coco_labels.txt"


def frame(image):
    return Frame(np.ascontiguousarray(image), 0, time.monotonic_ns(), datetime.now(UTC), "test")


def noise(seed, height=240, width=320):
    """Blurred noise: structure enough for weak detections."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (12, 16, 3), np.uint8)
    return frame(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))


def detector(model=None, **detection):
    model = model or ModelSettings(threads=1)
    return Detector(
        load_model(model), runtime=model.runtime, detection=DetectionSettings(**detection)
    )


def rows(detections):
    return (detections.xyxy.tolist(), detections.score.tolist(), detections.class_id.tolist())


@pytest.fixture(scope="module")
def sensitive():
    """The bundled model, reporting nearly everything."""
    return detector(min_score=0.01)


@pytest.fixture
def bare(tmp_path):
    """The bundled model's file, on its own: no SHA-256 vouches for it."""
    bundle = load_model(ModelSettings())
    path = tmp_path / "bare.tflite"
    path.write_bytes(bundle.model)
    (tmp_path / "labels.txt").write_text("".join(f"{label.name}\n" for label in bundle.labels))
    return path


@pytest.mark.parametrize("name", ["coco", "street", "street-small"])
def test_the_models_that_ship_are_found_by_name_and_find_a_person(name):
    assert name in [path.name for path in find_bundles()]
    one = detector(ModelSettings(path=name))
    (demonstration, *_) = load_frames("", (640, 480))
    found, _, _ = one.run(one.prepare(frame(demonstration)))
    assert "person" in {one.labels[i] for i in found.class_id.tolist()}


def test_detections_lie_in_the_frame_best_first(sensitive):
    seen = noise(1)
    found, invoke_ms, decode_ms = sensitive.run(sensitive.prepare(seen))
    assert 0 < len(found) <= 100
    assert (np.diff(found.score) <= 0).all()
    assert (found.xyxy >= 0).all()
    assert (found.xyxy[:, 2:] <= [seen.width, seen.height]).all()
    assert (found.xyxy[:, :2] <= found.xyxy[:, 2:]).all()
    assert set(found.class_id.tolist()) <= set(sensitive.labels)
    assert invoke_ms > 0
    assert decode_ms > 0


def test_boxes_scale_with_the_frame(sensitive):
    height, width = sensitive.input_size
    exact = noise(2, height, width)
    small, _, _ = sensitive.run(sensitive.prepare(exact))
    black = np.zeros((2 * height, 3 * width, 3), np.uint8)
    large = Frame(black, 0, 0, datetime.now(UTC), "test", model_input=exact.image)
    found, _, _ = sensitive.run(sensitive.prepare(large))
    assert len(found) > 0
    np.testing.assert_allclose(found.xyxy, small.xyxy * np.float32([3, 2, 3, 2]), rtol=1e-4)


def test_limits_of_the_settings():
    few = detector(min_score=0.01, max_detections=3)
    found, _, _ = few.run(few.prepare(noise(1)))
    assert len(found) == 3
    label = few.labels[int(found.class_id[0])]
    only = detector(min_score=0.01, labels=(label,))
    found, _, _ = only.run(only.prepare(noise(1)))
    assert {only.labels[i] for i in found.class_id.tolist()} == {label}


def test_preparing_the_next_frame_does_not_disturb_this_one(sensitive):
    frames = [noise(seed) for seed in range(8)]
    alone = [rows(sensitive.run(sensitive.prepare(f))[0]) for f in frames]
    prepared = [sensitive.prepare(f) for f in frames]
    stop = threading.Event()

    def keep_preparing():
        while not stop.is_set():
            sensitive.prepare(frames[0])

    beside = threading.Thread(target=keep_preparing)
    beside.start()
    try:
        overlapped = [rows(sensitive.run(p)[0]) for p in prepared]
    finally:
        stop.set()
        beside.join()
    assert overlapped == alone


def test_a_raw_network_without_its_manifest(bare):
    model = ModelSettings(path=str(bare))
    with pytest.raises(BadModelError, match="models import"):
        Detector(load_model(model))


@pytest.mark.parametrize("runtime", list(available_runtimes()))
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_model_is_a_message_not_a_crash(bare, share, runtime):
    data = bare.read_bytes()
    bare.write_bytes(data[: int(len(data) * share)])
    assert "damaged" in the_error_of(bare, runtime)


@pytest.mark.parametrize("runtime", list(available_runtimes()))
def test_a_model_that_aborts_the_runtime_is_a_message_not_a_crash(bare, runtime):
    """A tensor without its scale passes LiteRT's check of the structure and aborts XNNPACK."""
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    flatbuffers = pytest.importorskip("flatbuffers")
    model = schema.ModelT.InitFromPackedBuf(bare.read_bytes(), 0)
    graph = model.subgraphs[0]
    codes = [code.builtinCode for code in model.operatorCodes]
    add = next(op for op in graph.operators if codes[op.opcodeIndex] == schema.BuiltinOperator.ADD)
    graph.tensors[add.outputs[0]].quantization.scale = []
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    bare.write_bytes(bytes(builder.Output()))
    message = the_error_of(bare, runtime)
    assert "damaged" in message
    if runtime == "litert":
        assert "it crashes the runtime" in message


def the_error_of(model, runtime):
    """The message of the BadModelError that a bare model raises in a process of its own."""
    code = (
        "import sys\n"
        "from pi_detector.config.settings import DetectionSettings, ModelSettings\n"
        "from pi_detector.detector.bundle import load_model\n"
        "from pi_detector.detector.detector import Detector\n"
        "from pi_detector.errors import BadModelError\n"
        "model = ModelSettings(path=sys.argv[1], runtime=sys.argv[2])\n"
        "try:\n"
        "    Detector(load_model(model), runtime=model.runtime)\n"
        "except BadModelError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, model, runtime], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert model.name in done.stdout
    return done.stdout


@pytest.fixture
def legacy(shared):
    """The COCO model of TensorFlow's examples: uint8, TFLite_Detection_PostProcess."""
    if not (shared / LEGACY).is_file():
        pytest.skip(f"no reference model {shared / LEGACY}")
    return ModelSettings(path=str(shared / LEGACY), labels=str(shared / LEGACY_LABELS))


def test_the_legacy_model_finds_what_is_labelled(legacy, shared):
    model = detector(legacy, min_score=0.5)
    assert model.input_size == (300, 300)
    assert (model.labels[1], model.labels[2], model.labels[90]) == (
        "person",
        "bicycle",
        "toothbrush",
    )
    photos = sorted((shared / "dataset/val").glob("bicycle-*.jpg"))[:20]
    with_bicycle = 0
    for photo in photos:
        seen = frame(cv2.cvtColor(cv2.imread(str(photo)), cv2.COLOR_BGR2RGB))
        found, _, _ = model.run(model.prepare(seen))
        with_bicycle += 2 in found.class_id
    assert with_bicycle >= len(photos) // 2


def test_labels_that_do_not_fit_the_legacy_model_are_refused_at_load(legacy, tmp_path):
    names = Path(legacy.labels).read_text().splitlines()
    for count, message in ((4, "has 3 labels after 'unlabeled', the model has 90"), (92, "has 91")):
        labels = tmp_path / "labels.txt"
        labels.write_text("\n".join([*names, "wardrobe"][:count]))
        with pytest.raises(BadLabelsError, match=message):
            load_model(ModelSettings(path=legacy.path, labels=str(labels)))


def test_weak_detections_for_a_tracker_leave_the_strong_ones_alone():
    model = ModelSettings(threads=1)
    settings = DetectionSettings(min_score=0.2, labels=("person", "car"))
    plain = Detector(load_model(model), detection=settings)
    eager = Detector(load_model(model), detection=settings, low_score_share=0.5)
    assert plain.min_scores == eager.min_scores
    assert {plain.labels[i] for i, score in eager.min_scores.items() if score <= 1} == {
        "person",
        "car",
    }
    more = 0
    for seed in range(5):
        prepared = plain.prepare(noise(seed))
        few, many = plain.run(prepared)[0], eager.run(prepared)[0]
        strong = many[many.score >= 0.2]
        assert strong.score.tolist() == few.score.tolist()
        assert strong.class_id.tolist() == few.class_id.tolist()
        assert set(many.class_id.tolist()) <= {1, 3}
        assert not len(many) or many.score.min() >= 0.1
        more += len(many) - len(few)
    assert more > 0
