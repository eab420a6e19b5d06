"""Commands ``quantize`` and ``diagnose``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deploy.data.dataset import Photo


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add this module's commands to the command line."""
    text = "a float .tflite file to what a recipe asks for"
    quantize = commands.add_parser("quantize", help=text, description=text)
    quantize.set_defaults(run=_quantize)
    quantize.add_argument("--model", type=Path, required=True, metavar="TFLITE",
                          help="float32 file, as `build` exports it")  # fmt: skip
    quantize.add_argument("--recipe", required=True, metavar="NAME|FILE",
                          help="recipe name or .toml file")  # fmt: skip
    _add_photos(quantize, required=False)
    quantize.add_argument("--photos", type=_count, metavar="N",
                          help="calibration photos instead of the recipe's number")  # fmt: skip
    quantize.add_argument("--out", type=Path, required=True, metavar="TFLITE")

    text = "where a quantized file differs from its float one, layer by layer"
    diagnose = commands.add_parser("diagnose", help=text, description=text)
    diagnose.set_defaults(run=_diagnose)
    diagnose.add_argument("--float", type=Path, required=True, metavar="TFLITE", dest="reference")
    diagnose.add_argument("--quantized", type=Path, required=True, metavar="TFLITE")
    _add_photos(diagnose, required=True)
    diagnose.add_argument("--photos", type=_count, default=32, metavar="N",
                          help="photos to run (default: %(default)s)")  # fmt: skip
    diagnose.add_argument("--saturated", type=float, default=1.0, metavar="PERCENT",
                          help="warn of outputs at the integer limits (default: 1)")  # fmt: skip
    diagnose.add_argument("--rows", type=_count, default=20, metavar="N",
                          help="layers to print (default: %(default)s)")  # fmt: skip
    diagnose.add_argument("--json", type=Path, metavar="FILE", help="write all layers there too")


def _add_photos(command: argparse.ArgumentParser, *, required: bool) -> None:
    group = command.add_mutually_exclusive_group(required=required)
    group.add_argument("--data", type=Path, metavar="DIR",
                       help="folder with train.json and train/")  # fmt: skip
    group.add_argument("--frames", type=Path, metavar="DIR",
                       help="folder of images collected by a device")  # fmt: skip


def _count(text: str) -> int:
    try:
        value = int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from error
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be at least 1")
    return value


def _photos(arguments: argparse.Namespace) -> Sequence[Photo] | Path | None:
    from deploy.data.dataset import load_coco

    if arguments.data is None:
        return arguments.frames
    return load_coco(arguments.data / "train.json", arguments.data / "train").photos


def _quantize(arguments: argparse.Namespace) -> None:
    from deploy.quantization.recipes import find_recipe

    # Before the imports that take seconds.
    recipe = find_recipe(arguments.recipe)
    from deploy.quantization.quantize import (
        QuantizationError,
        calibration_inputs,
        input_size,
        quantize,
        read_network,
    )

    if arguments.photos:
        recipe = recipe.with_photos(arguments.photos)
    photos = _photos(arguments)
    if recipe.calibrated and photos is None:
        raise QuantizationError(
            f"recipe {recipe.name!r}: calibration photos are missing; add --data or --frames"
        )
    size = input_size(read_network(arguments.model))
    inputs = calibration_inputs(photos, size, recipe.calibration) if recipe.calibrated else ()
    quantize(arguments.model, recipe, inputs, arguments.out)
    before, after = (p.stat().st_size for p in (arguments.model, arguments.out))
    print(
        f"{arguments.out}: recipe {recipe.name}, {after:,} bytes, {after / before:.0%} of float32"
    )


def _diagnose(arguments: argparse.Namespace) -> None:
    from deploy.files import write_aside
    from deploy.quantization.diagnose import compare, render, to_dict
    from deploy.quantization.quantize import calibration_inputs, input_size, read_network
    from deploy.quantization.recipes import Calibration

    size = input_size(read_network(arguments.reference))
    inputs = calibration_inputs(_photos(arguments), size, Calibration(photos=arguments.photos))
    reports = compare(arguments.reference, arguments.quantized, inputs)
    print(render(reports, arguments.rows, arguments.saturated / 100))
    if arguments.json:
        content = json.dumps(to_dict(reports), indent=1).encode()
        write_aside(arguments.json, lambda file: file.write(content))
