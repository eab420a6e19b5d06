"""``python -m deploy COMMAND``: build the model on a host."""

from __future__ import annotations

import argparse
import logging
import os
import sys

from deploy.cli import build, dataset, new, quantize, report, train
from pi_detector.errors import PiDetectorError


def main(argv: list[str] | None = None) -> int:
    """Run a command; the errors that a user can cause are one line."""
    arguments = _parser().parse_args(argv)
    if not sys.stderr.isatty():
        # Progress bars, of libraries too, would fill a log with thousands of lines.
        os.environ.setdefault("TQDM_DISABLE", "1")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        arguments.run(arguments)
    except PiDetectorError as error:
        print(f"deploy: error: {error}", file=sys.stderr)
        return error.exit_code
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

    new.add_commands(commands)
    train.add_commands(commands)
    dataset.add_commands(commands)
    quantize.add_commands(commands)
    build.add_commands(commands)
    report.register(add)
    return parser


if __name__ == "__main__":
    sys.exit(main())
