"""Commands that measure models: ``evaluate``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from pi_detector.config.settings import ModelSettings

AddCommand = Callable[[str, Callable[[argparse.Namespace], None], str], argparse.ArgumentParser]
RESULTS_SCORE = 0.5
"""Threshold of a COCO results file, which ships none."""


def register(add: AddCommand) -> None:
    """Add the commands to the parser, through its function that adds one."""
    command = add("evaluate", _evaluate, "accuracy of a model, or of detections, on a data set")
    command.add_argument("model", help="bundle, bare .tflite, or COCO results (.json)")
    command.add_argument("--labels", default="", help="labels file of a bare .tflite")
    command.add_argument("--annotations", type=Path, required=True)
    command.add_argument("--images", type=Path, metavar="DIR",
                         help="folder of the photos (default: beside the annotations)")  # fmt: skip
    command.add_argument("--min-score", type=float, metavar="S",
                         help="threshold of precision, recall and the confusion matrix "
                         "(default: the model's own, by class)")  # fmt: skip
    command.add_argument("--json", type=Path, metavar="FILE", help="write all figures there too")


def _evaluate(arguments: argparse.Namespace) -> None:
    from deploy.confusion import confusion
    from deploy.evaluate import detect_photos, shipped_thresholds, table
    from deploy.files import write_aside
    from deploy.metrics import measure, read_results, read_truth

    labels = [c["name"] for c in read_truth(arguments.annotations).dataset["categories"]]
    if arguments.model.endswith(".json"):
        thresholds = dict.fromkeys(labels, RESULTS_SCORE)
        results = read_results(Path(arguments.model))
    else:
        images = arguments.images or arguments.annotations.with_suffix("")
        model = ModelSettings(path=arguments.model, labels=arguments.labels)
        thresholds = shipped_thresholds(model)
        results = detect_photos(model, arguments.annotations, images)
    if arguments.min_score is not None:
        thresholds = dict.fromkeys(thresholds, arguments.min_score)
    metrics = measure(arguments.annotations, results)
    matrix = confusion(arguments.annotations, results, thresholds)
    print(table({arguments.model: metrics}))
    print(matrix.markdown(), end="")
    if arguments.json:
        content = {"model": arguments.model, "annotations": str(arguments.annotations),
                   "metrics": metrics.tables(), "operating_point": matrix.tables()}  # fmt: skip
        text = json.dumps(content, indent=1, allow_nan=False).encode()
        write_aside(arguments.json, lambda file: file.write(text))
