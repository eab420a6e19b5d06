"""Shared parts of the commands: parser, settings of a command line, log messages."""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO, TypeAlias

from pi_detector.errors import SinkError
from pi_detector.util.status_line import StatusLine
from pi_detector.util.text import one_line, several_lines
from pi_detector.util.uri import holds_secret, redact_within

if TYPE_CHECKING:
    from pi_detector.config.settings import Settings

PROGRAM = "pi-detector"
_PRIVATE_UMASK = 0o027
_JOURNAL = "/run/systemd/journal/stdout"

logger = logging.getLogger(__name__)

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

MODEL_HELP = "name of an installed bundle, a bundle folder or a .tflite file"


class SafeText(io.TextIOWrapper):
    """Standard output for text: escapes control characters in names of files, zones and labels."""

    def write(self, text: str, /) -> int:
        """Write text, with terminal control characters escaped."""
        return super().write(several_lines(text))


class Parser(argparse.ArgumentParser):
    """A parser that reports an error on one line of standard error and exits with ``EX_USAGE``."""

    def error(self, message: str) -> NoReturn:
        """Exit with ``message`` and a pointer to the help."""
        self.exit(os.EX_USAGE, f"{PROGRAM}: error: {_fit(message)}; see '{self.prog} --help'\n")


def add_global_options(parser: argparse.ArgumentParser, *, again: bool = False) -> None:
    """Add the options that are allowed before and after the name of a command.

    Args:
        parser: the parser that receives the options.
        again: the parser is a command's; an absent option then keeps the value given before the
            command.
    """
    group = parser.add_argument_group("settings")
    absent = argparse.SUPPRESS if again else None
    group.add_argument(
        "--config", metavar="FILE", default=absent, help="settings file (TOML) to read"
    )
    group.add_argument(
        "--set",
        metavar="KEY=VALUE",
        dest="set_after" if again else "set_before",
        action="append",
        default=[],
        help="override a setting, such as --set source.fps=10; may be repeated",
    )
    group.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        default=argparse.SUPPRESS if again else False,
        help="log debug messages, and tracebacks of errors",
    )


def add_command(
    subparsers: Subparsers, name: str, summary: str, description: str = "", examples: str = ""
) -> argparse.ArgumentParser:
    """Add a command with the global options.

    Args:
        subparsers: subparsers of the parent parser.
        name: name of the command.
        summary: one line for the list of commands.
        description: what the command does; ``summary`` if empty.
        examples: command lines, one per line, for the end of its help.
    """
    lines = [f"  {line.strip()}" for line in examples.strip().splitlines()]
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name,
        help=summary,
        description=description or f"{summary[0].upper()}{summary[1:]}.",
        epilog="\n".join(["examples:", *lines]) if lines else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_global_options(parser, again=True)
    return parser


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the commands that detect: model, labels, threshold."""
    parser.add_argument("--model", metavar="MODEL", help=f"{MODEL_HELP} (default: street)")
    parser.add_argument("--labels", metavar="FILE", help="labels of a bare .tflite file")
    parser.add_argument(
        "--min-score", metavar="S", type=float, help="lowest score of a detection, from 0 to 1"
    )


def positive_int(text: str) -> int:
    """Argument type of a count: 1 or more."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def settings_of(args: argparse.Namespace, options: Mapping[str, object] | None = None) -> Settings:
    """Return the settings of a command line, and set up logging at their level.

    Args:
        args: the parsed command line.
        options: values by dotted setting; None marks an option that was not given.

    Raises:
        ConfigError: an unknown setting, or a bad value.
    """
    from pi_detector.config.owned import notices

    settings = read_settings(args, options)
    set_up_logging(settings.log.level)
    if _shows_secret(args, options or {}):
        logger.warning(
            "source.uri: all users of this device can see the password on the command line; move "
            "the URI to a settings file and its password to ${secret:NAME}"
        )
    for notice in notices(os.environ):
        logger.info("%s", notice)
    return settings


def _shows_secret(args: argparse.Namespace, options: Mapping[str, object]) -> bool:
    from pi_detector.config.secrets import without_references

    given = dict(override.split("=", 1) for override in (*args.set_before, *args.set_after))
    uris = [given.get(f"source.{name}") or "" for name in ("uri", "record_uri")]
    uris.append(str(options.get("source.uri") or ""))
    return any(holds_secret(without_references(uri)) for uri in uris)


def read_settings(
    args: argparse.Namespace,
    options: Mapping[str, object] | None = None,
    drawn: str | None = None,
    beneath: Mapping[str, Mapping[str, object]] | None = None,
    page: str | None = None,
) -> Settings:
    """Return the settings of a command line: files, environment, ``--set``, options.

    Args and errors are those of ``settings_of``; ``drawn`` replaces the file of drawn outlines,
    ``page`` that of settings changed on the page, ``beneath`` replaces defaults.
    """
    from pi_detector.config.load import load_settings

    overrides = [*args.set_before, *args.set_after]
    for key, value in (options or {}).items():
        if value is not None:
            overrides.append(f"{key}={value}")
    if args.verbose:
        overrides.append("log.level=debug")
    return load_settings(args.config, os.environ, overrides, drawn, page=page, beneath=beneath)


def model_overrides(args: argparse.Namespace) -> dict[str, object]:
    """Return the settings that the options of ``add_model_options`` set."""
    return {
        "model.path": args.model,
        "model.labels": args.labels,
        "detection.min_score": args.min_score,
    }


def keep_files_private() -> None:
    """Make new files of this process private to its user and group, like those of the service.

    They show who came and went. Files meant for others, such as the metrics file, set their own
    mode.
    """
    os.umask(os.umask(_PRIVATE_UMASK) | _PRIVATE_UMASK)


@contextlib.contextmanager
def open_output(name: str | None) -> Iterator[TextIO]:
    """Open the file of ``--output``, or standard output.

    Raises:
        SinkError: it cannot be written.
    """
    if name is None:
        if sys.stdout is None:
            raise SinkError("standard output is closed; name a file with --output")
        yield sys.stdout
        return
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(
                Path(name).open("w", encoding="utf-8", errors="backslashreplace")
            )
        except OSError as error:
            raise SinkError(f"{name}: {error.strerror}; name a file that you can write") from error
        yield file


def print_error(message: str, *, lines: bool = False) -> None:
    """Print an error message.

    Args:
        message: the message.
        lines: the message has one problem per line, as for settings; else a line break is part of a
            name.
    """
    for line in message.split("\n") if lines else [message]:
        logger.error("%s", line)


class _Formatter(logging.Formatter):
    """Formats log messages: escapes control characters and removes secrets from URIs.

    Args:
        prefix: begin with the program's name and the level, where nothing else shows them.
    """

    def __init__(self, *, prefix: bool) -> None:
        super().__init__()
        self._prefix = prefix

    def format(self, record: logging.LogRecord) -> str:
        """Return the message on one line, followed by a traceback on indented lines."""
        line = _fit(record.getMessage())
        if self._prefix:
            # An error of a library that matters is reported again as one of ours.
            kind = record.levelname.lower() if _is_ours(record) else record.name
            line = f"{PROGRAM}: {kind}: {line}"
        trace = record.exc_text or (
            self.formatException(record.exc_info) if record.exc_info else ""
        )
        return "\n".join([line, *(f"  {_fit(each)}" for each in trace.splitlines())])


class _LinesHandler(logging.StreamHandler[TextIO]):
    """Writes messages to standard error, above the status line if a terminal shows one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a message; one that cannot be written is dropped, as by any handler."""
        try:
            with StatusLine.set_aside():
                super().emit(record)
        except OSError:
            self.handleError(record)


def _fit(text: str) -> str:
    return one_line(redact_within(text))


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] in {"pi_detector", "__main__"}


def _is_of_interest(record: logging.LogRecord) -> bool:
    """Whether to log a message: from libraries only warnings and errors, unless at level debug."""
    root_level = logging.getLogger().level
    return _is_ours(record) or record.levelno >= logging.WARNING or root_level <= logging.DEBUG


def set_up_logging(level: str) -> None:
    """Send log messages of ``level`` and above to standard error only.

    If that is systemd's journal, messages carry fields: ``DETECTOR_EVENT=`` and more.
    """
    logging.basicConfig(level=level.upper(), handlers=[_handler()], force=True)


def _handler() -> logging.Handler:
    handler = _lines_or_journal()
    handler.addFilter(_is_of_interest)
    return handler


def _lines_or_journal() -> logging.Handler:
    lines = _LinesHandler()
    lines.setFormatter(_Formatter(prefix=True))
    if not logs_to_journal():
        return lines
    try:
        from systemd.journal import JournalHandler
    except ImportError:
        return lines  # messages still reach the journal, but without fields
    journal: logging.Handler = JournalHandler(SYSLOG_IDENTIFIER=PROGRAM)
    journal.setFormatter(_Formatter(prefix=False))
    return journal


def logs_to_journal() -> bool:
    """Whether standard error is the stream of ``JOURNAL_STREAM``. Source: systemd.exec(5)."""
    if sys.stderr is None:
        return False
    try:
        descriptor = sys.stderr.fileno()
        status = os.fstat(descriptor)
    except (OSError, ValueError):
        return False
    if os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}":
        return True
    # systemd-cat(1) sets no variable.
    return stat.S_ISSOCK(status.st_mode) and _peer(descriptor) == _JOURNAL


def _peer(descriptor: int) -> object:
    import socket

    with socket.socket(fileno=os.dup(descriptor)) as connection:
        try:
            return connection.getpeername()
        except OSError:  # not connected
            return None
