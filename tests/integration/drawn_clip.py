"""A clip of a visitor who comes, stops, goes on and leaves, cut out of the demo's photograph."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from pi_detector.core.frame import ImageArray
from pi_detector.sources.demo import load_photograph

FPS = 10
WIDTH, HEIGHT = 640, 480
FAR = (1280, 720)
FAR_PX = 44  # height of the visitor
_CUT = (slice(60, 490), slice(90, 380))  # the man and his camera


def ways() -> Iterator[float | None]:
    """Where the visitor's middle is, in pixels; None while nobody is there."""
    yield from [None] * 20
    yield from np.linspace(-60, 420, 40)
    yield from [420.0] * 30
    yield from np.linspace(420, 720, 30)
    yield from [None] * 60


def draw(path: Path) -> Path:
    """Write the clip."""
    photograph = load_photograph()
    # A wall and a floor, not quite plain: a background of one colour would be no picture.
    background = np.full((HEIGHT, WIDTH, 3), 150, np.float32)
    background[360:] = 110
    background += cv2.GaussianBlur(
        np.random.default_rng(0).normal(0, 40, background.shape), (0, 0), 5
    )
    man = cv2.resize(photograph[_CUT], None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (WIDTH, HEIGHT))
    assert writer.isOpened()
    for middle in ways():
        frame = np.clip(background, 0, 255).astype(np.uint8)
        if middle is not None:
            _paste(frame, man, round(middle))
        writer.write(frame)
    writer.release()
    return path


def draw_far(path: Path) -> Path:
    """Write a clip of a visitor who is far away, in a larger frame: 44 of 720 pixels high."""
    cut = load_photograph()[_CUT]
    width = round(FAR_PX * cut.shape[1] / cut.shape[0])
    man = cv2.resize(cut, (width, FAR_PX), interpolation=cv2.INTER_AREA)
    rng = np.random.default_rng(1)
    background = np.full((FAR[1], FAR[0], 3), 150, np.float32)
    background[400:] = 110
    background += cv2.GaussianBlur(rng.normal(0, 60, background.shape), (0, 0), 9)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, FAR)
    assert writer.isOpened()
    for left in [None] * 5 + list(np.linspace(700, 830, 40)) + [None] * 36:
        frame = np.clip(background, 0, 255).astype(np.uint8)
        if left is not None:
            frame[410 - FAR_PX : 410, round(left) : round(left) + width] = man
        writer.write(frame)
    writer.release()
    return path


def _paste(frame: ImageArray, man: ImageArray, middle: int) -> None:
    left = middle - man.shape[1] // 2
    start, end = max(0, left), min(WIDTH, left + man.shape[1])
    if start < end:
        frame[HEIGHT - man.shape[0] :, start:end] = man[:, start - left : end - left]
