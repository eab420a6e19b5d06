"""Marks frames for the plugin of ``deploy/report/icount.c``; runs inside the emulated aarch64.

Usage: instructions_guest.py WHAT FRAMES.npy BUNDLE [MODEL LABELS]

WHAT is ``invoke``, ``detect`` (preprocessing, invoke, decoding), ``pipeline`` (the same, tracking
and the record as JSON), ``classic`` (the loop of the tutorials), or ``reference`` (with MODEL).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from benchmarks.contenders.classic import Classic
from deploy.report.icount_guest import mark
from pi_detector.bench.frames import MemorySource
from pi_detector.config.load import load_settings
from pi_detector.core.records import detections_record, encode
from pi_detector.detector.bundle import load_model
from pi_detector.detector.runtime import open_interpreter
from pi_detector.pipeline.build import make_detector, make_stage
from pi_detector.pipeline.inference import InferenceStep


def step_of(what: str, frames: np.ndarray, bundle: Path, rest: list[str]) -> Callable[[int], None]:
    """What is done for the frame of a number."""
    if what in {"classic", "reference"}:
        tflite, manifest = str(bundle / "model.tflite"), str(bundle / "manifest.toml")
        loop = Classic(rest[0], 1, None, rest[1]) if rest else Classic(tflite, 1, manifest)
        return lambda number: loop.step(frames[number])
    settings = load_settings(None, {}, ["model.threads=1", f"model.path={bundle}"])
    loaded = load_model(settings.model)
    if what == "invoke":
        interpreter = open_interpreter(loaded.model, threads=1, trusted=True)
        return lambda _: interpreter.invoke()
    detector = make_detector(settings, loaded)
    source = MemorySource([cv2.cvtColor(frame, cv2.COLOR_BGR2RGB) for frame in frames])
    if what == "detect":
        return lambda _: detector.run(detector.prepare(source.read()))
    stage, inference = make_stage(settings, detector), InferenceStep(detector)

    def whole(_: int) -> None:
        result, _ = stage.process(inference.run(source.read()))
        encode(detections_record(result))

    return whole


def main() -> None:
    """Mark each frame, after one that is not counted."""
    what, frames, bundle, *rest = sys.argv[1:]
    images = np.load(frames)
    step = step_of(what, images, Path(bundle), rest)
    step(0)
    for number in range(len(images)):
        mark()
        step(number)
    mark()


if __name__ == "__main__":
    main()
