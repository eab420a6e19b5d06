"""What the contenders share: their arguments, the clip, and how a run is measured."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2

WARM_UP = 10
"""Frames that are not measured, but for the first one's moment."""


def arguments() -> argparse.Namespace:
    """Of every contender."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clip", required=True)
    parser.add_argument("--model", required=True, help=".tflite or .onnx")
    parser.add_argument("--manifest", help="manifest.toml, for the anchors of a raw SSD")
    parser.add_argument("--labels", help="a label a line, for a model without a manifest")
    parser.add_argument("--frames", type=int, required=True, help="that are measured")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--fps", type=float, default=0.0, help="of the source; 0: as it is read")
    return parser.parse_args()


class Clip:
    """A video as ``cv2.VideoCapture`` gives it, again and again; like a camera if it has a rate."""

    def __init__(self, path: str, fps: float) -> None:
        self._path = path
        self._pace = RateLimit(fps)
        self._video = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])

    def read(self) -> tuple[cv2.typing.MatLike, int]:
        """The next frame, BGR, and when it was there (monotonic nanoseconds)."""
        self._pace.wait()
        there, frame = self._video.read()
        if not there:
            self._video.set(cv2.CAP_PROP_POS_FRAMES, 0)
            there, frame = self._video.read()
            assert there, f"{self._path}: cannot be read again"
        return frame, time.monotonic_ns()


def run(args: argparse.Namespace, step: Callable[[cv2.typing.MatLike], object]) -> None:
    """Call ``step`` with the frames of the clip, BGR, and report what that cost."""
    clip, probe = Clip(args.clip, args.fps), Probe()
    for _ in range(WARM_UP + args.frames):
        frame, captured_ns = clip.read()
        step(frame)
        probe.frame(captured_ns)
    probe.report()


class RateLimit:
    """Waits until the next frame of a camera would be there. A reader that is late skips frames."""

    def __init__(self, fps: float) -> None:
        self._period_s = 1 / fps if fps else 0.0
        self._start_s = time.monotonic()

    def wait(self) -> None:
        """Until the next moment of the pace."""
        if self._period_s:
            passed_s = time.monotonic() - self._start_s
            time.sleep(self._period_s - passed_s % self._period_s)


class Probe:
    """Notes what each frame cost, and tells it all at the end."""

    def __init__(self) -> None:
        self._captured_ns: list[int] = []
        self._done_ns: list[int] = []
        self._cpu_ns: list[int] = []

    def frame(self, captured_ns: int) -> None:
        """The result of a frame is there."""
        self._done_ns.append(time.monotonic_ns())
        self._cpu_ns.append(time.process_time_ns())
        self._captured_ns.append(captured_ns)

    def report(self) -> None:
        """One JSON object on standard output: see ``benchmarks.compare``."""
        count = len(self._done_ns) - WARM_UP
        latencies = [
            done - captured for done, captured in zip(self._done_ns, self._captured_ns, strict=True)
        ]
        seconds = (self._done_ns[-1] - self._done_ns[WARM_UP - 1]) / 1e9
        figures = {
            "first_ns": self._done_ns[0],
            "cpu_ms": (self._cpu_ns[-1] - self._cpu_ns[WARM_UP - 1]) / count / 1e6,
            "fps": count / seconds,
            "latency_ms": statistics.median(latencies[WARM_UP:]) / 1e6,
            "peak_rss_mb": peak_rss_mb(),
        }
        print(json.dumps(figures))


def peak_rss_mb() -> float:
    """Largest resident memory so far. Source: proc_pid_status(5), ``VmHWM``."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise OSError("/proc/self/status has no VmHWM")
