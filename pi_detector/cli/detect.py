"""``pi-detector detect``: detect in images and videos, offline and without dropping frames."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from pi_detector.cli.common import (
    Subparsers,
    add_command,
    add_model_options,
    model_overrides,
    open_output,
    positive_int,
    settings_of,
)
from pi_detector.cli.inputs import FileSource, find_inputs, is_video
from pi_detector.cli.stopping import Signals
from pi_detector.errors import UsageError

if TYPE_CHECKING:
    from pi_detector.config.settings import Settings
    from pi_detector.sinks.base import Sink

logger = logging.getLogger(__name__)

COCO_MIN_SCORE = 0.01
_EXIT_STOPPED = 130

_DESCRIPTION = f"""\
Detect objects in images and in every frame of videos. A PATH is a file, or a folder that is
searched with its subfolders.

formats:
  jsonl  one record per frame, as 'pi-detector run' writes them
  coco   one JSON list of COCO results: image_id, file_name, category_id, bbox (x, y, width,
         height in pixels), score. Average precision needs weak detections too, so
         without --min-score the threshold is {COCO_MIN_SCORE}; at most 100 objects per image
  table  for people: label, score, x1 y1 x2 y2 in pixels

A file that cannot be decoded is reported on standard error and skipped; the exit code is then
65."""

_EXAMPLES = """
pi-detector detect holiday.jpg --format table
pi-detector detect pictures/ clip.mkv --min-score 0.6 --annotate seen/
pi-detector detect crossing.jpg --tiles 3x3 --format table
pi-detector detect val/ --format coco --annotations val.json --output results.json
"""


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(
        subparsers, "detect", "detect in images and videos", _DESCRIPTION, _EXAMPLES
    )
    parser.add_argument("paths", metavar="PATH", nargs="+", help="image, video or folder")
    parser.add_argument(
        "--format",
        choices=("jsonl", "coco", "table"),
        default="jsonl",
        help="output format (default: jsonl)",
    )
    add_model_options(parser)
    parser.add_argument(
        "--max-detections",
        metavar="N",
        type=positive_int,
        help="report at most N objects per frame",
    )
    parser.add_argument(
        "--tiles",
        choices=("auto", "2x2", "3x3"),
        help="also look at tiles of each frame, for small objects: 4, 9, or as many as its size "
        "asks for; each costs as much as the whole frame",
    )
    parser.add_argument("--annotate", metavar="DIR", help="write images with boxes to DIR")
    parser.add_argument("--output", metavar="FILE", help="write to FILE, not to standard output")
    parser.add_argument(
        "--annotations",
        metavar="FILE",
        help="COCO annotations with the image_id of each file_name; without them images are "
        "numbered from 1 in sorted order (format coco only)",
    )
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Detect in all files.

    Raises:
        PiDetectorError: the settings, the model, a file or the output is unusable.
        BrokenPipeError: the reader of standard output closed it.
    """
    if args.annotations and args.format != "coco":
        raise UsageError("--annotations: only works with --format coco; add that or remove it")
    stop = Signals().stop
    settings = _settings(args)
    paths, unreadable = find_inputs(args.paths)
    image_of = _image_ids(args, paths)

    from pi_detector.detector.bundle import load_model
    from pi_detector.pipeline.build import make_detector
    from pi_detector.pipeline.looks import Tiling
    from pi_detector.pipeline.pipeline import Pipeline

    source = FileSource(paths, settings.source)
    detector = make_detector(settings, load_model(settings.model), tracked=False)
    with open_output(args.output) as out:
        sinks = [_make_writer(args.format, out, image_of)]
        if args.annotate:
            from pi_detector.sinks.snapshots import AnnotatedImageSink

            sinks.append(AnnotatedImageSink(Path(args.annotate)))
        looking = Tiling(args.tiles) if args.tiles else None
        max_fps = settings.detection.max_fps
        counters = Pipeline(source, detector, sinks, looking=looking, max_fps=max_fps).run(stop)
    if stop.is_set():
        logger.warning("stopped after %d frames; the results are incomplete", counters.processed)
        return _EXIT_STOPPED
    if skipped := source.skipped + unreadable:
        count = len(paths) + unreadable
        logger.warning("%d of %d files could not be read or decoded", skipped, count)
        return os.EX_DATAERR
    return os.EX_OK


def _settings(args: argparse.Namespace) -> Settings:
    import msgspec

    settings = settings_of(
        args, {**model_overrides(args), "detection.max_detections": args.max_detections}
    )
    detection = settings.detection
    if args.format == "coco" and args.min_score is None:
        detection = msgspec.structs.replace(detection, min_score=COCO_MIN_SCORE, min_scores={})
    return msgspec.structs.replace(
        settings, detection=detection, source=msgspec.structs.replace(settings.source, loop=False)
    )


def _image_ids(
    args: argparse.Namespace, paths: Sequence[Path]
) -> Callable[[str], tuple[int, str]] | None:
    """The image IDs of format coco, looked up for every path before the work begins."""
    if args.format != "coco":
        return None
    from pi_detector.cli.formats import from_annotations, numbered

    video = next(filter(is_video, paths), None)
    if video is not None:
        raise UsageError(f"{video}: format coco is for images only; use --format jsonl for videos")
    if not args.annotations:
        return numbered(sorted(paths))
    image_of = from_annotations(Path(args.annotations))
    for path in paths:
        image_of(str(path))
    return image_of


def _make_writer(kind: str, out: TextIO, image_of: Callable[[str], tuple[int, str]] | None) -> Sink:
    from pi_detector.cli.formats import CocoResults, Table
    from pi_detector.sinks.stdout import JsonLinesSink

    if image_of is not None:
        return CocoResults(out, image_of)
    return Table(out) if kind == "table" else JsonLinesSink(out.buffer)
