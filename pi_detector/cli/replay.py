"""``pi-detector replay``: the events of a recording, identical in every run."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pi_detector.cli.common import (
    Subparsers,
    add_command,
    add_model_options,
    model_overrides,
    open_output,
    settings_of,
)
from pi_detector.cli.stopping import Signals

if TYPE_CHECKING:
    from pi_detector.config.settings import Settings
    from pi_detector.core.records import Publication
    from pi_detector.detector.detector import Detector
    from pi_detector.events.stage import EventStage
    from pi_detector.sources.base import Source

logger = logging.getLogger(__name__)

_EXIT_STOPPED = 130
_RUN_TOKEN = "replay"
_START = datetime(1970, 1, 1, tzinfo=UTC)

_DESCRIPTION = """\
Run a recording through motion gate, detector, tracker and zones, and write the records of its
events. Time is taken from the file, so the same file and settings give the same events on slow
and fast devices. Use it to try settings or to report a fault.

Event IDs contain 'replay', and clock_synchronized is false because a file has no time of day;
its first frame is at --start."""

_EXAMPLES = """
pi-detector replay porch.mp4
pi-detector replay porch.mp4 --set motion.enabled=true
pi-detector replay porch.mp4 --start 2026-11-24T07:30:00+01:00 | jq -c '[.phase, .label, .time]'
pi-detector replay porch.mp4 --detections --output porch.jsonl
"""


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(
        subparsers, "replay", "print the events of a recording", _DESCRIPTION, _EXAMPLES
    )
    parser.add_argument("path", metavar="VIDEO", help="recording to replay")
    add_model_options(parser)
    parser.add_argument(
        "--start",
        metavar="TIME",
        type=_time,
        default=_START,
        help="time of the first frame (ISO 8601; UTC without an offset; default: "
        f"{_START:%Y-%m-%d})",
    )
    parser.add_argument(
        "--detections",
        action="store_true",
        help="also write a record per frame; the timings differ between runs",
    )
    parser.add_argument("--output", metavar="FILE", help="write to FILE, not to standard output")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Replay a file.

    Raises:
        PiDetectorError: the settings, the model, the file or the output is unusable.
        BrokenPipeError: the reader of standard output closed it.
    """
    signals = Signals()
    settings = settings_of(args, model_overrides(args))

    import msgspec

    from pi_detector.core.result import Result
    from pi_detector.detector.bundle import load_model
    from pi_detector.events.stage import EventStage
    from pi_detector.pipeline.build import make_detector
    from pi_detector.sinks.stdout import JsonLinesSink
    from pi_detector.sources.base import Interruptible, limit_rate
    from pi_detector.sources.registry import make_recording

    recording = msgspec.structs.replace(settings.source, uri=f"file:{args.path}", loop=False)
    source = make_recording(recording, args.start)
    limit_rate(source, settings.detection.max_fps)
    detector = make_detector(settings, load_model(settings.model))
    stage = EventStage(
        settings,
        detector.labels,
        detector.min_scores,
        run_token=_RUN_TOKEN,
        synchronized=lambda: False,
    )
    if isinstance(source, Interruptible):
        signals.on_stop(source.interrupt)
    inferred = frames = 0
    with open_output(args.output) as out:
        sink = JsonLinesSink(out.buffer)
        sink.start()
        for item in replayed(source, detector, stage, settings):
            if signals.stop.is_set():
                break
            if isinstance(item, Result):
                frames += 1
                inferred += item.inferred
                if not args.detections:
                    continue
            sink.handle(item)
    if signals.stop.is_set():
        logger.warning("stopped after %d frames; the events are incomplete", frames)
        return _EXIT_STOPPED
    logger.info("%d frames, %d inferred, %d events", frames, inferred, stage.counts.started)
    return os.EX_OK


def replayed(
    source: Source, detector: Detector, stage: EventStage, settings: Settings
) -> Iterator[Publication]:
    """Yield what is published for each frame of a source, and at its end."""
    from pi_detector.pipeline.build import make_gate, make_looking, make_privacy
    from pi_detector.pipeline.inference import InferenceStep
    from pi_detector.pipeline.looks import LookBudget

    looking = make_looking(settings, LookBudget(live=False))
    privacy = make_privacy(settings)
    step = InferenceStep(detector, make_gate(settings), looking=looking, privacy=privacy)
    source.open(detector.camera_size)
    now_ns, now_at = 0, _START
    try:
        while (frame := source.read()) is not None:
            now_ns, now_at = frame.captured_ns, frame.captured_at
            result, events = stage.process(step.run(frame, busy=stage.busy, tracks=stage.tracked))
            yield result
            yield from events
    finally:
        source.close()
    yield from stage.interrupt("source_ended", now_ns, now_at)


def _time(text: str) -> datetime:
    """Argument type of a time."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a time such as 2026-11-24T07:30"
        ) from error
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
