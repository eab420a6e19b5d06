"""``python -m deploy COMMAND``: build the model on a host."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from deploy import cli_dataset, cli_quantize, cli_report, cli_train

VERSION = "1.0.0"
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
    except ValueError as error:
        print(f"deploy: error: {error}", file=sys.stderr)
        return os.EX_DATAERR
    except OSError as error:
        print(f"deploy: error: {error}", file=sys.stderr)
        return os.EX_IOERR
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

    cli_train.add_commands(commands)
    cli_dataset.add_commands(commands)
    cli_quantize.add_commands(commands)

    build = add("build", _build, "export, quantize, measure and package a checkpoint")
    add_data(build)
    add_annotations(build)
    build.add_argument("--checkpoint", type=Path, required=True)
    build.add_argument("--work", type=Path, default=Path("runs/build"))
    build.add_argument("--calibration-photos", type=int, default=256)
    build.add_argument("--name", default="street")
    build.add_argument("--out", type=Path, required=True, help="the bundle's folder")

    cli_report.register(add)
    return parser


def _build(arguments: argparse.Namespace) -> None:
    from deploy.build import BuildPlan, build_bundle
    from deploy.evaluate import table
    from deploy.recipes import find_recipe

    plan = BuildPlan(
        data=arguments.data,
        annotations=arguments.annotations or arguments.data / "train.json",
        work=arguments.work,
        out=arguments.out,
        name=arguments.name,
        version=VERSION,
        description=DESCRIPTION,
        recipe=find_recipe("int8").with_photos(arguments.calibration_photos),
    )
    print(table(build_bundle(arguments.checkpoint, plan)))


if __name__ == "__main__":
    sys.exit(main())
