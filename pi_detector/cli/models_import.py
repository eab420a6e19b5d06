"""``pi-detector models import``: makes a bundle of a model from elsewhere."""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pi_detector.cli.common import Subparsers, add_command
from pi_detector.util.text import one_line

if TYPE_CHECKING:
    from pi_detector.core.geometry import Detections
    from pi_detector.detector.bundle import Bundle
    from pi_detector.detector.foreign.making import Imported

_MOST_LABELS = 4


def add_parser(actions: Subparsers) -> None:
    """Add the action."""
    parser = add_command(
        actions,
        "import",
        "make a bundle of a .tflite from elsewhere",
        "Makes a bundle of a .tflite from elsewhere: SSD, EfficientDet-Lite or YOLO. It\n"
        "recognizes the network, checks its labels, and runs it once.",
        """
        pi-detector models import yolov8n_int8.tflite --out /srv/models/yolo
        pi-detector models import detect.tflite --labels labelmap.txt --out /srv/models/yard
        pi-detector run --model /srv/models/yard
        """,
    )
    parser.add_argument(
        "file", metavar="FILE", type=Path, help="the .tflite file, or a folder with one"
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, required=True, help="folder of the bundle, a new one"
    )
    parser.add_argument(
        "--labels",
        metavar="FILE",
        type=Path,
        help="its labels (default: the model's own, else labels.txt, labelmap.txt or the like "
        "beside it)",
    )
    parser.add_argument(
        "--any-order",
        action="store_true",
        help="accept labels whose order contradicts the model's own, or COCO's",
    )
    parser.add_argument(
        "--min-score", metavar="S", type=_score, help="lowest score of a detection (default: 0.4)"
    )
    parser.add_argument(
        "--mean", metavar="M", type=_number, help="byte that stands for 0 in the input"
    )
    parser.add_argument(
        "--deviation", metavar="D", type=_positive, help="bytes from 0 to 1 in the input"
    )
    parser.add_argument("--licence", metavar="NAME", default="", help="licence of the weights")
    parser.set_defaults(command=import_one)


def import_one(args: argparse.Namespace) -> int:
    """Make a bundle, and print what it is and what it finds on the demonstration's photo.

    Raises:
        PiDetectorError: see ``import_model``.
    """
    from pi_detector.detector.foreign.making import MIN_SCORE, Wishes, import_model

    wishes = Wishes(
        labels=args.labels,
        any_order=args.any_order,
        min_score=MIN_SCORE if args.min_score is None else args.min_score,
        mean=args.mean,
        deviation=args.deviation,
        licence=args.licence,
    )
    made = import_model(args.file, args.out, wishes)
    for line in _described(made, args.out):
        print(one_line(line))
    return os.EX_OK


def _described(made: Imported, out: Path) -> list[str]:
    """What was made, a fact per line."""
    from pi_detector.detector.detector import Detector
    from pi_detector.sources.demo import load_photograph

    bundle = made.bundle
    assert bundle.manifest is not None
    said = bundle.manifest.input
    size = f"{said.width}x{said.height}"
    labels = _first_labels(bundle)
    detector, photo = Detector(bundle), load_photograph()
    found = detector.detect(photo)  # the first run takes longer
    _, invoke_ms = detector.infer(detector.resize.stage(photo))
    return [
        f"{out}: {made.network.title}",
        f"input    {size} {said.dtype} {said.layout}, {said.resize}, mean {said.mean:g}, deviation "
        f"{said.deviation:g}",
        f"labels   {len(bundle.labels)}, from {made.labels_place}: {labels}",
        f"scores   from {bundle.manifest.scores.default:g}",
        f"speed    {invoke_ms:.0f} ms per image, with {detector.threads} threads of this device",
        f"trial    in the photo of the source demo:, with people and bicycles: {_counted(found)}",
        f"next     pi-detector run --model {out}",
    ]


def _first_labels(bundle: Bundle) -> str:
    names = [label.name for label in bundle.labels]
    more = ", ..." if len(names) > _MOST_LABELS else ""
    return ", ".join(names[:_MOST_LABELS]) + more


def _counted(found: Detections) -> str:
    """What was found, best first."""
    each = [f"{label} {score:.2f}" for label, score in zip(found.label, found.score, strict=True)]
    return ", ".join(each[:_MOST_LABELS]) or "nothing"


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text} is not a number")
    return value


def _positive(text: str) -> float:
    value = _number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _score(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 1")
    return value
