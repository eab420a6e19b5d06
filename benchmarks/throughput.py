"""Throughput of the pipeline on a video file against the interpreter alone.

    python benchmarks/throughput.py VIDEO [--rounds 25] [--frames 80] [--threads 1]

A round measures the interpreter alone, the pipeline, and the interpreter again, so that what else
the machine does falls on both. Its figure is the pipeline's frames per second in units of
1 / invoke; the result is the median of the rounds, with their quartiles.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from pathlib import Path

from pi_detector.config.settings import ModelSettings, SourceSettings
from pi_detector.detector.bundle import load_model
from pi_detector.detector.detector import Detector
from pi_detector.pipeline.pipeline import Pipeline
from pi_detector.sinks.stdout import JsonLinesSink
from pi_detector.sources.registry import make_source


def bare_invoke_s(detector: Detector, video: str, count: int) -> float:
    """Median seconds of ``invoke()`` on one frame of the video."""
    source = make_source(SourceSettings(uri=video))
    source.open(detector.input_size)
    prepared = detector.prepare(source.read())
    source.close()
    return statistics.median(detector.run(prepared)[1] / 1e3 for _ in range(count))


def pipeline_rate(detector: Detector, video: str, frames: int) -> float:
    """Frames per second of the whole pipeline, JSON lines to a file included."""
    source = make_source(SourceSettings(uri=video, loop=True))
    with tempfile.TemporaryFile() as out:
        pipeline = Pipeline(source, detector, [JsonLinesSink(out)])
        started = time.monotonic()
        counters = pipeline.run(threading.Event(), max_frames=frames)
        seconds = counters.seconds or time.monotonic() - started
    return counters.processed / seconds


def main() -> None:
    """Print the rounds and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--frames", type=int, default=80)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    model = ModelSettings(threads=arguments.threads)
    detector = Detector(load_model(model), runtime=model.runtime, threads=model.threads)
    video = str(arguments.video)
    bare_invoke_s(detector, video, 20)
    ratios = []
    for number in range(arguments.rounds):
        before = bare_invoke_s(detector, video, arguments.frames // 2)
        rate = pipeline_rate(detector, video, arguments.frames)
        invoke = (before + bare_invoke_s(detector, video, arguments.frames // 2)) / 2
        ratios.append(rate * invoke)
        print(
            f"round {number + 1}: invoke {invoke * 1e3:.2f} ms, pipeline {rate:.1f} fps, "
            f"ratio {ratios[-1]:.3f}"
        )
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(f"{detector.name}, {detector.runtime}, {arguments.threads} thread(s)")
    print(f"pipeline throughput / (1 / invoke): {middle:.3f} (quartiles {low:.3f}, {high:.3f})")


if __name__ == "__main__":
    main()
