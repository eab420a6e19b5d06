"""``python -m deploy COMMAND``: build the model on a host."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from pi_detector.config.settings import ModelSettings

VERSION = "1.0.0"
# The first blocks see edges and colours, which ImageNet has taught them already; to leave them
# alone saves a third of the training time.
WARM_FROZEN_BLOCKS = 3
DESCRIPTION = "Persons, bicycles, cars, motorcycles, buses and trucks in the street"


def main(argv: list[str] | None = None) -> int:
    """Run a command; the errors that a user can cause are one line."""
    arguments = _parser().parse_args(argv)
    if not sys.stderr.isatty():
        # Progress bars, of libraries too, would fill a log with thousands of lines.
        os.environ.setdefault("TQDM_DISABLE", "1")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        arguments.run(arguments)
    except (ValueError, OSError) as error:
        print(f"deploy: error: {error}", file=sys.stderr)
        return 65
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: object, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        return command

    def add_data(command: argparse.ArgumentParser) -> None:
        command.add_argument("--data", type=Path, required=True, metavar="DIR",
                             help="folder with train.json, train/, val.json, val/")  # fmt: skip

    def add_annotations(command: argparse.ArgumentParser) -> None:
        command.add_argument("--annotations", type=Path, metavar="FILE",
                             help="instead of DIR/train.json")  # fmt: skip

    pseudo = add("pseudo-label", _pseudo_label, "fill unannotated classes from a trained detector")
    add_data(pseudo)
    pseudo.add_argument("--teacher", action="append", required=True, metavar="MODEL[:LABELS]",
                        help="bundle, or bare .tflite with its labels; may be repeated")  # fmt: skip
    pseudo.add_argument("--sure", type=float, default=0.6, help="score of an annotation")
    pseudo.add_argument("--doubt", type=float, default=0.2,
                        help="a score from here to --sure leaves the class unknown")  # fmt: skip
    pseudo.add_argument("--out", type=Path, required=True, help="annotation file to write")

    train = add("train", _train, "train the float network")
    add_data(train)
    add_annotations(train)
    train.add_argument("--warm-start", type=Path, metavar="TFLITE",
                       help="quantized ImageNet MobileNetV2")  # fmt: skip
    train.add_argument("--phases", type=_phases, default="224x6,300x8", metavar="SIZExEPOCHS,...",
                       help="input sizes and epochs, in order (default: %(default)s)")  # fmt: skip
    train.add_argument("--width", type=float, default=1.0, help="multiplier of the channels")
    train.add_argument("--batch", type=int, default=16)
    train.add_argument("--learning-rate", type=float, default=1e-3, help="peak of the schedule")
    train.add_argument("--bfloat16", action="store_true", help="autocast, on hardware that has it")
    train.add_argument("--out", type=Path, required=True, help="folder of checkpoints and losses")

    build = add("build", _build, "export, quantize, measure and package a checkpoint")
    add_data(build)
    add_annotations(build)
    build.add_argument("--checkpoint", type=Path, required=True)
    build.add_argument("--work", type=Path, default=Path("runs/build"))
    build.add_argument("--calibration-photos", type=int, default=256)
    build.add_argument("--name", default="street")
    build.add_argument("--out", type=Path, required=True, help="the bundle's folder")

    measure = add("evaluate", _evaluate, "accuracy of a model, or of detections, on a data set")
    measure.add_argument("model", help="bundle, bare .tflite, or COCO results (.json)")
    measure.add_argument("--labels", default="", help="labels file of a bare .tflite")
    measure.add_argument("--annotations", type=Path, required=True)
    measure.add_argument("--images", type=Path, help="folder of the photos")
    return parser


def _phases(text: str) -> tuple[tuple[int, int], ...]:
    try:
        return tuple((int(s), int(n)) for s, n in (p.split("x") for p in text.split(",")))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not SIZExEPOCHS,...") from error


def _pseudo_label(arguments: argparse.Namespace) -> None:
    from deploy.pseudo import PseudoSettings, Teacher, pseudo_label

    report = pseudo_label(
        arguments.data / "train.json",
        arguments.data / "train",
        Teacher([_model(teacher) for teacher in arguments.teacher]),
        arguments.out,
        PseudoSettings(sure=arguments.sure, doubt=arguments.doubt),
    )
    for label, row in report.items():
        print(f"{label:12} " + "  ".join(f"{key} {value}" for key, value in row.items()))


def _model(text: str) -> ModelSettings:
    path, _, labels = text.partition(":")
    return ModelSettings(path=path, labels=labels)


def _train(arguments: argparse.Namespace) -> None:
    from deploy.dataset import load_coco
    from deploy.network import NetworkSpec
    from deploy.train import Phase, Trainer, TrainSettings

    annotations = arguments.annotations or arguments.data / "train.json"
    dataset = load_coco(annotations, arguments.data / "train")
    settings = TrainSettings(
        phases=tuple(Phase(*phase) for phase in arguments.phases),
        batch=arguments.batch,
        learning_rate=arguments.learning_rate,
        bfloat16=arguments.bfloat16,
        frozen_blocks=WARM_FROZEN_BLOCKS if arguments.warm_start else 0,
    )
    spec = NetworkSpec(
        len(dataset.categories), input_size=arguments.phases[-1][0], width=arguments.width
    )
    trainer = Trainer(spec, settings, arguments.out)
    if (arguments.out / "last.pt").exists():
        trainer.resume(arguments.out / "last.pt")
    elif arguments.warm_start:
        trainer.warm_start(arguments.warm_start, dataset)
    print(trainer.run(dataset))


def _build(arguments: argparse.Namespace) -> None:
    from deploy.build import BuildPlan, build_bundle
    from deploy.evaluate import table
    from deploy.quantize import QuantizeSettings

    plan = BuildPlan(
        data=arguments.data,
        annotations=arguments.annotations or arguments.data / "train.json",
        work=arguments.work,
        out=arguments.out,
        name=arguments.name,
        version=VERSION,
        description=DESCRIPTION,
        calibration=QuantizeSettings(photos=arguments.calibration_photos),
    )
    print(table(build_bundle(arguments.checkpoint, plan)))


def _evaluate(arguments: argparse.Namespace) -> None:
    from deploy.evaluate import evaluate, table
    from deploy.metrics import measure, read_results

    if arguments.model.endswith(".json"):
        metrics = measure(arguments.annotations, read_results(Path(arguments.model)))
    else:
        images = arguments.images or arguments.annotations.with_suffix("")
        model = ModelSettings(path=arguments.model, labels=arguments.labels)
        metrics = evaluate(model, arguments.annotations, images)
    print(table({arguments.model: metrics}))


if __name__ == "__main__":
    sys.exit(main())
