"""A clip to loop, where none is given."""

from __future__ import annotations

from pathlib import Path

import cv2

from pi_detector.sources.demo import load_photograph, render_view

CLIP_FRAMES = 300
FPS = 15.0


def draw_clip(path: Path) -> Path:
    """Write a clip of the demonstration's view; its path."""
    photograph = load_photograph()
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (640, 480))
    for number in range(CLIP_FRAMES):
        view = render_view(photograph, (640, 480), number / FPS)
        writer.write(cv2.cvtColor(view, cv2.COLOR_RGB2BGR))
    writer.release()
    return path
