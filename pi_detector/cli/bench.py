"""``pi-detector bench``: what detection costs on this machine."""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pi_detector import __version__
from pi_detector.cli.common import MODEL_HELP, Subparsers, add_command, positive_int, settings_of
from pi_detector.cli.measuring import measure
from pi_detector.errors import SinkError, SourceNotFoundError, UsageError
from pi_detector.util.uri import redact

if TYPE_CHECKING:
    from pi_detector.bench.frames import Size
    from pi_detector.bench.measure import Subject
    from pi_detector.bench.results import Report
    from pi_detector.config.settings import Settings

logger = logging.getLogger(__name__)

_DESCRIPTION = """\
Measure detection on this machine: each stage on one thread, the whole pipeline, starts of the
daemon. Frames come from memory, so that neither a camera nor decoding is measured. All
combinations of --model, --runtime, --threads and --size are measured in turn, round by round;
a figure is the median of its rounds, with their quartiles.

figures:
  preprocess_ms          scaling a frame to the model's input
  invoke_ms              the model
  decode_ms              outputs to boxes
  encode_ms              boxes to JSON
  invoke_cpu_ms          processor time of an invoke, all its threads
  pipeline_fps           frames a second of the pipeline
  pipeline_latency_ms    from taking a frame to the end of its detection, in the pipeline
  pipeline_cpu_ms        processor time a frame in the pipeline
  outside_invoke_cpu_ms  the part of it that is not the model's
  start_s                from starting the daemon to its first record
  peak_rss_mb            its largest resident memory, on demo: at the size of the frames"""

_EXAMPLES = """
pi-detector bench
pi-detector bench --threads 1 --threads 4 --size 640x480 --size 1280x720
pi-detector bench --json before.json
pi-detector bench --json after.json --compare before.json
"""


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(
        subparsers, "bench", "measure speed and memory on this machine", _DESCRIPTION, _EXAMPLES
    )
    parser.add_argument(
        "--model", metavar="MODEL", action="append", help=f"{MODEL_HELP}; may be repeated"
    )
    parser.add_argument("--labels", metavar="FILE", help="labels of a bare .tflite file")
    parser.add_argument(
        "--runtime", action="append", choices=("litert", "tflite"), help="may be repeated"
    )
    parser.add_argument(
        "--threads", metavar="N", action="append", type=positive_int, help="may be repeated"
    )
    parser.add_argument(
        "--size",
        metavar="WxH",
        action="append",
        type=_size,
        help="of the frames, in pixels; may be repeated (default: the source's, or 640x480)",
    )
    parser.add_argument(
        "--source", metavar="PATH", default="", help="video, picture or folder (default: demo:)"
    )
    parser.add_argument("--rounds", metavar="N", type=positive_int, default=15, help="default: 15")
    parser.add_argument(
        "--frames", metavar="N", type=positive_int, default=30, help="a round (default: 30)"
    )
    parser.add_argument(
        "--starts", metavar="N", type=_count, default=5, help="starts of the daemon (default: 5)"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all rounds there")
    parser.add_argument("--compare", metavar="FILE", type=Path, help="an earlier --json FILE")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Measure, print a table, and compare.

    Raises:
        PiDetectorError: a model, the source, a runtime or a file is at fault.
    """
    settings = settings_of(args)
    old = None if args.compare is None else _read(args.compare)
    if args.json is not None:
        _check_writable(args.json)

    report = _measure(args, settings)
    _print_figures(report)
    if args.json is not None:
        _write(report, args.json)
    if old is not None:
        _print_comparison(report, old)
    return os.EX_OK


def _measure(args: argparse.Namespace, settings: Settings) -> Report:
    from pi_detector.bench.machine import machine_of
    from pi_detector.bench.results import Report
    from pi_detector.core.clock import utc_now

    done = measure(lambda: _subjects(args, settings), args.rounds, args.frames)
    _measure_starts(done.subjects, args.starts)
    return Report(
        pi_detector=__version__,
        time=utc_now(),
        machine=machine_of(done.before, done.after),
        rounds=args.rounds,
        frames_a_round=args.frames,
        source=redact(args.source) or "demo",
        warnings=done.warnings,
        cases=[subject.case() for subject in done.subjects],
    )


def _subjects(args: argparse.Namespace, settings: Settings) -> list[Subject]:
    """All combinations that were asked for, and what else the settings say."""
    import itertools

    import msgspec

    from pi_detector.bench.frames import load_frames
    from pi_detector.bench.measure import Subject
    from pi_detector.detector.bundle import load_model

    base = settings.model
    sizes: list[Size | None] = args.size or [None]
    pictures = [load_frames(args.source, size) for size in sizes]
    paths = args.model or [base.path]
    models = [
        msgspec.structs.replace(base, path=path, labels=args.labels or base.labels)
        for path in paths
    ]
    loaded = [(model, load_model(model)) for model in models]
    runtimes = args.runtime or [base.runtime]
    threads = args.threads or [base.threads]
    return [
        Subject(
            bundle,
            msgspec.structs.replace(
                settings, model=msgspec.structs.replace(model, runtime=runtime, threads=count)
            ),
            images,
        )
        for (model, bundle), runtime, count, images in itertools.product(
            loaded, runtimes, threads, pictures
        )
    ]


def _measure_starts(subjects: list[Subject], starts: int) -> None:
    from pi_detector.bench.starts import start

    for _ in range(starts):
        for subject in subjects:
            first_s, peak_mb = start(subject.case(), subject.model)
            subject.add("start_s", first_s)
            subject.add("peak_rss_mb", peak_mb)


def _print_figures(report: Report) -> None:
    for case in report.cases:
        print(f"{case.name}, rounds {report.rounds}, frames a round {report.frames_a_round}")
        for name, figure in case.figures.items():
            print(f"  {name:<22} {figure.median:>9g}  quartiles {figure.q1:g} to {figure.q3:g}")


def _print_comparison(new: Report, old: Report) -> None:
    from pi_detector.bench.results import compare, differences

    for words in differences(new.machine, old.machine):
        logger.warning("another machine or system: %s", words)
    found = compare(new, old)
    if not found:
        names = "; ".join(case.name for case in old.cases)
        raise UsageError(f"--compare: no case in common; the earlier ones are: {names}")
    case = ""
    for row in found:
        if row.case != case:
            case = row.case
            print(f"{case}, new / old")
        print(f"  {row.figure:<22} {row.ratio:>9.3f}  {row.verdict}")


def _read(path: Path) -> Report:
    from pi_detector.bench.results import load_report

    try:
        return load_report(path)
    except OSError as error:
        raise SourceNotFoundError(f"{path}: cannot be read ({error.strerror})") from error


def _check_writable(path: Path) -> None:
    """Before minutes of measuring."""
    try:
        path.open("ab").close()
    except OSError as error:
        raise _unwritable(path, error) from error


def _write(report: Report, path: Path) -> None:
    from pi_detector.bench.results import save_report

    try:
        save_report(report, path)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> SinkError:
    return SinkError(f"{path}: {error.strerror}; name a file that you may write")


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value


def _size(text: str) -> Size:
    width, by, height = text.lower().partition("x")
    if not by or not (width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT, as 640x480")
    size = int(width), int(height)
    if not all(32 <= side <= 8192 for side in size):
        raise argparse.ArgumentTypeError(f"{text}: each side is in 32..8192")
    return size
