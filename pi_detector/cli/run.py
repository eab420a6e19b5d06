"""``pi-detector run``: the daemon, in the foreground."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from typing import TYPE_CHECKING

from pi_detector.cli.common import (
    Subparsers,
    add_command,
    add_model_options,
    model_overrides,
    positive_int,
    settings_of,
)
from pi_detector.cli.stopping import stop_on_signals

if TYPE_CHECKING:
    from pi_detector.pipeline import Counters

logger = logging.getLogger(__name__)

_DESCRIPTION = """\
Detect objects in the frames of a camera, stream or file until it ends or SIGINT or SIGTERM
arrives. A record a frame goes to standard output, as JSON, one a line."""

_EXAMPLES = """
pi-detector run
pi-detector run --source v4l2:/dev/video0 --min-score 0.6
pi-detector run --source picamera:0 --snapshots /var/lib/pi-detector/snapshots --quiet
pi-detector run --source rtsp://user:secret@camera/stream | jq -c '.detections[]'
pi-detector run --source demo: --frames 10
"""

_SOURCES = (
    "auto, picamera:N, v4l2:/dev/videoN, rtsp://..., http://..., a video file, images:DIR or "
    "demo: (default: auto, the first camera found)"
)


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(
        subparsers, "run", "detect on a camera, stream or file", _DESCRIPTION, _EXAMPLES
    )
    parser.add_argument("--source", metavar="URI", help=_SOURCES)
    add_model_options(parser)
    parser.add_argument(
        "--snapshots", metavar="DIR", help="folder for annotated pictures of what was found"
    )
    parser.add_argument(
        "--frames", metavar="N", type=positive_int, help="end after N processed frames"
    )
    parser.add_argument("--quiet", action="store_true", help="no records on standard output")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Run until the source ends or a signal arrives.

    Raises:
        PiDetectorError: the settings, the model, the source or a sink is at fault.
        BrokenPipeError: the reader of standard output is gone.
    """
    stop = stop_on_signals()
    settings = settings_of(
        args,
        {
            "source.uri": args.source,
            "output.snapshots": args.snapshots,
            "output.stdout": "none" if args.quiet else None,
            **model_overrides(args),
        },
    )

    from pi_detector.detector.bundle import load_model
    from pi_detector.detector.detector import Detector
    from pi_detector.pipeline import Pipeline
    from pi_detector.sinks.registry import make_sinks
    from pi_detector.sources.registry import make_source

    source = make_source(settings.source)
    detector = Detector(load_model(settings.model), settings.model, settings.detection)
    logger.info(
        "source %s, model %s (%s, %d threads)",
        source.name,
        detector.name,
        detector.runtime,
        detector.threads,
    )
    pipeline = Pipeline(source, detector, make_sinks(settings.output))
    counters = pipeline.run(stop, max_frames=args.frames)
    logger.info("%s", summary(counters))
    if pipeline.unstopped:
        # A thread that hangs may hold the lock of standard output, on which a normal exit aborts.
        sys.stderr.flush()
        os._exit(os.EX_OK if stop.is_set() else os.EX_SOFTWARE)
    return os.EX_OK


def summary(counters: Counters) -> str:
    """One line about a run that ended: frames captured, processed, dropped, and a second."""
    rate = f"{counters.processed / counters.seconds:.1f}" if counters.seconds > 0 else "0"
    lost = "".join(
        f", {count} not seen by {sink}" for sink, count in counters.sink_dropped.items() if count
    )
    return (
        f"{counters.captured} frames captured, {counters.processed} processed, "
        f"{counters.dropped} dropped, {rate} frames/s{lost}"
    )
