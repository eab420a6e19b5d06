"""Commands ``build`` and ``verify``."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add this module's commands to the command line."""
    text = "export, quantize, measure and package a checkpoint"
    build = commands.add_parser("build", help=text, description=text)
    build.set_defaults(run=_build)
    build.add_argument("--data", type=Path, required=True, metavar="DIR",
                       help="folder with train.json, train/, val.json, val/, and far.json, far/ "
                       "if there are photos of other places")  # fmt: skip
    build.add_argument(
        "--annotations", type=Path, metavar="FILE", help="annotations, instead of DIR/train.json"
    )
    build.add_argument(
        "--checkpoint", type=Path, required=True, help="checkpoint of the float network"
    )
    build.add_argument(
        "--recipe", default="int8", help="recipe name or file (default: %(default)s)"
    )
    build.add_argument("--qat", type=Path, metavar="DIR",
                       help="output of `qat`; the better of the two files ships")  # fmt: skip
    build.add_argument("--golden", type=Path, metavar="DIR",
                       help="images to include in the bundle, for checking it")  # fmt: skip
    build.add_argument("--work", type=Path, default=Path("runs/build"), metavar="DIR")
    build.add_argument("--calibration-photos", type=int, metavar="N",
                       help="calibration photos, instead of the recipe's number")  # fmt: skip
    build.add_argument("--accept", default="", metavar="REASON",
                       help="write it though the gate refuses; the card says why")  # fmt: skip
    build.add_argument("--name", required=True, help="name of the bundle")
    build.add_argument("--version", required=True, help="version of the bundle, from 1.0.0")
    build.add_argument("--description", required=True, help="one line on what the bundle detects")
    build.add_argument("--out", type=Path, required=True, help="the bundle's folder")

    text = "check a bundle: its checksum, its number types, its golden pictures"
    verify = commands.add_parser("verify", help=text, description=text)
    verify.set_defaults(run=_verify)
    verify.add_argument("bundle", type=Path)


def _build(arguments: argparse.Namespace) -> None:
    from deploy.evaluation.evaluate import table
    from deploy.evaluation.gate import GateError
    from deploy.packaging.build import BuildPlan, build_bundle
    from deploy.quantization.recipes import find_recipe

    recipe = find_recipe(arguments.recipe)
    if arguments.calibration_photos:
        recipe = recipe.with_photos(arguments.calibration_photos)
    plan = BuildPlan(
        data=arguments.data,
        annotations=arguments.annotations or arguments.data / "train.json",
        checkpoint=arguments.checkpoint,
        work=arguments.work,
        out=arguments.out,
        name=arguments.name,
        version=arguments.version,
        description=arguments.description,
        recipe=recipe,
        qat=arguments.qat,
        golden=arguments.golden,
        accept=arguments.accept,
    )
    try:
        built = build_bundle(plan)
    except GateError as error:
        print(error.tables)
        raise
    for name, metrics in built.items():
        print(f"{name}\n\n{table(metrics)}")


def _verify(arguments: argparse.Namespace) -> None:
    from deploy.evaluation.evaluate import shipped_thresholds
    from deploy.evaluation.gate import check_golden, check_integers
    from deploy.evaluation.golden import read_golden
    from pi_detector.config.settings import ModelSettings
    from pi_detector.detector.bundle import load_bundle

    load_bundle(arguments.bundle)
    model = ModelSettings(path=str(arguments.bundle))
    golden = read_golden(arguments.bundle)
    check_integers(arguments.bundle / "model.tflite")
    check_golden(model, golden, arguments.bundle / "golden", shipped_thresholds(model))
    objects = sum(len(found) for found in golden.values())
    print(f"{arguments.bundle}: whole, all integers, {len(golden)} golden pictures agree "
          f"({objects} objects)")  # fmt: skip
