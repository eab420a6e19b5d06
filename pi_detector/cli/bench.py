"""``pi-detector bench``: measure the cost of detection on this device."""

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
Measure detection on this device: each stage on one thread, the whole pipeline, and starts of the
daemon. Frames come from memory: neither a camera nor decoding is measured. All combinations of
--model, --runtime, --threads and --size are measured in turn, round by round; a figure is the
median over the rounds, with the quartiles.

figures:
  preprocess_ms          scaling a frame to the model's input
  invoke_ms              running the model
  decode_ms              decoding the model's outputs into boxes
  encode_ms              encoding the boxes as JSON
  invoke_cpu_ms          processor time per model run, over all threads
  pipeline_fps           frames per second of the pipeline
  pipeline_latency_ms    from capture to the end of detection, in the pipeline
  pipeline_cpu_ms        processor time per frame in the pipeline
  outside_invoke_cpu_ms  the part of it outside the model
  start_s                from the start of the daemon to its first record
  peak_rss_mb            largest resident memory of the daemon, on demo: frames of that size"""

_EXAMPLES = """
pi-detector bench
pi-detector bench --threads 1 --threads 4 --size 640x480 --size 1280x720
pi-detector bench --json before.json
pi-detector bench --json after.json --compare before.json
"""


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(
        subparsers, "bench", "measure speed and memory use on this device", _DESCRIPTION, _EXAMPLES
    )
    parser.add_argument(
        "--model", metavar="MODEL", action="append", help=f"{MODEL_HELP}; may be repeated"
    )
    parser.add_argument("--labels", metavar="FILE", help="labels of a bare .tflite file")
    parser.add_argument(
        "--runtime", action="append", choices=("litert", "tflite"), help="runtime; may be repeated"
    )
    parser.add_argument(
        "--threads",
        metavar="N",
        action="append",
        type=positive_int,
        help="interpreter threads; may be repeated",
    )
    parser.add_argument(
        "--size",
        metavar="WxH",
        action="append",
        type=_size,
        help="frame size in pixels; may be repeated (default: the source's, or 640x480)",
    )
    parser.add_argument(
        "--source", metavar="PATH", default="", help="video, image or folder (default: demo:)"
    )
    parser.add_argument(
        "--rounds",
        metavar="N",
        type=positive_int,
        default=15,
        help="number of rounds (default: 15)",
    )
    parser.add_argument(
        "--frames",
        metavar="N",
        type=positive_int,
        default=30,
        help="frames per round (default: 30)",
    )
    parser.add_argument(
        "--starts", metavar="N", type=_count, default=5, help="number of daemon starts (default: 5)"
    )
    parser.add_argument(
        "--json", metavar="FILE", type=Path, help="write the results of all rounds to FILE"
    )
    parser.add_argument(
        "--compare", metavar="FILE", type=Path, help="compare with an earlier --json FILE"
    )
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Measure, print a table, and compare.

    Raises:
        PiDetectorError: a model, the source, a runtime or a file is unusable.
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
    """All combinations on the command line, with the settings for the rest."""
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
        print(f"{case.name}, rounds {report.rounds}, frames per round {report.frames_a_round}")
        for name, figure in case.figures.items():
            print(f"  {name:<22} {figure.median:>9g}  quartiles {figure.q1:g} to {figure.q3:g}")


def _print_comparison(new: Report, old: Report) -> None:
    from pi_detector.bench.results import compare, differences

    for words in differences(new.machine, old.machine):
        logger.warning("the earlier results are from another device or system: %s", words)
    found = compare(new, old)
    if not found:
        names = "; ".join(case.name for case in old.cases)
        raise UsageError(
            f"--compare: no case in common with the earlier results, which have: {names}"
        )
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
    """Fail before minutes of measuring, not after."""
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
    return SinkError(f"{path}: {error.strerror}; name a file that you can write")


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value


def _size(text: str) -> Size:
    width, by, height = text.lower().partition("x")
    if not by or not (width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT, such as 640x480")
    size = int(width), int(height)
    if not all(32 <= side <= 8192 for side in size):
        raise argparse.ArgumentTypeError(f"{text}: width and height must be in 32..8192")
    return size
