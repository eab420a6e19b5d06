"""What people who look at the page cost: the detection rate with viewers against that without.

    python benchmarks/web.py [--viewers 50] [--rounds 10] [--seconds 5] [--threads 1]

The pipeline runs at full speed over frames of ``demo:`` in memory, with the page as its only sink.
A round counts frames without viewers, with, and without again, so that what else the machine does
falls on both. Its figure is the rate with viewers by the mean of the other two; the result is the
median of the rounds, with their quartiles. The viewers are one process that reads and discards; on
a device they are other machines.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import selectors
import socket
import statistics
import subprocess
import sys
import threading
import time

import msgspec

from pi_detector.config.outputs import WebSettings
from pi_detector.config.settings import ModelSettings, Settings, SourceSettings
from pi_detector.core.frame import Frame
from pi_detector.detector.bundle import load_model
from pi_detector.detector.detector import Detector
from pi_detector.pipeline.pipeline import Pipeline
from pi_detector.sinks.web.sink import WebSink
from pi_detector.sources.registry import make_source

FRAMES = 30


class Memory:
    """A source of frames that are there already, without end."""

    name = "memory"
    live = False

    def __init__(self) -> None:
        self._frames: list[Frame] = []
        self._numbers = itertools.count()

    def open(self, input_size: tuple[int, int]) -> None:
        source = make_source(SourceSettings(uri="demo:"))
        source.open(input_size)
        self._frames = [frame for _ in range(FRAMES) if (frame := source.read()) is not None]
        source.close()

    def read(self) -> Frame:
        number = next(self._numbers)
        return dataclasses.replace(
            self._frames[number % FRAMES], sequence=number, captured_ns=time.monotonic_ns()
        )

    def close(self) -> None:
        self._frames = []


def watch(port: int, viewers: int) -> None:
    """Read so many live pictures until killed; says when each of them has begun."""
    selector = selectors.DefaultSelector()
    for _ in range(viewers):
        line = socket.create_connection(("127.0.0.1", port))
        line.sendall(b"GET /view.mjpeg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        selector.register(line, selectors.EVENT_READ)
    begun: set[int] = set()
    while True:
        for key, _ in selector.select():
            data = key.fileobj.recv(1 << 18)  # type: ignore[union-attr]
            if not data:
                sys.exit("the page closed a stream")
            if len(begun) < viewers and b"\xff\xd8" in data:
                begun.add(key.fd)
                if len(begun) == viewers:
                    print("all look", flush=True)


def rate(pipeline: Pipeline, seconds: float) -> float:
    """Frames a second, from now on."""
    begun_s, before = time.monotonic(), pipeline.counters.processed
    time.sleep(seconds)
    return (pipeline.counters.processed - before) / (time.monotonic() - begun_s)


def rate_with(pipeline: Pipeline, seconds: float, port: int, viewers: int) -> float:
    """The same while so many look."""
    command = [sys.executable, __file__, "--watch", str(port), "--viewers", str(viewers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as audience:
        assert audience.stdout is not None
        if audience.stdout.readline() != "all look\n":
            sys.exit("not all viewers see the picture")
        found = rate(pipeline, seconds)
        audience.kill()
    return found


def main() -> None:
    """Print the rounds and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--watch", type=int, metavar="PORT", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.watch:
        watch(arguments.watch, arguments.viewers)
        return
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    model = ModelSettings(threads=arguments.threads)
    detector = Detector(load_model(model), runtime=model.runtime, threads=model.threads)
    web = WebSettings(enabled=True, port=port, max_viewers=arguments.viewers)
    sink = WebSink(
        msgspec.structs.replace(Settings(), web=web),
        labels=[],
        recordings=None,
        drawn=None,
        command=lambda _: None,
        healthy=lambda: True,
        check=None,
    )
    pipeline, stop = Pipeline(Memory(), detector, [sink]), threading.Event()
    runner = threading.Thread(target=pipeline.run, args=(stop,))
    runner.start()
    time.sleep(2)
    ratios = []
    for number in range(arguments.rounds):
        before = rate(pipeline, arguments.seconds)
        looked_at = rate_with(pipeline, arguments.seconds, port, arguments.viewers)
        after = rate(pipeline, arguments.seconds)
        ratios.append(looked_at / ((before + after) / 2))
        print(
            f"round {number + 1}: {before:.1f}, {looked_at:.1f} with viewers, {after:.1f} frames/s,"
            f" ratio {ratios[-1]:.3f}",
            flush=True,
        )
    stop.set()
    runner.join()
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(
        f"{arguments.viewers} viewers, {web.view_fps:g} pictures/s: {middle:.3f} of the rate "
        f"without (quartiles {low:.3f} to {high:.3f})"
    )


if __name__ == "__main__":
    main()
