"""What the commands share: the parser, the settings of a command line, log messages."""

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
    """Standard output for text: names of files, zones and labels do nothing to a terminal."""

    def write(self, text: str, /) -> int:
        """Write text, with what speaks to a terminal as escapes."""
        return super().write(several_lines(text))


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes are one line on standard error and exit with ``EX_USAGE``."""

    def error(self, message: str) -> NoReturn:
        """End the program: ``message``, and where to read more."""
        self.exit(os.EX_USAGE, f"{PROGRAM}: error: {_fit(message)}; see '{self.prog} --help'\n")


def add_global_options(parser: argparse.ArgumentParser, *, again: bool = False) -> None:
    """Add the options that are allowed before and after the name of a command.

    Args:
        parser: gets the options.
        again: the parser is a command's; an option that is absent there then leaves the value
            that stood before the command alone.
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
        help="override a setting, as in --set source.fps=10; may be repeated",
    )
    group.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        default=argparse.SUPPRESS if again else False,
        help="log at level debug, and tracebacks of errors",
    )


def add_command(
    subparsers: Subparsers, name: str, summary: str, description: str = "", examples: str = ""
) -> argparse.ArgumentParser:
    """Add a command with the global options.

    Args:
        subparsers: of the parser that the command belongs to.
        name: of the command.
        summary: one line for the list of commands.
        description: what it does; ``summary`` where empty.
        examples: command lines, one a line, for the end of its help.
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
        "--min-score", metavar="S", type=float, help="lowest score of a detection, 0 to 1"
    )


def positive_int(text: str) -> int:
    """The type of a count on the command line: 1 or more."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def settings_of(args: argparse.Namespace, options: Mapping[str, object] | None = None) -> Settings:
    """The settings of a command line, and log messages set up at the level that they name.

    Args:
        args: the parsed command line.
        options: dotted setting to value; None stands for an option that was not given.

    Raises:
        ConfigError: an unknown setting, or a bad value.
    """
    from pi_detector.config.drawn import drawn_in_force

    settings = read_settings(args, options)
    set_up_logging(settings.log.level)
    if _shows_secret(args, options or {}):
        logger.warning(
            "all users of this machine see command lines: put source.uri into a settings file, and "
            "its password into ${secret:NAME}"
        )
    if drawn := drawn_in_force(os.environ):
        logger.info("%s", drawn)
    return settings


def _shows_secret(args: argparse.Namespace, options: Mapping[str, object]) -> bool:
    from pi_detector.config.secrets import without_references

    given = dict(override.split("=", 1) for override in (*args.set_before, *args.set_after))
    uri = options.get("source.uri") or given.get("source.uri") or ""
    return holds_secret(without_references(str(uri)))


def read_settings(
    args: argparse.Namespace,
    options: Mapping[str, object] | None = None,
    drawn: str | None = None,
) -> Settings:
    """The settings of a command line: file, what was drawn, environment, ``--set``, then options.

    Args and errors are those of ``settings_of``; ``drawn`` stands in the place of the file of what
    was drawn.
    """
    from pi_detector.config.load import load_settings

    overrides = [*args.set_before, *args.set_after]
    for key, value in (options or {}).items():
        if value is not None:
            overrides.append(f"{key}={value}")
    if args.verbose:
        overrides.append("log.level=debug")
    return load_settings(args.config, os.environ, overrides, drawn)


def model_overrides(args: argparse.Namespace) -> dict[str, object]:
    """The settings behind the options of ``add_model_options``."""
    return {
        "model.path": args.model,
        "model.labels": args.labels,
        "detection.min_score": args.min_score,
    }


def keep_files_private() -> None:
    """Have new files of this process be for its user and group, as those of the service are.

    They show who came and went. What is for others says so itself, such as the file of metrics.
    """
    os.umask(os.umask(_PRIVATE_UMASK) | _PRIVATE_UMASK)


@contextlib.contextmanager
def open_output(name: str | None) -> Iterator[TextIO]:
    """The file of ``--output``, or standard output. Raises SinkError."""
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
            raise SinkError(f"{name}: {error.strerror}; name a file that you may write") from error
        yield file


def print_error(message: str, *, lines: bool = False) -> None:
    """Say what went wrong.

    Args:
        message: in words.
        lines: it has a problem per line, as that of settings; else a line break is part of a name.
    """
    for line in message.split("\n") if lines else [message]:
        logger.error("%s", line)


class _Formatter(logging.Formatter):
    """The place where log messages are made fit to be read: escaped, and without secrets of URIs.

    Args:
        prefix: begin with the program's name and the level, for where nothing else tells them.
    """

    def __init__(self, *, prefix: bool) -> None:
        super().__init__()
        self._prefix = prefix

    def format(self, record: logging.LogRecord) -> str:
        """The message on one line; a traceback follows it, on indented lines."""
        line = _fit(record.getMessage())
        if self._prefix:
            # What a library calls an error is told as ours where it is one.
            kind = record.levelname.lower() if _is_ours(record) else record.name
            line = f"{PROGRAM}: {kind}: {line}"
        trace = record.exc_text or (
            self.formatException(record.exc_info) if record.exc_info else ""
        )
        return "\n".join([line, *(f"  {_fit(each)}" for each in trace.splitlines())])


class _LinesHandler(logging.StreamHandler[TextIO]):
    """Writes messages to standard error, above the status line where a terminal shows one."""

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
    """Libraries are heard from warnings on, and below when everything is."""
    root_level = logging.getLogger().level
    return _is_ours(record) or record.levelno >= logging.WARNING or root_level <= logging.DEBUG


def set_up_logging(level: str) -> None:
    """Send log messages of ``level`` and above to standard error, and nowhere else.

    Where that is systemd's journal they go there with their fields: ``DETECTOR_EVENT=`` and more.
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
        return lines  # they arrive in the journal all the same, but without fields
    journal: logging.Handler = JournalHandler(SYSLOG_IDENTIFIER=PROGRAM)
    journal.setFormatter(_Formatter(prefix=False))
    return journal


def logs_to_journal() -> bool:
    """Whether standard error is what ``JOURNAL_STREAM`` names. Source: systemd.exec(5)."""
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
