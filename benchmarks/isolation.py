"""What it costs to read a source in a process of its own.

    python benchmarks/isolation.py [--rounds 9] [--frames 60] [--work-ms 12]

For each size a video is made, and read to its end directly and through a process, in turns:

- open: seconds until the source is open; the process starts Python and loads OpenCV.
- read: one frame after the other.
- handed over: a read whose frame was already decoded, so the request, the answer and two copies.
- with work: a frame, then so many milliseconds of sleep, as while an interpreter works elsewhere.
- memory: of the process at the end. PSS divides what it shares (the code of OpenCV, the frame)
  among those that share it.

Medians of the rounds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from pi_detector.config.settings import SourceSettings
from pi_detector.sources.base import Source
from pi_detector.sources.registry import make_source

SIZES = ((640, 480), (1920, 1080))
SETTLE_S = 0.05


def write_video(path: Path, size: tuple[int, int], frames: int) -> None:
    """A video of moving stripes, Motion JPEG."""
    width, height = size
    x = np.arange(width, dtype=np.float32)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, size)
    for number in range(frames):
        row = 128 + 100 * np.sin((x + 8 * number) / 20)
        image = np.repeat(row[np.newaxis].astype(np.uint8), height, axis=0)
        writer.write(np.repeat(image[:, :, np.newaxis], 3, axis=2))
    writer.release()


def read_through(source: Source, pause_s: float) -> list[float]:
    """Read to the end with pauses; the seconds that each read took."""
    took = []
    while True:
        started = time.perf_counter()
        frame = source.read()
        if frame is None:
            return took
        took.append(time.perf_counter() - started)
        if pause_s:
            time.sleep(pause_s)


def memory_mib(pid: int) -> tuple[float, float]:
    """RSS and PSS of a process."""
    rows = dict(
        line.split(":", 1)
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    )
    return int(rows["Rss"].split()[0]) / 1024, int(rows["Pss"].split()[0]) / 1024


def measure(path: Path, isolation: str, work_s: float) -> dict[str, float]:
    """One round: see the module."""
    figures = {}
    source = make_source(SourceSettings(uri=str(path), isolation=isolation))
    started = time.perf_counter()
    source.open((300, 300))
    figures["open s"] = time.perf_counter() - started
    started = time.perf_counter()
    count = len(read_through(source, 0))
    figures["read us"] = (time.perf_counter() - started) / count * 1e6
    if isolation == "on":
        children = Path(f"/proc/self/task/{os.getpid()}/children").parent.parent
        pids = [
            int(pid)
            for task in children.iterdir()
            for pid in (task / "children").read_text().split()
        ]
        figures["RSS MiB"], figures["PSS MiB"] = memory_mib(pids[0])
    source.open((300, 300))
    started = time.perf_counter()
    count = len(read_through(source, work_s))
    figures["with work us"] = (time.perf_counter() - started) / count * 1e6
    if isolation == "on":
        source.open((300, 300))
        figures["handed over us"] = statistics.median(read_through(source, SETTLE_S)) * 1e6
    source.close()
    return figures


def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--work-ms", type=float, default=12.0)
    arguments = parser.parse_args()
    for size in SIZES:
        rounds: dict[str, dict[str, list[float]]] = {
            name: defaultdict(list) for name in ("off", "on")
        }
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "stripes.avi")
            write_video(path, size, arguments.frames)
            for _ in range(arguments.rounds):
                for name, figures in rounds.items():
                    for figure, value in measure(path, name, arguments.work_ms / 1e3).items():
                        figures[figure].append(value)
        for name, figures in rounds.items():
            medians = {figure: statistics.median(values) for figure, values in figures.items()}
            text = ", ".join(f"{figure} {median:.4g}" for figure, median in medians.items())
            print(f"{size[0]}x{size[1]}, isolation {name}: {text}")


if __name__ == "__main__":
    main()
