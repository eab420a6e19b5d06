"""``pi-detector events``: what was recorded: list, show, export, delete, keep."""

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
from pi_detector.util.text import one_line

if TYPE_CHECKING:
    from pi_detector.sinks.recordings.filters import Filter
    from pi_detector.sinks.recordings.index import Index, Row

_SERVICE_FOLDER = Path("/var/lib/pi-detector/recordings")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
TIME_HELP = "2026-11-24, 2026-11-24T18:30, today, yesterday, or an age: 90m, 12h, 7d"


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "events",
        "list, show, export, delete or keep recorded events",
        "What 'pi-detector run' recorded, with recording.enabled set.",
        """
        pi-detector events list --since today --label person
        pi-detector events list --since 7d --zone door --json
        pi-detector events show 20261124T020304
        pi-detector events export --since yesterday --to yesterday.zip
        pi-detector events delete --until 30d --label car --yes
        pi-detector events keep 20261124T020304
        """,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    _action(actions, "list", "list events, the latest first", list_events, ids=False).add_argument(
        "--limit", metavar="N", type=positive_int, help="at most N events"
    )
    show = add_command(actions, "show", "print what is known of an event, and its files")
    show.add_argument("ids", metavar="ID", nargs="+", help=_ID_HELP)
    _add_output(show)
    show.set_defaults(command=show_events)
    export = _action(actions, "export", "copy events with their files", export_events)
    export.add_argument(
        "--to", metavar="PATH", required=True, help="a .zip or .tar file, or a folder, to be made"
    )
    delete = _action(actions, "delete", "delete events and their files", delete_events)
    delete.add_argument("--yes", action="store_true", help="without ID: delete all that match")
    delete.add_argument(
        "--force", action="store_true", help="also those that are kept, or not finished"
    )
    keep = add_command(actions, "keep", "protect events from being deleted by themselves")
    keep.add_argument("ids", metavar="ID", nargs="+", help=_ID_HELP)
    keep.add_argument("--off", action="store_true", help="protect them no longer")
    _add_folder(keep)
    keep.set_defaults(command=keep_events)


_ID_HELP = "an event's id, or its start"


def _action(
    actions: Subparsers,
    name: str,
    summary: str,
    command: Callable[[argparse.Namespace], int],
    *,
    ids: bool = True,
) -> argparse.ArgumentParser:
    """An action on the events that a filter lets through."""
    parser = add_command(actions, name, summary)
    if ids:
        parser.add_argument("ids", metavar="ID", nargs="*", help=_ID_HELP)
        _add_folder(parser)
    else:
        parser.set_defaults(ids=[])
        _add_output(parser)
    wanted = parser.add_argument_group("which events")
    wanted.add_argument(
        "--since", metavar="TIME", type=moment, help=f"that went on then or later: {TIME_HELP}"
    )
    wanted.add_argument("--until", metavar="TIME", type=moment, help="that began then or earlier")
    wanted.add_argument("--label", metavar="LABEL", action="append", default=[])
    wanted.add_argument(
        "--zone", metavar="ZONE", action="append", default=[], help="that were ever in this zone"
    )
    wanted.add_argument("--kept", action="store_true", help="that are protected")
    parser.set_defaults(command=command)
    return parser


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    _add_folder(parser)


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--folder", metavar="DIR", help="folder of the recordings (default: that of the settings)"
    )


def moment(text: str) -> datetime:
    """The type of a time on the command line; without an offset it is local time."""
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
        raise argparse.ArgumentTypeError(f"{text!r} is not a time; give {TIME_HELP}") from error


def list_events(args: argparse.Namespace) -> int:
    """Print a line an event.

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
    """Print all that is known of events.

    Raises:
        PiDetectorError: there is no such event, or it cannot be read.
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
        PiDetectorError: there is no such event, or the copy cannot be made.
    """
    from pi_detector.cli.events_export import export

    folder = recordings_of(args)
    with _index(folder) as index:
        found = _selected(index, args)
        files = export(folder, found, Path(args.to))
    print(f"{args.to}: {len(found)} events, {files} files")
    return os.EX_OK


def delete_events(args: argparse.Namespace) -> int:
    """Delete events and the files that no other event has.

    Raises:
        UsageError: neither an id nor a filter was given, or ``--yes`` was not.
        RecordingInUseError: an event goes on, or is kept, and ``--force`` was not given.
        PiDetectorError: there is no such event, or it cannot be deleted.
    """
    from pi_detector.sinks.recordings.catalogue import delete_event

    folder = recordings_of(args)
    chosen = args.ids or args.since or args.until or args.label or args.zone or args.kept
    if not chosen:
        raise UsageError("events delete: say which: an ID, --since, --until, --label or --zone")
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
    """Protect events, or no longer.

    Raises:
        PiDetectorError: there is no such event, or it cannot be changed.
    """
    from pi_detector.sinks.recordings.catalogue import keep_event

    folder = recordings_of(args)
    with _index(folder, write=True) as index:
        found = _selected(index, args)
        for row in found:
            keep_event(folder, index, row.entry.path, not args.off)
    print(f"{len(found)} events {'no longer kept' if args.off else 'kept'}")
    return os.EX_OK


def recordings_of(args: argparse.Namespace) -> Path:
    """The folder of the recordings that a command line means.

    Raises:
        ConfigError: the settings are not valid.
    """
    settings = settings_of(args)
    return folder_of(args.folder or settings.recording.path)


def folder_of(path: str) -> Path:
    """The folder of the recordings that ``recording.path`` means to a command by hand.

    Raises:
        SinkError: it names a home folder that does not exist.
    """
    from pi_detector.sinks.recordings.layout import recordings_folder

    folder = recordings_folder(path, os.environ)
    if path or os.environ.get("STATE_DIRECTORY"):
        return folder
    try:
        os.lstat(_SERVICE_FOLDER)
    except PermissionError:  # the service may have recordings there; own ones need no rights
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
            f"{folder}: this user may not read the recordings there; for those of the service: "
            "sudo usermod -aG pi-detector $USER, then log in again, or run the command with sudo"
        ) from error
    except OSError:
        return  # opening the index says what is wrong


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
    """The events that are meant; each id must name one, and only one."""
    from pi_detector.sinks.recordings.filters import Filter

    for key in args.ids:
        same = list(index.select(Filter(keys=(key,))))
        exact = [row for row in same if key in (row.entry.event.id, row.entry.path)]
        if not same:
            raise RecordingNotFoundError(f"{key}: no such event; see 'pi-detector events list'")
        if len(same) > 1 and len(exact) != 1:
            paths = ", ".join(row.entry.path for row in same[:3])
            raise UsageError(f"{key}: {len(same)} events start like this: {paths} ...; name one")
    return list(index.select(_filter(args)))


def _deletable(found: list[Row], *, named: bool) -> list[Row]:
    """Those that may be deleted; of those that were named, all must."""
    spared = [row for row in found if row.keep or not row.entry.complete]
    if named and spared:
        named_id = one_line(spared[0].entry.event.id)
        why = "is kept" if spared[0].keep else "still goes on"
        raise RecordingInUseError(f"{named_id}: {why}; add --force to delete it all the same")
    return [row for row in found if row not in spared]
