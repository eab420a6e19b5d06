"""Commands that measure models: ``evaluate`` and ``report``."""

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
    _register_evaluate(add)
    _register_report(add)


def _register_evaluate(add: AddCommand) -> None:
    command = add("evaluate", _evaluate, "accuracy of a model, or of detections, on a data set")
    command.add_argument("model", help="bundle, bare .tflite, or COCO results (.json)")
    command.add_argument("--labels", default="", help="labels file of a bare .tflite")
    command.add_argument("--annotations", type=Path, required=True)
    command.add_argument("--images", type=Path, metavar="DIR",
                         help="folder of the photos (default: beside the annotations)")  # fmt: skip
    command.add_argument("--classes", type=_names, default=(), metavar="NAME,...",
                         help="classes that count (default: those of the model)")  # fmt: skip
    command.add_argument("--min-score", type=float, metavar="S",
                         help="threshold of precision, recall and the confusion matrix "
                         "(default: the model's own, by class)")  # fmt: skip
    command.add_argument("--json", type=Path, metavar="FILE", help="write all figures there too")


def _register_report(add: AddCommand) -> None:
    command = add("report", _report, "measure every quantization recipe, and say which one to take")
    command.add_argument("--data", type=Path, required=True, metavar="DIR",
                         help="folder with train.json, train/, val.json, val/, and far.json, far/ "
                         "for photos of other places")  # fmt: skip
    command.add_argument("--float", type=Path, required=True, metavar="TFLITE", dest="float_model",
                         help="float32 .tflite file of our network")  # fmt: skip
    command.add_argument("--out", type=Path, required=True, metavar="DIR",
                         help="folder of report.html, report.md and report.json")  # fmt: skip
    command.add_argument("--annotations", type=Path, metavar="FILE",
                         help="annotations, instead of DIR/train.json")  # fmt: skip
    command.add_argument("--classes", type=_names, default=(), metavar="NAME,...",
                         help="classes of the network, in order "
                         "(default: all annotated)")  # fmt: skip
    command.add_argument("--recipes", nargs="+", default=(), metavar="RECIPE",
                         help="names, or TOML files (default: all)")  # fmt: skip
    command.add_argument("--reference", action="append", default=[], metavar="MODEL[:LABELS]",
                         help="another detector to compare with; may be repeated")  # fmt: skip
    command.add_argument("--extra", action="append", default=[], type=_named_file,
                         metavar="NAME=TFLITE", help="another file of our network; the name of a "
                         "recipe that trains gives its trained file; may be repeated")  # fmt: skip
    command.add_argument("--photos", type=int, default=0, metavar="N",
                         help="photos to validate on, for a quick look (default: all)")  # fmt: skip
    command.add_argument("--rounds", type=int, default=15, metavar="N", help="rounds of timing")
    command.add_argument("--tflite-python", default="", metavar="PYTHON",
                         help="a Python that has tflite-runtime, to time with it too")  # fmt: skip
    command.add_argument("--arm64", type=Path, default=Path("build/arm64-bookworm"), metavar="DIR",
                         help="output of tests/system/arm64/run.sh, to count instructions with "
                         "QEMU (default: %(default)s)")  # fmt: skip
    command.add_argument("--examples", type=int, default=6, metavar="N", help="photos to show")
    command.add_argument(
        "--no-photos", action="store_true", help="name the photos without showing them"
    )


def _named_file(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=FILE.tflite")
    return name, Path(path)


def _evaluate(arguments: argparse.Namespace) -> None:
    from tempfile import TemporaryDirectory

    from deploy.data.dataset import narrow
    from deploy.evaluation.evaluate import detect_photos, shipped_thresholds, table
    from deploy.evaluation.metrics import measure, read_results, read_truth
    from deploy.files import write_aside
    from deploy.packaging.card import OperatingPoint

    labels = [c["name"] for c in read_truth(arguments.annotations).dataset["categories"]]
    images = arguments.images or arguments.annotations.with_suffix("")
    if arguments.model.endswith(".json"):
        thresholds = dict.fromkeys(labels, RESULTS_SCORE)
    else:
        model = ModelSettings(path=arguments.model, labels=arguments.labels)
        thresholds = shipped_thresholds(model)
    with TemporaryDirectory() as folder:
        classes = arguments.classes or list(thresholds)
        annotations = narrow(arguments.annotations, classes, Path(folder) / "annotations.json")
        if arguments.model.endswith(".json"):
            results = read_results(Path(arguments.model))
        else:
            results = detect_photos(model, annotations, images)
        if arguments.min_score is not None:
            thresholds = dict.fromkeys(thresholds, arguments.min_score)
        metrics = measure(annotations, results)
        point = OperatingPoint.measured(annotations, results, thresholds)
    print(table({arguments.model: metrics}))
    print(point.text())
    if arguments.json:
        content = {"model": arguments.model, "annotations": str(arguments.annotations),
                   "metrics": metrics.tables(), "operating_point": point.confusion.tables(),
                   "false_detections": point.false_detections,
                   "empty_photos": point.empty_photos}  # fmt: skip
        text = json.dumps(content, indent=1, allow_nan=False).encode()
        write_aside(arguments.json, lambda file: file.write(text))


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _report(arguments: argparse.Namespace) -> None:
    from deploy.report.latency import Timing
    from deploy.report.measure import ReportPlan, make_report
    from deploy.report.render import write_report

    references = (text.partition(":") for text in arguments.reference)
    plan = ReportPlan(
        data=arguments.data,
        float_model=arguments.float_model,
        out=arguments.out,
        annotations=arguments.annotations,
        classes=arguments.classes,
        recipes=tuple(arguments.recipes),
        references=tuple(ModelSettings(path=path, labels=labels) for path, _, labels in references),
        extras=dict(arguments.extra),
        photos=arguments.photos,
        examples=arguments.examples,
        timing=Timing(arguments.rounds, arguments.tflite_python),
        arm64=arguments.arm64,
    )
    report, pictures = make_report(plan)
    write_report(report, [] if arguments.no_photos else pictures, arguments.out)
    print(report.choice.reason)
    print(f"{arguments.out / 'report.html'}")
