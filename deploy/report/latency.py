"""How long ``invoke()`` takes, as a ratio to float32.

Absolute times belong to one machine and one moment. So all models run in turn, in rounds, each in a
process of its own; within a round a model's time is divided by float32's, and the median over the
rounds is reported. What else the machine does then falls on both sides of the ratio.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import random
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from deploy.progress import progress
from deploy.report.content import LITERT, Latency

log = logging.getLogger(__name__)

WORKER = Path(__file__).with_name("invoke_worker.py")
TFLITE = "tflite"
_MODULES = {LITERT: "ai_edge_litert.interpreter", TFLITE: "tflite_runtime.interpreter"}
_BUDGET_MS = 50


class WorkerError(Exception):
    """A model that a runtime cannot run."""


@dataclass(frozen=True)
class Timing:
    """How to time.

    Attributes:
        rounds: over all models.
        tflite_python: a Python that has tflite-runtime, where this one has not.
    """

    rounds: int = 15
    tflite_python: str = ""


@dataclass
class Times:
    """What was timed: entries by model, and by model why a runtime has none."""

    entries: dict[str, list[Latency]]
    failures: dict[str, dict[str, str]]


def runtimes(timing: Timing) -> dict[str, str]:
    """The Python to use, by runtime."""
    found = {LITERT: sys.executable}
    if timing.tflite_python:
        found[TFLITE] = timing.tflite_python
    elif importlib.util.find_spec("tflite_runtime"):
        found[TFLITE] = sys.executable
    return found


def thread_counts() -> list[int]:
    """1, 2 and 4, as far as there are cores."""
    cores = len(os.sched_getaffinity(0))
    return [n for n in (1, 2, 4) if n <= cores]


def measure_latency(
    models: Mapping[str, Path], baseline: str, photo: Path, timing: Timing
) -> Times:
    """Time models against each other.

    Args:
        models: .tflite files by name.
        baseline: name of the one that the others are divided by.
        photo: .npy file, (h, w, 3) uint8: the input of all.
        timing: how.
    """
    threads = thread_counts()
    failures: dict[str, dict[str, str]] = defaultdict(dict)
    milliseconds: dict[tuple[str, int, str], list[float]] = defaultdict(list)
    with ExitStack() as stack:
        workers: dict[tuple[str, str], _Worker] = {}
        for runtime, python in runtimes(timing).items():
            for name, model in models.items():
                try:
                    worker = _Worker([python, str(WORKER), _MODULES[runtime], str(model),
                                      str(photo), ",".join(map(str, threads))])  # fmt: skip
                except WorkerError as error:
                    log.warning("%s: %s cannot run it: %s", name, runtime, error)
                    failures[name][runtime] = str(error)
                    continue
                workers[runtime, name] = stack.enter_context(worker)
        order = [(runtime, n, name) for runtime, name in workers for n in threads]
        shuffle = random.Random(1).shuffle
        for _ in progress(range(timing.rounds), "timing"):
            shuffle(order)
            for runtime, n, name in order:
                times = workers[runtime, name].burst(n)
                milliseconds[runtime, n, name].append(statistics.median(times))
    return Times(_ratios(milliseconds, baseline), dict(failures))


def _ratios(
    milliseconds: Mapping[tuple[str, int, str], Sequence[float]], baseline: str
) -> dict[str, list[Latency]]:
    entries = defaultdict(list)
    for (runtime, threads, name), times in sorted(milliseconds.items()):
        if (runtime, threads, baseline) not in milliseconds:
            continue
        base = milliseconds[runtime, threads, baseline]
        ratios = [mine / its for mine, its in zip(times, base, strict=True)]
        low, middle, high = quartiles(ratios)
        entries[name].append(
            Latency(runtime, threads, middle, low, high, ms=statistics.median(times))
        )
    return dict(entries)


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile."""
    if len(values) == 1:
        return (values[0],) * 3
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


class _Worker:
    """A process that holds one model in one runtime."""

    def __init__(self, command: list[str]) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        try:
            self._read()
        except WorkerError:
            self._close()
            raise

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        self._process.terminate()
        self._process.communicate()

    def burst(self, threads: int) -> list[float]:
        """Milliseconds of a few calls in a row."""
        order = json.dumps({"threads": threads, "budget_ms": _BUDGET_MS})
        stdin: IO[str] = self._process.stdin
        stdin.write(order + "\n")
        stdin.flush()
        return self._read()["ms"]

    def _read(self) -> dict:
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        _, errors = self._process.communicate()
        if self._process.returncode < 0:
            raise WorkerError(f"the runtime crashed (signal {-self._process.returncode})")
        last = errors.strip().splitlines()[-1:] or ["it gave no reason"]
        raise WorkerError(last[0][:300])
