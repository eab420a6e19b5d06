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
    with pytest.raises(BadModelError, match="truncated"):
        check_identity((1000).to_bytes(4, "little") + b"TFL3" + bytes(100), "m")


def test_auto_takes_the_preferred_one_that_is_installed():
    assert choose_runtime("auto") == next(iter(available_runtimes()))


@pytest.mark.parametrize(
    ("wanted", "machine", "python", "fix"),
    [
        ("auto", "aarch64", (3, 13), "to install it: install ''"),
        (
            "litert",
            "x86_64",
            (3, 11),
            "ai-edge-litert cannot be used: it is not installed; to install it: install ''",
        ),
        ("litert", "armv7l", (3, 11), "LiteRT needs a 64-bit system, and this one is armv7l"),
        ("tflite", "aarch64", (3, 11), "to install it: install 'tflite'"),
        (
            "tflite",
            "aarch64",
            (3, 13),
            "only available for Python 3.11; set model.runtime to 'auto'",
        ),
    ],
)
def test_a_missing_runtime_names_the_fix(monkeypatch, wanted, machine, python, fix):
    monkeypatch.setattr(runtime, "installed_runtimes", list)
    monkeypatch.setattr(runtime, "how_to_install", lambda extra: f"install {extra!r}")
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("sys.version_info", (*python, 0))
    with pytest.raises(RuntimeMissingError, match=fix):
        choose_runtime(wanted)


INTERPRETER = """
class Interpreter:
    def __init__(self, **_):
        raise {error}
"""


@pytest.fixture
def broken_runtime(monkeypatch, tmp_path):
    """Let LiteRT be a module of a given text, here and in processes of its own."""

    def set_text(text):
        (tmp_path / "broken_litert.py").write_text(text)
        monkeypatch.setitem(runtime._MODULES, "litert", "broken_litert")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    yield set_text
    sys.modules.pop("broken_litert", None)


MODEL = (8).to_bytes(4, "little") + b"TFL3" + bytes(8)


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize(
    "text",
    [
        "raise ImportError('numpy.core.multiarray failed')",
        "raise SystemError('numpy.core.multiarray failed')",
        INTERPRETER.format(error="ImportError('numpy.core.multiarray failed')"),
        INTERPRETER.format(error="SystemError('numpy.core.multiarray failed')"),
    ],
)
def test_a_runtime_for_another_numpy_is_not_called_a_damaged_model(broken_runtime, text, trusted):
    broken_runtime(text)
    with pytest.raises(RuntimeMissingError) as raised:
        open_interpreter(MODEL, "litert", trusted=trusted)
    said = str(raised.value)
    assert "ai-edge-litert cannot be used" in said
    assert "numpy.core.multiarray failed" in said
    assert "pip install" in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("version", "numpy", "usable"),
    [("2.14.0", "2.4.6", False), ("2.14.0", "1.26.4", True), ("2.17.0", "2.4.6", True)],
)
def test_tflite_runtime_needs_numpy_1(monkeypatch, version, numpy, usable):
    monkeypatch.setattr("importlib.metadata.version", lambda _: version)
    monkeypatch.setattr(runtime.np, "__version__", numpy)
    monkeypatch.setattr(runtime, "import_compiled", lambda name: name)
    if usable:
        assert runtime.load_runtime("tflite") == "tflite_runtime.interpreter"
    else:
        with pytest.raises(RuntimeMissingError, match=r"needs numpy 1, and numpy 2\.4\.6 is"):
            runtime.load_runtime("tflite")


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
