"""``pi-detector run``: run the daemon in the foreground."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from typing import TYPE_CHECKING, NoReturn

from pi_detector.cli.common import (
    Subparsers,
    add_command,
    add_model_options,
    keep_files_private,
    model_overrides,
    positive_int,
    print_error,
    read_settings,
    settings_of,
)
from pi_detector.cli.stopping import Signals
from pi_detector.errors import SourceStuckError

if TYPE_CHECKING:
    from pi_detector.config.settings import Settings
    from pi_detector.pipeline.counters import Counters

logger = logging.getLogger(__name__)

_DESCRIPTION = """\
Detect objects in the frames of a camera, stream or file until it ends or SIGINT or SIGTERM
arrives. Records go to standard output as JSON, one per line: a detections record per frame, and
other records between them. A terminal shows a status line instead, refreshed in place (--format,
setting output.stdout), and in a checkout the page is served to this device. SIGHUP reloads the
settings: thresholds, model, outputs and log level change without losing a frame. A camera or
stream that fails is retried until it recovers (setting recovery.mode)."""

_EXAMPLES = """
pi-detector run
pi-detector run --source v4l2:/dev/video0 --min-score 0.6
pi-detector run --source picamera:0 --snapshots /var/lib/pi-detector/snapshots --quiet
pi-detector run --source rtsp://camera/stream | jq -c '.detections[]?'
pi-detector run --source demo: --frames 10
pi-detector run --format jsonl
"""

FORMATS = ("auto", "jsonl", "vision_msgs", "status", "none")
_SOURCES = (
    "auto, picamera:N, v4l2:/dev/videoN, rtsp://..., http://..., a video file, images:DIR or "
    "demo: (default: auto, the first camera found)"
)


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(
        subparsers, "run", "detect in a camera, stream or file", _DESCRIPTION, _EXAMPLES
    )
    parser.add_argument("--source", metavar="URI", help=_SOURCES)
    add_model_options(parser)
    parser.add_argument(
        "--snapshots", metavar="DIR", help="write annotated images of detections to DIR"
    )
    parser.add_argument(
        "--frames", metavar="N", type=positive_int, help="end after N processed frames"
    )
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument(
        "--format",
        choices=FORMATS,
        help="standard output: records as JSON lines or ROS 2 messages, a status line, or nothing "
        "(default: auto, the status line at a terminal, else jsonl)",
    )
    shown.add_argument("--quiet", action="store_true", help="no records on standard output")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Run until the source ends or a signal arrives.

    Raises:
        PiDetectorError: the settings, the model, the source or a sink is unusable.
        BrokenPipeError: the reader of standard output closed it.
    """
    signals = Signals(reloads=True)
    keep_files_private()
    options = {
        "source.uri": args.source,
        "output.snapshots": args.snapshots,
        "output.stdout": "none" if args.quiet else args.format,
        **model_overrides(args),
    }
    settings = settings_of(args, options)

    from pi_detector.cli.first_page import first_page
    from pi_detector.config.secrets import with_secrets
    from pi_detector.daemon.service import Service
    from pi_detector.sinks.terminal import is_terminal

    if settings.output.stdout == "auto" and is_terminal(sys.stdout):
        logger.info(
            "standard output shows a status line instead of records; --format jsonl shows them"
        )
    beneath = first_page(settings)

    def read(drawn: str | None = None, page: str | None = None) -> Settings:
        return read_settings(args, options, drawn, beneath, page)

    service = Service(lambda: with_secrets(read(), os.environ), os.environ, check=read)
    signals.on_hangup(service.reload)
    try:
        counters = service.run(signals.stop, max_frames=args.frames)
    except SourceStuckError as error:
        print_error(str(error))
        leave(error.exit_code)
    logger.info("%s", summary(counters), extra={"DETECTOR_EVENT": "stopped"})
    if service.unstopped:
        leave(os.EX_OK if signals.stop.is_set() else os.EX_SOFTWARE)
    return os.EX_OK


def leave(exit_code: int) -> NoReturn:
    """End the process even if threads hang: a normal exit would wait for locks that they hold."""
    sys.stderr.flush()
    os._exit(exit_code)


def summary(counters: Counters) -> str:
    """One line about a finished run: the fate of each frame, and frames per second."""
    rate = f"{counters.processed / counters.seconds:.1f}" if counters.seconds > 0 else "0"
    lost = "".join(
        f", {count} not seen by {sink}" for sink, count in counters.sink_dropped.items() if count
    )
    return (
        f"{counters.captured} frames captured, {counters.processed} processed, "
        f"{counters.dropped} dropped, {counters.abandoned} in flight, {rate} frames/s{lost}"
    )
