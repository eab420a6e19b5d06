"""LiteRT and tflite-runtime find the same objects.

Their integer kernels round differently: given the same bytes, stored logits and offsets differ by
one on average. So where two candidates for one object are all but equal, the other one may win
the suppression. Such near ties are the share that a comparison of the final detections allows (on
crowded photos one in fourteen); in a comparison with the boxes of all candidates, none suppressed,
five of 290 differ by more than the tolerance: small boxes, and scores between the steps. (The
legacy model suppresses inside its graph: of it there are only final detections.)

Where both are installed (`make test-tflite`, on Python 3.11), this interpreter runs both;
elsewhere PI_DETECTOR_TFLITE_PYTHON names one that has tflite-runtime, NumPy 1, OpenCV, msgspec
and imutils.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import valid
from where import CHECKOUT

from pi_detector.core.geometry import pairwise_iou
from pi_detector.detector.runtime import available_runtimes

PHOTOS_PER_CLASS = 4
MIN_SCORE = 0.4
SCORE_TOLERANCE = 0.05
LEAST_IOU = 0.85
LEAST_SHARE = 0.9
LEAST_SHARE_OF_CANDIDATES = 0.97
UNSUPPRESSED = ["--set", "detection.iou_threshold=1.0", "--max-detections", "400"]


@pytest.fixture(scope="module")
def tflite_python():
    if "litert" not in available_runtimes():
        pytest.skip("ai-edge-litert is not installed here")
    if "tflite" in available_runtimes():
        return sys.executable
    python = os.environ.get("PI_DETECTOR_TFLITE_PYTHON")
    if not python:
        pytest.skip("no tflite-runtime here: run `make test-tflite`")
    return python


@pytest.fixture(scope="module")
def photos(shared):
    """A few photos of each class."""
    by_class: dict[str, list[Path]] = {}
    for photo in sorted((shared / "dataset/val").glob("*.jpg")):
        by_class.setdefault(photo.name.split("-")[0], []).append(photo)
    return [photo for group in by_class.values() for photo in group[:PHOTOS_PER_CLASS]]


def detect(python, runtime, photos, options):
    """What the command finds: by file, the detections of its record."""
    done = subprocess.run(
        [
            *(python, "-m", "pi_detector", "detect", "--format", "jsonl"),
            *("--min-score", str(MIN_SCORE - SCORE_TOLERANCE)),
            *("--set", f"model.runtime={runtime}", *options, *map(str, photos)),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )
    assert done.returncode == 0, done.stderr
    records = valid.records(done.stdout)
    assert len(records) == len(photos)
    return {record["path"]: record["detections"] for record in records}


def unmatched(found, others):
    """Detections, clear of the threshold, that have no equal among the others."""
    boxes = np.asarray([d["box_px"] for d in others], np.float32).reshape(-1, 4)
    for detection in found:
        if detection["score"] < MIN_SCORE:
            continue
        overlaps = pairwise_iou(np.asarray([detection["box_px"]], np.float32), boxes)[0]
        if not any(
            other["label"] == detection["label"]
            and overlap >= LEAST_IOU
            and abs(other["score"] - detection["score"]) <= SCORE_TOLERANCE
            for other, overlap in zip(others, overlaps, strict=True)
        ):
            yield detection


def share_found(ours, theirs):
    """Share of our detections that are among theirs."""
    total = sum(d["score"] >= MIN_SCORE for found in ours.values() for d in found)
    assert total >= len(ours) / 2
    different = [d for path in ours for d in unmatched(ours[path], theirs[path])]
    return 1 - len(different) / total


@pytest.mark.slow
def test_the_bundled_model(tflite_python, photos):
    litert = detect(sys.executable, "litert", photos, [])
    tflite = detect(tflite_python, "tflite", photos, [])
    assert share_found(litert, tflite) >= LEAST_SHARE
    assert share_found(tflite, litert) >= LEAST_SHARE


@pytest.mark.slow
def test_the_bundled_model_before_suppression(tflite_python, photos):
    litert = detect(sys.executable, "litert", photos, [])
    tflite = detect(tflite_python, "tflite", photos, [])
    litert_all = detect(sys.executable, "litert", photos, UNSUPPRESSED)
    tflite_all = detect(tflite_python, "tflite", photos, UNSUPPRESSED)
    assert share_found(litert, tflite_all) >= LEAST_SHARE_OF_CANDIDATES
    assert share_found(tflite, litert_all) >= LEAST_SHARE_OF_CANDIDATES


@pytest.mark.slow
def test_the_legacy_model(tflite_python, photos, shared):
    reference = shared / "reference"
    options = [
        *("--model", str(reference / "ssd_mobilenet_v1_coco_uint8_postprocess.tflite")),
        *("--labels", str(reference / "ssd_mobilenet_v1_coco_labels.txt")),
    ]
    litert = detect(sys.executable, "litert", photos, options)
    tflite = detect(tflite_python, "tflite", photos, options)
    assert share_found(litert, tflite) >= LEAST_SHARE
    assert share_found(tflite, litert) >= LEAST_SHARE
