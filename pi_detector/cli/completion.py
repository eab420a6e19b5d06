"""``pi-detector completion``: print a shell completion script."""

from __future__ import annotations

import argparse
import os
from typing import Any

from pi_detector.cli.common import Subparsers, add_command
from pi_detector.errors import DependencyMissingError
from pi_detector.util.installation import how_to_install

_SHELLS = ("bash", "zsh", "tcsh")
_EXAMPLES = """
pi-detector completion bash > ~/.local/share/bash-completion/completions/pi-detector
pi-detector completion zsh > ~/.zfunc/_pi-detector
"""


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "completion",
        "print a shell completion script",
        "Print a script with which a shell completes pi-detector's command lines.",
        _EXAMPLES,
    )
    parser.add_argument("shell", choices=_SHELLS, help="shell to print the script for")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Print the script.

    Raises:
        DependencyMissingError: shtab is not installed.
    """
    try:
        import shtab
    except ImportError as error:
        raise DependencyMissingError(
            f"completion: the package shtab is not installed; install it with: {how_to_install()}"
        ) from error
    parser: argparse.ArgumentParser = args.parser
    files = dict.fromkeys(("FILE", "PATH", "VIDEO", "MODEL", "URI"), shtab.FILE)
    _complete_paths(parser, {**files, "DIR": shtab.DIRECTORY})
    print(shtab.complete(parser, args.shell))
    return os.EX_OK


def _complete_paths(parser: argparse.ArgumentParser, by_metavar: dict[str, Any]) -> None:
    """Set the completion of each option or argument that may be a path, by its metavar."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _complete_paths(command, by_metavar)
        elif isinstance(action.metavar, str) and action.metavar in by_metavar:
            action.complete = by_metavar[action.metavar]  # type: ignore[attr-defined]
