"""Sources in processes of their own, and what is known of those processes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from pi_detector.config.settings import SourceSettings
from pi_detector.core.frame import Frame
from pi_detector.sources.isolated import IsolatedSource
from pi_detector.sources.registry import make_source

PASSWORD = "hunter2"


def write_video(path: Path, frames: int = 12, size: tuple[int, int] = (64, 48)) -> Path:
    """A red video whose brightness grows."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, size)
    assert writer.isOpened()
    for number in range(frames):
        writer.write(np.full((size[1], size[0], 3), (0, 0, 100 + 10 * number % 100), np.uint8))
    writer.release()
    return path


def isolated_source(uri: str, **settings: object) -> IsolatedSource:
    source = make_source(SourceSettings(uri=uri, **settings))  # type: ignore[arg-type]
    assert isinstance(source, IsolatedSource)
    return source


def demo(**settings: object) -> IsolatedSource:
    return isolated_source("demo:", isolation="on", width=64, height=48, fps=200, **settings)


def pid_of(source: IsolatedSource) -> int:
    assert source._process is not None
    return source._process.pid


def is_running(pid: int) -> bool:
    """Whether there is such a process, be it a zombie."""
    return Path(f"/proc/{pid}").exists()


def read_on(source: IsolatedSource, until: type[Exception] = SystemError) -> list[Frame]:
    """Read until the end, or until there is an error."""
    frames = []
    with contextlib.suppress(until):
        while (frame := source.read()) is not None:
            frames.append(frame)
    return frames


@contextlib.contextmanager
def opened(source: IsolatedSource) -> Iterator[IsolatedSource]:
    source.open((300, 300))
    try:
        yield source
    finally:
        source.close()


def children() -> list[int]:
    """Process ids of the children of all threads, zombies included."""
    tasks = Path("/proc/self/task").iterdir()
    return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
