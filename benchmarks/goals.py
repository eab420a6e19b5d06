"""What pi-detector wants to reach, measured: a table in Markdown.

    python -m benchmarks.goals CLIP [--only pipeline] [--rounds 11] [--json FILE]
                               [--reference MODEL --reference-labels FILE]

Parts, each of which ``--only`` picks (it may be repeated):

- pipeline: frames from memory, 640x480, against ``invoke()`` alone in the same process.
- compare: what ``benchmarks.compare`` measures.
- daemon: starts of ``pi-detector run`` on the demonstration, of Python, and of the runtime alone.
- growth: processor time outside invoke, with more of everything.

Rounds go over all cases in turn, every second one backwards, after one that warms up. A figure is
the median of its rounds, with quartiles. The detector's threads are 1, but where it says otherwise.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from benchmarks import compare
from benchmarks.compare import shown
from benchmarks.comparison import BARE, CLASSIC, OURS, REFERENCE, SMALL, ratio
from benchmarks.pipeline_cost import Subject
from pi_detector.bench.frames import load_frames
from pi_detector.bench.results import Case, Figure, figure_of
from pi_detector.bench.starts import start
from pi_detector.config.load import load_settings
from pi_detector.config.settings import Settings
from pi_detector.detector.bundle import load_model

SIZE = (640, 480)
FEW_SCORE = 0.6
LOW_SCORES = (0.2, 0.1, 0.05, 0.03, 0.02, 0.01, 0.005, 0.002)
MANY_SINKS = 8
_LOAD = """
import sys, time
started = time.monotonic()
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(model_path=sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
print(time.monotonic() - started)
"""


class Goal(msgspec.Struct, frozen=True):
    """A goal and what was measured.

    Attributes:
        part: that measures it.
        words: what it is about.
        sign: whether the figure is to be at most, or at least, the limit.
        limit: in the unit of the figure.
        figure: None where it was not measured.
        note: with which the limit or figure is understood.
    """

    part: str
    words: str
    sign: Literal["<=", ">="]
    limit: float
    figure: Figure | None
    note: str = ""

    @property
    def verdict(self) -> str:
        """In words."""
        if self.figure is None:
            return "not measured"
        median = self.figure.median
        met = median <= self.limit if self.sign == "<=" else median >= self.limit
        return "met" if met else "missed"


def rounds_of(cases: Mapping[str, Callable[[], Mapping[str, float]]], rounds: int) -> dict:
    """Figures by case and name: all cases in turn, after a round that warms up."""
    values: dict[str, dict[str, list[float]]] = {case: defaultdict(list) for case in cases}
    for number in range(rounds + 1):
        print(f"round {number} of {rounds}" if number else "warming up", file=sys.stderr)
        for case in list(cases)[:: 1 if number % 2 else -1]:
            for name, value in cases[case]().items():
                if number:
                    values[case][name].append(value)
    return {
        case: {name: figure_of(each) for name, each in named.items()}
        for case, named in values.items()
    }


def settings_of(threads: int = 1, **detection: float) -> Settings:
    """The defaults, but for the number of threads and the section `detection`."""
    chosen = [f"detection.{name}={value}" for name, value in detection.items()]
    return load_settings(None, {}, [f"model.threads={threads}", *chosen])


def pipeline_goals(args: argparse.Namespace) -> list[Goal]:
    """Throughput, and processor time outside of invoke."""
    images = load_frames(args.clip, SIZE)
    bundle = load_model(settings_of().model)

    def case(threads: int) -> Callable[[], Mapping[str, float]]:
        subject = Subject(bundle, settings_of(threads), images)

        def once() -> Mapping[str, float]:
            before_ms = subject.invoke_ms(args.frames // 2)
            cost = subject.run(args.frames)
            invoke_ms = (before_ms + subject.invoke_ms(args.frames // 2)) / 2
            return {
                "throughput": cost.fps * invoke_ms / 1e3,
                "outside": cost.outside_cpu_ms / cost.invoke_cpu_ms,
                "outside_ms": cost.outside_cpu_ms,
                "share": cost.invoke_share,
                "invoke_ms": invoke_ms,
            }

        return once

    cores = len(os.sched_getaffinity(0))
    counts = range(1, min(4, cores) + 1)
    found = rounds_of({str(threads): case(threads) for threads in counts}, args.rounds)
    outside_ms = found["1"]["outside_ms"].median

    def note(threads: int) -> str:
        if threads == 1:
            share = shown(found["1"]["share"])
            return f"invoke is {share} of the detecting thread's processor time"
        invoke_ms = found[str(threads)]["invoke_ms"].median
        most = cores * invoke_ms / (threads * invoke_ms + outside_ms)
        return f"{cores} cores have time for {min(1.0, most):.3g}"

    goals = [
        Goal(
            "pipeline", f"throughput / (1 / invoke), threads {threads}", ">=", 0.97,
            found[str(threads)]["throughput"], note(threads),
        )
        for threads in counts
    ]  # fmt: skip
    words = "processor time of a frame outside invoke / of invoke"
    return [*goals, Goal("pipeline", words, "<=", 0.15, found["1"]["outside"])]


def compare_goals(args: argparse.Namespace) -> list[Goal]:
    """Against others; prints their table as well."""
    comparison = compare.measure(args)
    print(compare.table(comparison), end="\n\n")
    if args.comparison_json:
        compare.save(comparison, args.comparison_json)
    ours, small, bare = (comparison.figure(name, "cpu_ms") for name in (OURS, SMALL, BARE))
    latency, invoke = (comparison.figure(name, "latency_ms") for name in (OURS, BARE))
    scaling_ms = _scaling_ms(args)
    spare = [value - scaling_ms for value in latency.rounds]
    goals = [
        Goal(
            "compare", "(latency from capture to record - scaling) / invoke", "<=", 1.25,
            ratio(figure_of(spare), invoke), f"scaling {scaling_ms:.2f} ms",
        )
    ]  # fmt: skip
    for words, name, limit in (
        ("frames per CPU-second / the classic loop's, same model", CLASSIC, 1.3),
        ("frames per CPU-second / the classic loop's, COCO SSD MobileNetV1", REFERENCE, 2.5),
    ):
        its = comparison.figure(name, "cpu_ms")
        figure = None if its is None else ratio(its, ours)
        best = "" if its is None else f"invoke alone: {its.median / bare.median:.2f}"
        if name == REFERENCE and its is not None:
            best += f"; with `street-small`: {its.median / small.median:.2f}"
        goals.append(Goal("compare", words, ">=", limit, figure, best))
    return goals


def _scaling_ms(args: argparse.Namespace) -> float:
    """Median milliseconds of scaling a frame of the clip to the model's input."""
    settings = settings_of()
    detector = Subject(load_model(settings.model), settings, load_frames(args.clip, None))
    return detector.scaling_ms(args.frames)


def daemon_goals(args: argparse.Namespace) -> list[Goal]:
    """Memory, import and start of the daemon."""
    settings = settings_of()
    bundle = load_model(settings.model)
    case = Case(bundle.name, bundle.sha256, "litert", 1, *SIZE, {})

    def once() -> Mapping[str, float]:
        first_s, peak_mb = start(case, settings.model)
        load = [sys.executable, "-c", _LOAD, str(bundle.path / bundle.manifest.model.file)]
        load_s = float(subprocess.run(load, capture_output=True, text=True, check=True).stdout)
        imported_s = _run_s("import pi_detector") - _run_s("pass")
        return {
            "peak_mb": peak_mb,
            "start_s": first_s - load_s,
            "load_s": load_s,
            "import_ms": imported_s * 1e3,
        }

    found = rounds_of({"daemon": once}, args.rounds)["daemon"]
    note = f"import and load {shown(found['load_s'])} s"
    return [
        Goal("daemon", "resident memory at its peak, MB", "<=", 120, found["peak_mb"]),
        Goal(
            "daemon", "import of `pi_detector` over bare Python, ms", "<=", 60, found["import_ms"]
        ),
        Goal(
            "daemon", "start to first record - the runtime's import and load of the model, s",
            "<=", 1.0, found["start_s"], note,
        ),
    ]  # fmt: skip


def _run_s(code: str) -> float:
    started_s = time.monotonic()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.monotonic() - started_s


def growth_goals(args: argparse.Namespace) -> list[Goal]:
    """What more detections, pixels and sinks cost: no more than in proportion."""
    settings = settings_of()
    bundle = load_model(settings.model)
    small, large = (load_frames("", size) for size in (SIZE, (2 * SIZE[0], 2 * SIZE[1])))
    few = Subject(bundle, settings_of(min_score=FEW_SCORE), small)
    crowd = _crowd(lambda low: Subject(bundle, low, small), 10 * few.detections())
    subjects = {
        "base": Subject(bundle, settings, small),
        "few": few,
        "detections": crowd,
        "pixels": Subject(bundle, settings, large),
        "sinks": Subject(bundle, settings, small, MANY_SINKS),
    }
    cases = {
        name: lambda subject=subject: {"ms": subject.run(args.frames).outside_cpu_ms}
        for name, subject in subjects.items()
    }
    found = {name: figures["ms"] for name, figures in rounds_of(cases, args.rounds).items()}
    more = crowd.detections() / few.detections()
    note = f"{few.detections():.1f} and {crowd.detections():.1f} detections"
    return [
        Goal("growth", f"cost at {times:.3g} times the {name}", "<=", round(times, 1),
             ratio(found[name], found[base]), words)
        for name, base, times, words in (
            ("detections", "few", more, note),
            ("pixels", "base", 4, "1280x960"),
            ("sinks", "base", MANY_SINKS, f"base {shown(found['base'])} ms"),
        )
    ]  # fmt: skip


def _crowd(make: Callable[[Settings], Subject], wanted: float) -> Subject:
    """A subject whose threshold is so low that there are so many detections."""
    for score in LOW_SCORES:
        subject = make(settings_of(min_score=score, max_detections=1000))
        if subject.detections() >= wanted:
            break
    return subject


PARTS = {
    "pipeline": pipeline_goals,
    "compare": compare_goals,
    "daemon": daemon_goals,
    "growth": growth_goals,
}


def table(goals: Sequence[Goal]) -> str:
    """The goals, in Markdown."""
    lines = ["| goal | limit | measured | | part |", "|---|---|---|---|---|"]
    for goal in goals:
        measured = "" if goal.figure is None else shown(goal.figure)
        note = f"; {goal.note}" if goal.note else ""
        lines.append(
            f"| {goal.words} | {goal.sign} {goal.limit:g} | {measured}{note} | {goal.verdict} "
            f"| {goal.part} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    compare.add_options(parser)
    parser.add_argument("--only", action="append", choices=PARTS, help="may be repeated")
    parser.add_argument("--json", type=Path, help="write the goals and all rounds there")
    parser.add_argument("--comparison-json", type=Path, help="write the comparison there")
    args = parser.parse_args()
    args.frames = args.frames or compare.frames_of_a_round(args.threads)
    goals = [goal for part in args.only or PARTS for goal in PARTS[part](args)]
    print(table(goals))
    if args.json:
        args.json.write_bytes(msgspec.json.format(msgspec.json.encode(goals)) + b"\n")


if __name__ == "__main__":
    main()
