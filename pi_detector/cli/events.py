"""``pi-detector events``: list, show, export, delete, keep and mark recorded events."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pi_detector.cli.common import (
    Subparsers,
    add_command,
    keep_files_private,
    positive_int,
    settings_of,
)
from pi_detector.core.clock import utc_now
from pi_detector.errors import (
    NoPermissionError,
    RecordingInUseError,
    RecordingNotFoundError,
    UsageError,
)
from pi_detector.util.paths import SERVICE_STATE
from pi_detector.util.text import one_line

if TYPE_CHECKING:
    from pi_detector.sinks.recordings.filters import Filter
    from pi_detector.sinks.recordings.index import Index, Row

_SERVICE_FOLDER = SERVICE_STATE / "recordings"
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
TIME_HELP = "2026-11-24, 2026-11-24T18:30, today, yesterday, or an age: 90m, 12h, 7d"


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "events",
        "list, show, export, delete, keep or mark recorded events",
        "Manage the events that 'pi-detector run' records with recording.enabled = true.",
        """
        pi-detector events list --since today --label person
        pi-detector events list --since 7d --zone door --json
        pi-detector events show 20261124T020304
        pi-detector events export --since yesterday --to yesterday.zip
        pi-detector events delete --until 30d --label car --yes
        pi-detector events keep 20261124T020304
        pi-detector events mark 20261124T020304 wrong --label cat
        """,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    _action(actions, "list", "list events, latest first", list_events, ids=False).add_argument(
        "--limit", metavar="N", type=positive_int, help="list at most N events"
    )
    show = add_command(actions, "show", "print the details and files of an event")
    show.add_argument("ids", metavar="ID", nargs="+", help=_ID_HELP)
    _add_output(show)
    show.set_defaults(command=show_events)
    export = _action(actions, "export", "copy events with their files", export_events)
    export.add_argument(
        "--to", metavar="PATH", required=True, help="new .zip or .tar file, or new folder"
    )
    delete = _action(actions, "delete", "delete events and their files", delete_events)
    delete.add_argument(
        "--yes", action="store_true", help="without an ID: delete all matching events"
    )
    delete.add_argument(
        "--force", action="store_true", help="also delete protected and unfinished events"
    )
    keep = add_command(actions, "keep", "protect events from automatic deletion")
    keep.add_argument("ids", metavar="ID", nargs="+", help=_ID_HELP)
    keep.add_argument("--off", action="store_true", help="end the protection")
    _add_folder(keep)
    keep.set_defaults(command=keep_events)
    mark = add_command(actions, "mark", "note whether an event is right, and protect it")
    mark.add_argument("ids", metavar="ID", nargs=1, help=_ID_HELP)
    mark.add_argument("verdict", choices=("right", "wrong", "none"), help="none: remove the mark")
    mark.add_argument(
        "--label", metavar="LABEL", dest="truth", help="what a wrong event really was"
    )
    _add_folder(mark)
    mark.set_defaults(command=mark_events)


_ID_HELP = "event ID, or the beginning of one"


def _action(
    actions: Subparsers,
    name: str,
    summary: str,
    command: Callable[[argparse.Namespace], int],
    *,
    ids: bool = True,
) -> argparse.ArgumentParser:
    """An action on the events that match a filter."""
    parser = add_command(actions, name, summary)
    if ids:
        parser.add_argument("ids", metavar="ID", nargs="*", help=_ID_HELP)
        _add_folder(parser)
    else:
        parser.set_defaults(ids=[])
        _add_output(parser)
    wanted = parser.add_argument_group("filters")
    wanted.add_argument(
        "--since", metavar="TIME", type=moment, help=f"events ongoing at TIME or later: {TIME_HELP}"
    )
    wanted.add_argument(
        "--until", metavar="TIME", type=moment, help="events that began at TIME or earlier"
    )
    wanted.add_argument(
        "--label",
        metavar="LABEL",
        action="append",
        default=[],
        help="events of this label; may be repeated",
    )
    wanted.add_argument(
        "--zone",
        metavar="ZONE",
        action="append",
        default=[],
        help="events that entered this zone; may be repeated",
    )
    wanted.add_argument("--kept", action="store_true", help="protected events only")
    parser.set_defaults(command=command)
    return parser


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object per line")
    _add_folder(parser)


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--folder", metavar="DIR", help="folder of the recordings (default: from the settings)"
    )


def moment(text: str) -> datetime:
    """Argument type of a time; without an offset it is local time."""
    now = utc_now()
    age = re.fullmatch(r"(\d{1,6})([smhdw])", text)
    try:
        if age:
            return now - timedelta(**{_UNITS[age[2]]: int(age[1])})
        if text in ("today", "yesterday"):
            midnight = now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
            return midnight - timedelta(days=int(text == "yesterday"))
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time; use {TIME_HELP}") from error


def list_events(args: argparse.Namespace) -> int:
    """Print one line per event.

    Raises:
        NoPermissionError: this user may not read the recordings.
        PiDetectorError: there are no recordings, or they cannot be read.
    """
    from pi_detector.cli.events_text import json_line, table

    folder = recordings_of(args)
    with _index(folder) as index:
        found = index.select(_filter(args))
        if args.json:
            for row in found:
                print(json_line(folder, row))
        else:
            for line in table(list(found)):
                print(line)
    return os.EX_OK


def show_events(args: argparse.Namespace) -> int:
    """Print the details of events.

    Raises:
        PiDetectorError: an event does not exist or cannot be read.
    """
    from pi_detector.cli.events_text import facts, json_line

    folder = recordings_of(args)
    with _index(folder) as index:
        for row in _selected(index, args):
            if args.json:
                print(json_line(folder, row))
            else:
                print("\n".join(facts(folder, row)), end="\n\n")
    return os.EX_OK


def export_events(args: argparse.Namespace) -> int:
    """Copy events, their files and a list of them to a folder or an archive.

    Raises:
        PiDetectorError: an event does not exist, or the copy fails.
    """
    from pi_detector.cli.events_export import export

    folder = recordings_of(args)
    with _index(folder) as index:
        found = _selected(index, args)
        files = export(folder, found, Path(args.to))
    print(f"{args.to}: {len(found)} events, {files} files")
    return os.EX_OK


def delete_events(args: argparse.Namespace) -> int:
    """Delete events, and the files that no other event uses.

    Raises:
        UsageError: neither an ID nor a filter was given, or ``--yes`` is missing.
        RecordingInUseError: an event is ongoing or protected, and ``--force`` is missing.
        PiDetectorError: an event does not exist or cannot be deleted.
    """
    from pi_detector.sinks.recordings.catalogue import delete_event

    folder = recordings_of(args)
    chosen = args.ids or args.since or args.until or args.label or args.zone or args.kept
    if not chosen:
        raise UsageError(
            "events delete: no events named; add an ID, --since, --until, --label or --zone"
        )
    with _index(folder, write=True) as index:
        found = _selected(index, args)
        if not args.force:
            found = _deletable(found, named=bool(args.ids))
        if not args.ids and not args.yes:
            raise UsageError(f"events delete: {len(found)} events match; add --yes to delete them")
        for row in found:
            delete_event(folder, index, row.entry.path)
    print(f"{len(found)} events deleted")
    return os.EX_OK


def keep_events(args: argparse.Namespace) -> int:
    """Protect events, or end their protection.

    Raises:
        PiDetectorError: an event does not exist or cannot be changed.
    """
    from pi_detector.sinks.recordings.catalogue import keep_event

    folder = recordings_of(args)
    with _index(folder, write=True) as index:
        found = _selected(index, args)
        for row in found:
            keep_event(folder, index, row.entry.path, not args.off)
    print(f"{len(found)} events {'no longer kept' if args.off else 'kept'}")
    return os.EX_OK


def mark_events(args: argparse.Namespace) -> int:
    """Note what the owner says of an event, or remove that.

    Raises:
        UsageError: the label is none, or does not fit.
        PiDetectorError: the event does not exist or cannot be changed.
    """
    from pi_detector.sinks.recordings.catalogue import mark_event
    from pi_detector.sinks.recordings.marks import LONGEST_LABEL, Mark, valid_label

    if args.truth is not None and args.verdict != "wrong":
        raise UsageError("events mark: --label says what a wrong event was; leave it out")
    if args.truth is not None and not valid_label(args.truth):
        raise UsageError(
            f"events mark: --label {one_line(args.truth)!r} is not a label; use 1 to "
            f"{LONGEST_LABEL} printable characters"
        )
    mark = None if args.verdict == "none" else Mark(args.verdict, utc_now(), args.truth)
    folder = recordings_of(args)
    with _index(folder, write=True) as index:
        for row in _selected(index, args):
            mark_event(folder, index, row.entry.path, mark)
            done = "no longer marked" if mark is None else f"marked {args.verdict}, and kept"
            print(f"{one_line(row.entry.event.id)}: {done}")
    return os.EX_OK


def recordings_of(args: argparse.Namespace) -> Path:
    """Return the folder of the recordings that a command line selects.

    Raises:
        ConfigError: the settings are invalid.
    """
    settings = settings_of(args)
    return folder_of(args.folder or settings.recording.path)


def folder_of(path: str) -> Path:
    """Return the folder of the recordings that ``recording.path`` means for a manual command.

    Raises:
        SinkError: it names a home folder that does not exist.
    """
    from pi_detector.util.paths import recordings_folder

    folder = recordings_folder(path, os.environ)
    if path or os.environ.get("STATE_DIRECTORY"):
        return folder
    try:
        os.lstat(_SERVICE_FOLDER)
    except PermissionError:  # the service may have recordings there; the user's own need no rights
        return folder if folder.exists() else _SERVICE_FOLDER
    except OSError:
        return folder
    return _SERVICE_FOLDER


@contextmanager
def _index(folder: Path, *, write: bool = False) -> Iterator[Index]:
    from pi_detector.sinks.recordings.index import Index

    _check_permission(folder)
    if write:
        keep_files_private()
    index = Index(folder, write=write, create=False)
    try:
        yield index
    finally:
        index.close()


def _check_permission(folder: Path) -> None:
    from pi_detector.sinks.recordings.layout import INDEX_NAME

    try:
        (folder / INDEX_NAME).open("rb").close()
    except PermissionError as error:
        raise NoPermissionError(
            f"{folder}: this user may not read these recordings; run the command with sudo, or "
            "join "
            "the service's group (sudo usermod -aG pi-detector $USER) and log in again"
        ) from error
    except OSError:
        return  # opening the index reports the problem


def _filter(args: argparse.Namespace) -> Filter:
    from pi_detector.sinks.recordings.filters import Filter

    return Filter(
        since=getattr(args, "since", None),
        until=getattr(args, "until", None),
        labels=tuple(getattr(args, "label", ())),
        zones=tuple(getattr(args, "zone", ())),
        keys=tuple(args.ids),
        kept=getattr(args, "kept", False),
        limit=getattr(args, "limit", None),
    )


def _selected(index: Index, args: argparse.Namespace) -> list[Row]:
    """The selected events; each ID must match exactly one."""
    from pi_detector.sinks.recordings.filters import Filter

    for key in args.ids:
        same = list(index.select(Filter(keys=(key,))))
        exact = [row for row in same if key in (row.entry.event.id, row.entry.path)]
        if not same:
            raise RecordingNotFoundError(f"{key}: no such event; see 'pi-detector events list'")
        if len(same) > 1 and len(exact) != 1:
            paths = ", ".join(row.entry.path for row in same[:3])
            raise UsageError(
                f"{key}: {len(same)} events begin with this ID: {paths} ...; give more of it"
            )
    return list(index.select(_filter(args)))


def _deletable(found: list[Row], *, named: bool) -> list[Row]:
    """The events that may be deleted; if they were named, all of them must be."""
    spared = [row for row in found if row.keep or not row.entry.complete]
    if named and spared:
        named_id = one_line(spared[0].entry.event.id)
        why = "the event is protected" if spared[0].keep else "the event is ongoing"
        raise RecordingInUseError(f"{named_id}: {why}; add --force to delete it anyway")
    return [row for row in found if row not in spared]
