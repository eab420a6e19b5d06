"""``pi-detector config``: write, check, show, back up and restore settings."""

from __future__ import annotations

import argparse
import contextlib
import grp
import logging
import os
import stat
from pathlib import Path

from pi_detector.cli.common import PROGRAM, Subparsers, add_command, settings_of
from pi_detector.cli.config_backup import add_actions
from pi_detector.errors import PluginError, SinkError, UsageError

log = logging.getLogger(__name__)

_DEFAULT_PATH = "pi-detector.toml"
_PRIVATE = 0o600


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "config",
        "write, check, show or back up settings",
        "Settings come from a TOML file, outlines drawn and settings changed on the page, "
        "environment variables and the command line; later ones override earlier ones.",
        """
        pi-detector config init
        pi-detector config check /etc/pi-detector/config.toml
        pi-detector config show --set source.uri=demo:
        pi-detector config backup porch.toml
        """,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    init = add_command(actions, "init", "write a settings file that explains every setting")
    init.add_argument(
        "path",
        metavar="FILE",
        nargs="?",
        default=_DEFAULT_PATH,
        help=f"file to write, - for standard output (default: {_DEFAULT_PATH})",
    )
    init.add_argument("--force", action="store_true", help="overwrite an existing file")
    init.set_defaults(command=write_example)

    check = add_command(actions, "check", "check a settings file")
    check.add_argument(
        "path", metavar="FILE", nargs="?", help="file to check (default: the one that run reads)"
    )
    check.set_defaults(command=check_settings)

    show = add_command(actions, "show", "print the current settings, as TOML")
    show.set_defaults(command=show_settings)
    add_actions(actions)


def write_example(args: argparse.Namespace) -> int:
    """Write the commented example.

    Raises:
        UsageError: the file exists, and ``--force`` is missing.
        SinkError: it cannot be written.
    """
    from pi_detector.config.text import commented_example

    if args.path == "-":
        print(commented_example(), end="")
        return os.EX_OK
    path = Path(args.path)
    try:
        with os.fdopen(_open_private(path, replace=args.force), "w", encoding="utf-8") as file:
            file.write(commented_example())
    except FileExistsError as error:
        raise UsageError(f"{path}: the file exists; add --force to overwrite it") from error
    except OSError as error:
        raise SinkError(f"{path}: {error.strerror}; name a file that you can write") from error
    print(f"{path} written")
    return os.EX_OK


def _open_private(path: Path, *, replace: bool) -> int:
    """Open a file; a new one is readable by its owner only, because passwords may be added to it.

    In the service's folder, the service's group may read it too.
    """
    from pi_detector.config.load import SYSTEM_CONFIG

    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if replace else os.O_EXCL)
    descriptor = os.open(path, flags, _PRIVATE)
    if os.geteuid() == 0 and path.resolve().parent == SYSTEM_CONFIG.parent:
        with contextlib.suppress(KeyError):  # the service is not installed
            os.fchown(descriptor, -1, grp.getgrnam(PROGRAM).gr_gid)
            os.fchmod(descriptor, _PRIVATE | stat.S_IRGRP)
    return descriptor


def check_settings(args: argparse.Namespace) -> int:
    """Load the settings, report that they are valid, and list what this device lacks for them.

    Raises:
        ConfigError, UnknownSchemeError: they are invalid.
        PluginError: a plugin that they ask for cannot be used.
    """
    from pi_detector.config.load import find_config
    from pi_detector.config.owned import notices
    from pi_detector.config.plugin_tables import unusable
    from pi_detector.sinks.recordings.encoder import lacking

    args.config = args.path or args.config or find_config(os.environ)
    settings = settings_of(args)
    for name, reason in unusable(settings.plugins).items():
        raise PluginError(f"plugins.{name}: {reason}")

    from pi_detector.sources.registry import check_source

    for warning in check_source(settings.source):
        log.warning("%s", warning)
    print(f"{args.config}: valid" if args.config else "no settings file: the defaults apply")
    for notice in notices(os.environ):
        print(notice)
    if lack := lacking(settings.recording):
        log.warning("recording.clips: %s", lack)
    return os.EX_OK


def show_settings(args: argparse.Namespace) -> int:
    """Print the settings that a run with this command line would use.

    Raises:
        ConfigError: they are invalid.
    """
    from pi_detector.config.owned import notices
    from pi_detector.config.text import settings_toml

    for notice in notices(os.environ):
        print(f"# {notice}")
    print(settings_toml(settings_of(args)), end="")
    return os.EX_OK
