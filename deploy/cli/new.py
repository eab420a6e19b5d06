"""Command ``new``."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add this module's command to the command line."""
    text = "make a folder for a detector of your own, with a Makefile of its own"
    new = commands.add_parser("new", help=text, description=text)
    new.set_defaults(run=_new)
    new.add_argument("folder", type=Path, metavar="NAME", help="folder to make; the model's name")
    new.add_argument("--classes", type=_names, required=True, metavar="NAME,...",
                     help="what it shall detect, in order")  # fmt: skip
    new.add_argument("--keep-classes", type=_names, default=(), metavar="NAME,...",
                     help="classes of the shipped model to keep as well, or `all`")  # fmt: skip


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _new(arguments: argparse.Namespace) -> None:
    from deploy.own.project import new_project

    print("\n".join(new_project(arguments.folder, arguments.classes, arguments.keep_classes)))
