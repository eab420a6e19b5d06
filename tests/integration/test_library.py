"""The library's face: lazy, typed, without side effects on the process."""

import doctest
import importlib
import subprocess
import sys

import cv2
import numpy as np
import pytest
from where import CHECKOUT

import pi_detector
from pi_detector import Detector, PiDetectorError, load_model, open_source

DOCS = CHECKOUT / "docs"
WITH_EXAMPLES = ("", ".library", ".core.geometry", ".detector.detector", ".util.text")


@pytest.fixture(scope="module")
def detector():
    return Detector("street", threads=1)


def in_a_process(program):
    command = [sys.executable, "-X", "importtime", "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_run_as_they_stand(name):
    module = importlib.import_module(f"pi_detector{name}")
    failed, tried = doctest.testmod(module)
    assert tried
    assert not failed


def test_the_documentation_runs_as_it_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("porch.jpg", np.full((480, 640, 3), 128, np.uint8))
    failed, tried = doctest.testfile(str(DOCS / "api.md"), module_relative=False)
    assert tried > 5
    assert not failed


def test_importing_the_package_imports_nothing_else():
    program = (
        "import sys; before = set(sys.modules); import pi_detector; "
        "print(sorted(set(sys.modules) - before - {'__future__'}))"
    )
    assert in_a_process(program).stdout.strip() == "['pi_detector']"


def test_every_name_is_there_and_an_unknown_one_is_not():
    assert set(dir(pi_detector)) == set(pi_detector.__all__)
    for name in pi_detector.__all__:
        assert getattr(pi_detector, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = pi_detector.Nothing


def test_a_detector_leaves_opencv_its_threads():
    program = (
        "import cv2; cv2.setNumThreads(3); import numpy as np; from pi_detector import Detector;"
        "Detector('street').detect(np.zeros((9, 9, 3), np.uint8)); print(cv2.getNumThreads())"
    )
    assert in_a_process(program).stdout.strip() == "3"


def test_an_array_a_path_and_a_frame_give_the_same(detector, tmp_path):
    with open_source("demo:") as source:
        frame = next(iter(source))
    path = tmp_path / "frame.png"
    cv2.imwrite(str(path), cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR))
    rows = [
        [(found.label, found.score, found.box_px) for found in detector.detect(image)]
        for image in (frame, frame.image, str(path), path)
    ]
    assert rows[0]
    assert rows[1:] == [rows[0]] * 3


def test_a_file_runs_to_its_end_and_is_closed(tmp_path):
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((40, 60, 3), np.uint8))
    with open_source(f"images:{tmp_path}") as source:
        assert [frame.image.shape for frame in source] == [(40, 60, 3)] * 2
        assert not source.live


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)]
)
def test_what_is_no_image_is_refused(detector, image):
    with pytest.raises(ValueError, match="not an RGB image"):
        detector.detect(image)


def test_a_file_that_is_no_image_names_itself(detector, tmp_path):
    (tmp_path / "x.jpg").write_bytes(b"nothing")
    with pytest.raises(PiDetectorError, match=r"x\.jpg"):
        detector.detect(tmp_path / "x.jpg")


def test_errors_name_the_thing():
    with pytest.raises(PiDetectorError, match="nowhere"):
        load_model("nowhere")
    with pytest.raises(PiDetectorError, match=r"source\.wdth"):
        open_source("demo:", wdth=640)
    with pytest.raises(PiDetectorError, match=r"source\.width"):
        open_source("demo:", width="wide")


def test_supervision_takes_the_detections(detector):
    supervision = pytest.importorskip("supervision", reason="needs supervision")
    with open_source("demo:") as source:
        found = detector.detect(next(iter(source)))
    theirs = found.to_supervision()
    assert isinstance(theirs, supervision.Detections)
    assert len(theirs) == len(found)
    assert list(theirs.data["class_name"]) == found.label
