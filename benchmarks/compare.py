"""pi-detector against what a user would pick instead: same clip, same machine, in turns.

    python -m benchmarks.compare CLIP [--rounds 11] [--reference MODEL --reference-labels FILE]
                                 [--onnx build/onnx] [--json FILE] [--plot FILE.svg]

Each contender is a program of its own (``benchmarks/contenders``), started anew in every round, and
every second round goes backwards. In a round it runs twice: on the clip as fast as it can, and on
the clip at the pace of a camera that is slower than the detector.

- CPU: milliseconds of processor time a frame, decoding of the video included.
- frames/s: of the first run.
- latency: of the second run, from the frame's capture (it is decoded) to its record or drawing.
- peak RSS: largest resident memory of the first run.
- start: seconds from the start of the process to the first record or drawing.

Prints a table in Markdown: medians of the rounds, with quartiles. The last column, "frames per
CPU-second", is how many more pi-detector does: the ratio of the medians, with the quartiles of the
ratios of each round.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.comparison import (
    BARE,
    CLASSIC,
    COLUMNS,
    OURS,
    REFERENCE,
    SMALL,
    Comparison,
    Entry,
    ratio,
)
from benchmarks.pipeline_cost import Subject
from pi_detector.bench.machine import machine_of, observe, warnings_after, warnings_before
from pi_detector.bench.results import Figure, figure_of
from pi_detector.config.load import load_settings
from pi_detector.config.settings import ModelSettings
from pi_detector.core.clock import utc_now
from pi_detector.detector.bundle import load_model
from pi_detector.telemetry import sensors

TIMEOUT_S = 600
ROUND_S = 2.0
PACED_FRAMES = 30


@dataclass
class Contender:
    """A program to be measured.

    Attributes:
        name: for the table.
        module: of ``benchmarks.contenders``.
        model: its file; one that is not there is not measured.
        options: further ones of the program.
    """

    name: str
    module: str
    model: Path | None
    options: Sequence[str] = ()
    rounds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @property
    def missing(self) -> bool:
        """Whether it cannot be measured."""
        return self.model is None or not self.model.is_file()

    def run(self, clip: str, frames: int, threads: int, fps: float) -> dict[str, float]:
        """Run it once."""
        command = [
            sys.executable, "-m", f"benchmarks.contenders.{self.module}", "--clip", clip,
            "--model", str(self.model), "--frames", str(frames), "--threads", str(threads),
            "--fps", str(fps), *self.options,
        ]  # fmt: skip
        started_ns = time.monotonic_ns()
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        if done.returncode:
            raise SystemExit(f"{self.name}: {done.stderr.strip()[-800:]}")
        figures = json.loads(done.stdout)
        figures["start_s"] = (figures.pop("first_ns") - started_ns) / 1e9
        return figures

    def round(self, clip: str, frames: int, threads: int, fps: float) -> None:
        """Measure it once in each way."""
        figures = self.run(clip, frames, threads, 0)
        paced = min(frames, PACED_FRAMES)
        figures["latency_ms"] = self.run(clip, paced, threads, fps)["latency_ms"]
        for name, value in figures.items():
            self.rounds[name].append(value)


def contenders(args: argparse.Namespace) -> list[Contender]:
    """All, in the order of the table."""
    (tflite, manifest), (small, its_manifest) = map(_files, ("street", "street-small"))
    onnx: Path = args.onnx
    return [
        Contender(OURS, "ours", tflite, manifest),
        Contender(SMALL, "ours", small, its_manifest),
        Contender(BARE, "bare", tflite),
        Contender(CLASSIC, "classic", tflite, manifest),
        Contender(REFERENCE, "classic", args.reference, ("--labels", str(args.reference_labels))),
        Contender("OpenCV DNN, float32", "opencv_dnn", onnx / "float32.onnx", manifest),
        Contender("ONNX Runtime, INT8", "onnx_runtime", onnx / "int8.onnx", manifest),
    ]


def _files(name: str) -> tuple[Path, tuple[str, str]]:
    """The model file of a bundle, and the option that names its manifest."""
    bundle = load_model(ModelSettings(path=name)).path
    return bundle / "model.tflite", ("--manifest", str(bundle / "manifest.toml"))


def frames_of_a_round(threads: int) -> int:
    """As many as ``invoke()`` of the default model does in two seconds; 60 at least.

    With fewer, the start of threads and the first use of everything would show.
    """
    settings = load_settings(None, {}, [f"model.threads={threads}"])
    image = np.zeros((480, 640, 3), np.uint8)
    invoke_ms = Subject(load_model(settings.model), settings, [image]).invoke_ms(20)
    return max(60, round(ROUND_S * 1e3 / invoke_ms))


def measure(args: argparse.Namespace) -> Comparison:
    """Run all rounds, after one that warms the machine up."""
    before = observe()
    warnings = warnings_before(before, sensors.cpu_governor(), args.threads)
    everyone = contenders(args)
    present = [contender for contender in everyone if not contender.missing]
    for number in range(args.rounds + 1):
        print(f"round {number} of {args.rounds}" if number else "warming up", file=sys.stderr)
        for contender in present if number % 2 else reversed(present):
            contender.round(args.clip, args.frames, args.threads, args.fps)
            if number == 0:
                contender.rounds.clear()
    after = observe()
    return Comparison(
        time=utc_now(),
        machine=machine_of(before, after),
        warnings=warnings + warnings_after(before, after),
        clip=Path(args.clip).name,
        threads=args.threads,
        rounds=args.rounds,
        frames=args.frames,
        camera_fps=args.fps,
        entries=[
            Entry(c.name, {name: figure_of(values) for name, values in c.rounds.items()})
            for c in everyone
        ],
    )


def table(comparison: Comparison) -> str:
    """The table, in Markdown."""
    lines = [
        "| | " + " | ".join([*COLUMNS.values(), "frames per CPU-second"]) + " |",
        "|" + "---|" * (len(COLUMNS) + 2),
    ]
    ours = comparison.figure(OURS, "cpu_ms")
    for entry in comparison.entries:
        if entry.figures:
            cells = [shown(entry.figures[name]) for name in COLUMNS]
            cells.append(shown(ratio(entry.figures["cpu_ms"], ours)))
        else:
            cells = ["not measured"] + [""] * len(COLUMNS)
        lines.append(f"| {entry.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def save(comparison: Comparison, path: Path) -> None:
    """Write it with all rounds, for ``benchmarks.plot``."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(comparison), indent=1) + b"\n")


def shown(figure: Figure) -> str:
    """Median and quartiles."""
    return f"{figure.median:.3g} ({figure.q1:.3g} to {figure.q3:.3g})"


def add_options(parser: argparse.ArgumentParser) -> None:
    """What is compared, and how long."""
    parser.add_argument("clip", help="video file")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument(
        "--frames", type=int, default=0,
        help="a round, 30 of them at most at the pace (default: what invoke() does in two seconds)",
    )  # fmt: skip
    parser.add_argument("--threads", type=int, default=1, help="of each interpreter")
    parser.add_argument("--fps", type=float, default=10.0, help="of the camera")
    parser.add_argument("--reference", type=Path, help="a COCO SSD MobileNet with postprocessing")
    parser.add_argument("--reference-labels", type=Path, help="its labels, one a line")
    parser.add_argument(
        "--onnx", type=Path, default=Path("build/onnx"), help="what export_onnx.py has written"
    )


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser)
    parser.add_argument("--json", type=Path, help="write all rounds there")
    parser.add_argument("--plot", type=Path, help="draw the figures there, as SVG")
    args = parser.parse_args()
    args.frames = args.frames or frames_of_a_round(args.threads)
    comparison = measure(args)
    for warning in comparison.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(table(comparison))
    if args.json:
        save(comparison, args.json)
    if args.plot:
        from benchmarks.plot import draw

        draw(comparison, args.plot)


if __name__ == "__main__":
    main()
