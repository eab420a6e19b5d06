"""Draws looks.jpg: what one look at a frame detects, and what several looks do.

    python docs/draw_looks.py

The scene is composed: the visitor of the demo's photograph walks at five distances. It goes through
motion gate, planner, detector and tracker as in a run.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import msgspec
import numpy as np

from pi_detector.config.settings import Settings
from pi_detector.core.frame import Frame, ImageArray
from pi_detector.core.result import Result
from pi_detector.detector.bundle import load_model
from pi_detector.pipeline.build import make_detector, make_gate, make_looking, make_stage
from pi_detector.pipeline.inference import InferenceStep
from pi_detector.pipeline.looks import LookBudget
from pi_detector.sources.demo import load_photograph

WIDTH, HEIGHT = 1280, 720
VISITOR = (slice(60, 490), slice(90, 380))
# Height in pixels, left edge and lower edge at first, pixels per frame to the right.
WALKERS = ((300, 60, 700, 1), (130, 400, 470, 1), (72, 640, 380, 2), (48, 860, 350, 2),
           (36, 1060, 335, -1))  # fmt: skip
FRAMES = 40
START = datetime(2026, 1, 1, tzinfo=UTC)
GREEN, BLUE, WHITE = (60, 200, 60), (70, 140, 255), (255, 255, 255)


def frames() -> Iterator[Frame]:
    """The scene, ten frames per second."""
    rng = np.random.default_rng(3)
    cut = load_photograph()[VISITOR]
    ground = np.full((HEIGHT, WIDTH, 3), (168, 176, 184), np.float32)
    for row in range(320, HEIGHT):
        ground[row] = np.array((128, 126, 120)) - 24 * (row - 320) / 400
    ground += cv2.GaussianBlur(rng.normal(0, 60, ground.shape), (0, 0), 8)
    for number in range(FRAMES):
        image = np.clip(ground + rng.normal(0, 2, ground.shape), 0, 255).astype(np.uint8)
        for height, left, bottom, step in WALKERS if number >= 8 else ():
            width = round(height * cut.shape[1] / cut.shape[0])
            walker = cv2.resize(cut, (width, height), interpolation=cv2.INTER_AREA)
            x = left + step * number
            image[bottom - height : bottom, x : x + width] = walker
        at = START + timedelta(seconds=number / 10)
        yield Frame(image, number, number * 100_000_000, at, "scene")


def last_results(looks: int) -> list[Result]:
    """The last two frames, looked at so often each."""
    settings = msgspec.convert({"detection": {"looks": looks}}, Settings)
    detector = make_detector(settings, load_model(settings.model))
    stage = make_stage(settings, detector)
    looking = make_looking(settings, LookBudget(live=False))
    step = InferenceStep(detector, make_gate(settings), looking=looking)
    results = []
    for frame in frames():
        result = step.run(frame, busy=stage.busy, tracks=stage.tracked)
        results.append(stage.process(result)[0])
    return results[-2:]


def drawn(results: list[Result], title: str) -> ImageArray:
    """The frame with detections and the looks that they were found by."""
    image = results[-1].frame.image.copy()
    for result in results:
        for look in result.looks:
            if look.reason != "whole":
                cv2.rectangle(image, look.xyxy[:2], look.xyxy[2:], BLUE, 2)
        for x1, y1, x2, y2 in np.rint(result.detections.xyxy).astype(int).tolist():
            cv2.rectangle(image, (x1, y1), (x2, y2), GREEN, 3)
    cv2.putText(image, title, (24, 52), cv2.FONT_HERSHEY_SIMPLEX, 1.3, WHITE, 3, cv2.LINE_AA)
    return np.asarray(image, np.uint8)


def main() -> None:
    """Write the picture beside this file."""
    one = drawn(last_results(0)[-1:], "looks = 0")
    several = drawn(last_results(3), "looks = 3, two frames")
    both = cv2.cvtColor(np.vstack([one, several]), cv2.COLOR_RGB2BGR)
    half = cv2.resize(both, (960, 1080), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(Path(__file__).with_name("looks.jpg")), half, [cv2.IMWRITE_JPEG_QUALITY, 80])


if __name__ == "__main__":
    main()
