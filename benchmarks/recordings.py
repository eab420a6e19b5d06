"""What recording costs: processor time a frame, memory, bytes a second.

    python benchmarks/recordings.py [SOURCE]

Takes 200 frames of a source (``demo:`` by default) at 640x480 as they come, ten a second by their
time stamps, and hands them to the sink of the recordings: without an event, then with one.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import msgspec
import numpy as np

from pi_detector.config.outputs import RecordingSettings
from pi_detector.config.settings import SourceSettings
from pi_detector.core.clock import utc_now
from pi_detector.core.frame import Frame
from pi_detector.core.geometry import Detections
from pi_detector.core.records import EventRecord, FrameSize
from pi_detector.core.result import Result, Timings
from pi_detector.sinks.recordings.encoder import load_av
from pi_detector.sinks.recordings.sink import RecordingSink
from pi_detector.sources.registry import make_source

FRAMES = 200
STEP_NS = 100_000_000
BOX = (100.0, 100.0, 300.0, 400.0)


def main() -> None:
    """Print the costs."""
    uri = sys.argv[1] if len(sys.argv) > 1 else "demo:"
    frames = frames_of(uri)
    before = resident_mb()
    load_av()
    print(f"import of PyAV: {resident_mb() - before:.1f} MB")
    for clips in (False, True):
        for event in (False, True):
            print(measured(frames, clips=clips, event=event))


def frames_of(uri: str) -> list[Frame]:
    source = make_source(SourceSettings(uri=uri, loop=True))
    source.open((300, 300))
    frames = []
    while len(frames) < FRAMES and (frame := source.read()) is not None:
        image = np.ascontiguousarray(cv2.resize(frame.image, (640, 480)))
        frames.append(replace(frame, image=image, model_input=None))
    source.close()
    return frames


def measured(frames: list[Frame], *, clips: bool, event: bool) -> str:
    settings = RecordingSettings(enabled=True, clips=clips, min_free_mb=0)
    with tempfile.TemporaryDirectory() as folder:
        before = resident_mb()
        sink = RecordingSink(Path(folder), settings)
        sink.start()
        started = time.process_time()
        written = blocks_written()
        start_ns = time.monotonic_ns()
        worst_ms = 0.0
        for number, frame in enumerate(frames):
            at_ns = start_ns + number * STEP_NS
            timed = replace(frame, captured_ns=at_ns, captured_at=utc_now(), sequence=number)
            worst_ms = max(worst_ms, milliseconds(lambda: sink.handle(result(timed))))  # noqa: B023
            if event and number in (len(frames) // 4, len(frames) // 2):
                sink.handle(record(timed, "new" if number == len(frames) // 4 else "end"))
        peak = resident_mb() - before
        cost_ms = (time.process_time() - started) * 1000 / len(frames)
        sink.close()
        written = blocks_written() - written
        kilobytes = sum(path.stat().st_size for path in Path(folder).rglob("*.mp4")) / 1000
    what = f"clips {'on ' if clips else 'off'} {'one event' if event else 'no event '}"
    return (
        f"{what}: {cost_ms:5.2f} ms of processor time a frame, worst {worst_ms:5.1f} ms in the "
        f"sink's thread, {peak:4.1f} MB, clip {kilobytes:5.0f} kB, "
        f"{written * 512 / 1e6:.1f} MB written"
    )


def result(frame: Frame) -> Result:
    found = Detections(
        np.array([BOX], np.float32), np.array([0.8], np.float32), np.array([0]), np.array([1])
    )
    return Result(frame, found, {0: "person"}, Timings(0, 0, 0, 0))


def record(frame: Frame, phase: str) -> EventRecord:
    whole = {
        "type": "event", "id": "benchmark", "phase": phase, "label": "person", "class_id": 0,
        "track_id": 1, "score": 0.8, "best_score": 0.8, "source": "demo",
        "sequence": frame.sequence, "time": frame.captured_at, "started": frame.captured_at,
        "clock_synchronized": True, "monotonic_ns": frame.captured_ns, "duration_s": 0.0,
        "frame": FrameSize(640, 480), "box_px": BOX, "box": (0.1, 0.1, 0.5, 0.8),
    }  # fmt: skip
    return msgspec.convert(whole, EventRecord)


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def blocks_written() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_oublock


def milliseconds(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return (time.monotonic() - started) * 1000


if __name__ == "__main__":
    main()
