"""The command ``pi-detector``: global options, and how a command ends."""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
from collections.abc import Sequence

from pi_detector import __version__
from pi_detector.cli import (
    bench,
    cameras,
    collect,
    completion,
    config,
    detect,
    doctor,
    events,
    models,
    mqtt,
    notify,
    replay,
    report,
    run,
    schema,
    tune,
)
from pi_detector.cli.common import (
    PROGRAM,
    Parser,
    SafeText,
    add_global_options,
    logs_to_journal,
    print_error,
    set_up_logging,
)
from pi_detector.cli.library_output import capture_stderr_of_libraries
from pi_detector.cli.stopping import accept_hangup
from pi_detector.errors import ConfigError, PiDetectorError

logger = logging.getLogger(__name__)

_COMMANDS = (
    run,
    detect,
    replay,
    events,
    doctor,
    cameras,
    collect,
    models,
    mqtt,
    notify,
    config,
    bench,
    tune,
    report,
    schema,
    completion,
)
_EXIT_SIGINT = 130

_EPILOG = """\
examples:
  pi-detector run                                  the first camera, records on standard output
  pi-detector run --source rtsp://camera/stream    a network camera
  pi-detector detect holiday.jpg --format table    one image
  pi-detector doctor                               what is missing on this device

Records go to standard output, one JSON object per line; log messages go to standard error.
Exit codes follow sysexits.h: 64 command line, 65 damaged input, 66 no such input, 69 device or
service not available, 77 no permission, 78 settings.
"""


def make_parser() -> Parser:
    """Return the parser of the whole command line."""
    parser = Parser(
        prog=PROGRAM,
        description="Object detection for a Raspberry Pi: camera in, JSON out.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    parser.set_defaults(parser=parser)  # for the command that completes it
    add_global_options(parser)
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        argv: arguments after the program's name; None takes those of the process.

    Returns:
        The exit code, from sysexits.h.
    """
    set_up_logging("info")
    capture_stderr_of_libraries()
    if type(sys.stdout) is io.TextIOWrapper:  # not a test's replacement
        buffering = sys.stdout.line_buffering
        # JSON is UTF-8 in any locale; a file name that is not UTF-8 is escaped, also in JSON.
        sys.stdout = SafeText(
            sys.stdout.detach(), "utf-8", "backslashreplace", line_buffering=buffering
        )
    try:
        code = _parse_and_run(argv)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _silence_stdout()
        return os.EX_OK
    except KeyboardInterrupt:
        return _EXIT_SIGINT
    except PiDetectorError as error:
        return _fail(str(error), error.exit_code, lines=isinstance(error, ConfigError))
    except OSError as error:
        return _fail(str(error), os.EX_IOERR)
    except Exception as error:  # noqa: BLE001 - the last resort
        return _fail_unexpectedly(error)
    return code


def _parse_and_run(argv: Sequence[str] | None) -> int:
    try:
        args = make_parser().parse_args(argv)
    except SystemExit as leaving:
        return int(leaving.code or 0)
    if args.verbose:
        set_up_logging("debug")
    if args.command is not run.run:  # run accepts it once it can reload
        accept_hangup()
    return int(args.command(args))


def _fail_unexpectedly(error: Exception) -> int:
    """Report a bug in pi-detector; the journal of a service gets the traceback at any level."""
    from pi_detector.core.outage import words_of

    if logs_to_journal():
        logger.error("traceback of the error below", exc_info=True)
    return _fail(
        f"{words_of(error)}; this is a bug in pi-detector: please report it with the traceback "
        "that -v shows",
        os.EX_SOFTWARE,
    )


def _fail(message: str, exit_code: int, *, lines: bool = False) -> int:
    logger.debug("traceback of the error below", exc_info=True)
    print_error(message, lines=lines)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        _silence_stdout()
    return exit_code


def _silence_stdout() -> None:
    from pi_detector.sinks.stdout import silence_stdout

    silence_stdout()
