"""``pi-detector bench``, small and for real."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from pi_detector.bench.frames import load_frames

TINY = ("--rounds", "1", "--frames", "3", "--starts", "1")
STAGES = {"preprocess_ms", "invoke_ms", "decode_ms", "encode_ms", "invoke_cpu_ms"}
WHOLE = {
    "pipeline_fps",
    "pipeline_cpu_ms",
    "outside_invoke_cpu_ms",
    "pipeline_latency_ms",
    "start_s",
    "peak_rss_mb",
}


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pi_detector", "bench", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)


def test_cases_are_measured_written_and_compared(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    options = ("--threads", "1", "--size", "320x240", "--json", str(file))
    first = bench(*TINY, *options, "--size", "640x480")
    assert first.returncode == 0, first.stderr
    report = json.loads(file.read_text())
    assert [(case["width"], case["height"]) for case in report["cases"]] == [(320, 240), (640, 480)]
    for case in report["cases"]:
        assert case["figures"].keys() == STAGES | WHOLE
        for name, figure in case["figures"].items():
            assert figure["median"] > 0 or name == "outside_invoke_cpu_ms"
            assert len(figure["rounds"]) == 1
        assert case["figures"]["peak_rss_mb"]["median"] > 40
        assert f"street, litert, threads 1, {case['width']}x{case['height']}" in first.stdout

    again = bench(*TINY, *options, "--compare", str(file))
    assert again.returncode == 0, again.stderr
    assert "threads 1, 320x240, new / old" in again.stdout
    # Three frames may leave nothing outside of invoke, and of nothing there is no ratio.
    comparable = [each for each in report["cases"][0]["figures"].values() if each["median"]]
    assert again.stdout.count("too few rounds") == len(comparable)


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--size", "640"), 64, "is not WIDTHxHEIGHT"),
        (("--size", "16x16"), 64, "width and height must be in 32..8192"),
        (("--starts", "-1"), 64, "is negative"),
        (("--source", "nothing.mp4"), 66, "nothing.mp4"),
        (("--compare", "nothing.json"), 66, "nothing.json: cannot be read"),
        (("--json", "/nowhere/result.json"), 74, "/nowhere/result.json: No such file"),
        (("--model", "/nowhere"), 66, "/nowhere"),
    ],
)
def test_mistakes_are_named(options: tuple[str, ...], code: int, said: str) -> None:
    done = bench(*TINY, *options)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_frames_of_a_folder_are_scaled(tmp_path: Path) -> None:
    for number, side in enumerate((60, 70, 80)):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((side, 80, 3), number, np.uint8))
    assert [image.shape for image in load_frames(str(tmp_path), None)] == [(60, 80, 3)] * 3
    assert [image.shape for image in load_frames(str(tmp_path), (40, 30))] == [(30, 40, 3)] * 3
