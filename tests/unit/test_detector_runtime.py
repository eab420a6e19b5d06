"""The adapter of the runtimes: choice, threads, files that are no models."""

import os
import subprocess
import sys

import pytest

from pi_detector.detector import runtime
from pi_detector.detector.runtime import (
    available_runtimes,
    check_identity,
    choose_runtime,
    open_interpreter,
    read_model,
    thread_count,
)
from pi_detector.errors import BadModelError, ModelNotFoundError, RuntimeMissingError


def test_a_missing_model(tmp_path):
    with pytest.raises(ModelNotFoundError, match=r"gone\.tflite: no such model"):
        open_interpreter(tmp_path / "gone.tflite")


@pytest.mark.parametrize("data", [b"TFL3", b"not a model at all", b"\x89PNG\r\n\x1a\n" * 9])
def test_a_file_that_is_no_model(tmp_path, data):
    path = tmp_path / "picture.tflite"
    path.write_bytes(data)
    with pytest.raises(BadModelError, match=r"picture\.tflite: is not a \.tflite file"):
        read_model(path)


def test_a_folder_is_no_model(tmp_path):
    with pytest.raises(BadModelError, match="cannot be read"):
        read_model(tmp_path)


def test_a_root_beyond_the_end():
    with pytest.raises(BadModelError, match="cut off"):
        check_identity((1000).to_bytes(4, "little") + b"TFL3" + bytes(100), "m")


def test_auto_takes_the_preferred_one_that_is_installed():
    assert choose_runtime("auto") == next(iter(available_runtimes()))


@pytest.mark.parametrize(
    ("wanted", "fix"),
    [
        ("auto", "pip install ai-edge-litert"),
        ("litert", "pip install ai-edge-litert"),
        ("tflite", "pip install tflite-runtime"),
    ],
)
def test_a_missing_runtime_names_the_fix(monkeypatch, wanted, fix):
    monkeypatch.setattr(runtime, "installed_runtimes", list)
    with pytest.raises(RuntimeMissingError, match=fix):
        choose_runtime(wanted)


def test_threads():
    assert thread_count(3) == 3
    assert thread_count(0) == min(4, len(os.sched_getaffinity(0)))


def test_importing_and_listing_loads_no_runtime_and_no_opencv():
    code = (
        "import sys, pi_detector.detector.detector as d\n"
        "from pi_detector.detector.runtime import available_runtimes\n"
        "available_runtimes()\n"
        "print([m for m in ('cv2', 'ai_edge_litert', 'tflite_runtime') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
