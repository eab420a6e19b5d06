"""``pi-detector report``: analyse the logs of devices in the field."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pi_detector.cli.common import Subparsers, add_command, settings_of
from pi_detector.cli.events import TIME_HELP, moment
from pi_detector.errors import DependencyMissingError, SinkError, UsageError
from pi_detector.util.installation import how_to_install

if TYPE_CHECKING:
    from pi_detector.report.store import Period, Store

logger = logging.getLogger(__name__)

_PACKAGES = ("duckdb", "jinja2", "matplotlib")

_DESCRIPTION = """\
Write an HTML page, and a summary to the terminal, about the record logs of devices (setting
output.log): speed against temperature and clock, throttling, lost frames, restarts, gaps, clocks.
Meant for a host: needs the extra 'report' (pip install '.[report]' in a checkout) and space in the
temporary folder.

LOG is a file, a folder to search, or a pattern of .jsonl, .jsonl.zst and .jsonl.gz files. Each
folder with log files is a device, named by its path."""

_EXAMPLES = """
pi-detector report /var/log/pi-detector
pi-detector report fleet/ --since 7d --html fleet.html
pi-detector report fleet/ --since 2026-11-17 --against 2026-11-10..2026-11-17
pi-detector report fleet/ --compare porch yard
pi-detector report fleet/ --json - | jq '.devices[] | {name, reboots}'
"""

Span = tuple[datetime, datetime]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(
        subparsers, "report", "analyse the record logs of devices", _DESCRIPTION, _EXAMPLES
    )
    parser.add_argument("logs", metavar="LOG", nargs="+", help="file, folder or pattern")
    parser.add_argument(
        "--since", metavar="TIME", type=moment, help=f"records from TIME on: {TIME_HELP}"
    )
    parser.add_argument("--until", metavar="TIME", type=moment, help="records before TIME")
    compared = parser.add_mutually_exclusive_group()
    compared.add_argument(
        "--against",
        metavar="TIME..TIME",
        type=_span,
        help="compare with an earlier span of time, which must not overlap",
    )
    compared.add_argument(
        "--compare", metavar=("A", "B"), nargs=2, help="compare device B with device A"
    )
    parser.add_argument(
        "--html",
        metavar="FILE",
        type=Path,
        default=Path("report.html"),
        help="file of the page (default: report.html)",
    )
    parser.add_argument(
        "--json", metavar="FILE", help="write the report as JSON; - prints it, without a page"
    )
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Read the logs, write the page, and print the summary.

    Raises:
        PiDetectorError: there are no records, a package is missing, or a file cannot be written.
    """
    settings_of(args)
    _need_packages()
    periods = _periods(args.since, args.until, args.against)

    from pi_detector.report.logs import find_logs
    from pi_detector.report.store import Store

    logs = find_logs(args.logs)
    _check_devices(args.compare, {log.device for log in logs})
    with tempfile.TemporaryDirectory(prefix="pi-detector-report-") as folder:
        store = Store(Path(folder), logs, periods)
        try:
            _tell(args, store)
        finally:
            store.close()
    return os.EX_OK


def _tell(args: argparse.Namespace, store: Store) -> None:
    import msgspec

    from pi_detector.report.findings import report_of
    from pi_detector.report.page import page
    from pi_detector.report.text import summary

    report = report_of(store, None if args.compare is None else tuple(args.compare))
    if args.json is not None:
        text = msgspec.json.format(msgspec.json.encode(report), indent=1).decode() + "\n"
        if args.json == "-":
            print(text, end="")
            return
        _write(Path(args.json), text)
    _write(args.html, page(report, store))
    print(summary(report), end="")
    print(f"\n{args.html.resolve().as_uri()}")


def _need_packages() -> None:
    for name in _PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise DependencyMissingError(
                f"report: the package {name} is not installed (needs {', '.join(_PACKAGES)}); "
                f"install them with: {how_to_install('report')}"
            ) from error


def _periods(since: datetime | None, until: datetime | None, against: Span | None) -> list[Period]:
    from pi_detector.report.store import Period

    ours = Period()
    since_s = ours.since if since is None else since.timestamp()
    until_s = ours.until if until is None else until.timestamp()
    if since_s >= until_s:
        raise UsageError("--since: not before --until; choose an earlier time")
    if against is None:
        return [Period(since_s, until_s)]
    first, second = Period(since_s, until_s), Period(*(end.timestamp() for end in against))
    if first.since < second.until and second.since < first.until:
        raise UsageError("--against: overlaps the time of the report; set --since or --until")
    return [first, second]


def _check_devices(compared: list[str] | None, devices: set[str]) -> None:
    for name in compared or ():
        if name not in devices:
            known = ", ".join(sorted(devices))
            raise UsageError(f"--compare: no device {name}; choose from: {known}")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SinkError(f"{path}: {error.strerror}; name a file that you can write") from error


def _span(text: str) -> Span:
    """Argument type of a span of time."""
    begin, dots, end = text.partition("..")
    if not dots:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not two times, such as 2026-11-01..2026-11-08"
        )
    first, last = moment(begin), moment(end)
    if first >= last:
        raise argparse.ArgumentTypeError(f"{text!r} ends before it begins")
    return first.astimezone(UTC), last.astimezone(UTC)
