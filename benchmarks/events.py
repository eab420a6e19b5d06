"""What recordings give as events, and what the motion gate saves and costs.

    python benchmarks/events.py VIDEO... [--still 300] [--set events.min_hits=5]

Each video is replayed twice, with the motion gate and without: events by label, the records that
tell them, the share of frames that were inferred, and the processor time of a frame, decoding of
the video not included. Then the same of a still scene: the last frame of the video, with the noise
of a camera, at 10 frames a second.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np

from pi_detector.cli.replay import replayed
from pi_detector.config.load import load_settings
from pi_detector.config.settings import Settings
from pi_detector.core.frame import Frame
from pi_detector.core.records import EventRecord
from pi_detector.core.result import Result
from pi_detector.detector.bundle import load_model
from pi_detector.detector.detector import Detector
from pi_detector.events.motion import MotionGate
from pi_detector.events.stage import EventStage
from pi_detector.pipeline.build import make_detector
from pi_detector.sources.video import VideoSource

START = datetime(2026, 1, 1, tzinfo=UTC)
NOISE = 3.0  # standard deviation in grey levels


class Recording:
    """Frames that are in memory, so that reading them costs nothing."""

    name = "recording"
    live = False

    def __init__(self, frames: Iterator[Frame]) -> None:
        self._all = list(frames)
        self._rest: Iterator[Frame] = iter(())

    def open(self, model_size: tuple[int, int] | None = None) -> None:  # noqa: ARG002
        """Begin at the first."""
        self._rest = iter(self._all)

    def read(self) -> Frame | None:
        """The next."""
        return next(self._rest, None)

    def close(self) -> None:
        """Nothing to do."""


def of_file(path: str, settings: Settings) -> Iterator[Frame]:
    """All frames of a video."""
    source = VideoSource(path, settings.source, starts_at=START)
    source.open()
    yield from iter(source.read, None)
    source.close()


def still(frame: Frame, count: int) -> Iterator[Frame]:
    """The same scene again and again, with fresh noise."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, NOISE, frame.image.shape).astype(np.float32)
    for number in range(count):
        shift = tuple(rng.integers(0, frame.image.shape[:2]))
        image = frame.image + np.roll(noise, shift, axis=(0, 1))
        yield Frame(
            np.clip(image, 0, 255).astype(np.uint8),
            number,
            number * 100_000_000,
            START + timedelta(seconds=number / 10),
            "still",
        )


def tell(title: str, recording: Recording, detector: Detector, settings: Settings) -> None:
    """Replay with and without the gate, and print what came of it."""
    for enabled in (False, True):
        motion = msgspec.structs.replace(settings.motion, enabled=enabled)
        chosen = msgspec.structs.replace(settings, motion=motion)
        stage = EventStage(chosen, detector.labels, detector.min_scores, run_token="benchmark")
        events, inferred, frames, records = Counter[str](), 0, 0, 0
        started = time.process_time()
        for item in replayed(recording, detector, stage, chosen):
            if isinstance(item, Result):
                frames += 1
                inferred += item.inferred
            elif isinstance(item, EventRecord):
                records += 1
                events[item.label] += item.phase == "new"
        cost_ms = (time.process_time() - started) / frames * 1e3
        told = ", ".join(f"{count} {label}" for label, count in sorted(events.items())) or "none"
        print(
            f"{title:34} gate {'on ' if enabled else 'off'} {frames:5} frames, "
            f"{inferred / frames:4.0%} inferred, {cost_ms:6.2f} ms a frame; "
            f"events: {told}; {records} records"
        )


def gate_cost(recording: Recording, detector: Detector, settings: Settings) -> None:
    """Print what the gate itself costs."""
    gate = MotionGate(settings.motion)
    recording.open()
    spent = []
    for frame in iter(recording.read, None):
        staged = detector.prepare(frame).staged
        started = time.perf_counter()
        gate.observe(staged, frame.captured_ns)
        spent.append(time.perf_counter() - started)
    print(f"{'':34} the gate: median {np.median(spent) * 1e6:.0f} microseconds a frame")


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", nargs="+", metavar="VIDEO")
    parser.add_argument("--still", type=int, default=300, help="frames of the still scene")
    parser.add_argument("--set", action="append", default=["model.threads=1"], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    settings = load_settings(None, {}, arguments.set)
    detector = make_detector(settings, load_model(settings.model))
    for path in arguments.videos:
        recording = Recording(of_file(path, settings))
        name = Path(path).name
        tell(name, recording, detector, settings)
        gate_cost(recording, detector, settings)
        recording.open()
        *_, last = itertools.chain(iter(recording.read, None))
        del recording
        tell(f"{name}: still", Recording(still(last, arguments.still)), detector, settings)


if __name__ == "__main__":
    main()
