"""``pi-detector collect``: frames worth labelling, and what the owner said of events, as COCO."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from pi_detector.cli.common import Subparsers, add_command, settings_of
from pi_detector.errors import RecordingNotFoundError, UsageError

if TYPE_CHECKING:
    from pi_detector.sinks.recordings.index import Row


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "collect",
        "list or export frames worth labelling",
        "Frames that 'pi-detector run' collects with collect.enabled = true, and marked events.",
        """
        pi-detector collect list
        pi-detector collect export --to yard
        """,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = add_command(actions, "list", "count the collected frames, by day and reason")
    listing.set_defaults(command=list_frames)
    export = add_command(
        actions, "export", "copy frames and marked events as a COCO data set, to label and train"
    )
    export.add_argument("--to", metavar="DIR", required=True, help="new folder")
    export.add_argument(
        "--recordings",
        metavar="DIR",
        help="folder of the recordings with marked events (default: from the settings)",
    )
    export.set_defaults(command=export_frames)
    for action in (listing, export):
        action.add_argument(
            "--folder", metavar="DIR", help="folder of the frames (default: from the settings)"
        )


def list_frames(args: argparse.Namespace) -> int:
    """Print how many frames there are, by day and reason.

    Raises:
        PiDetectorError: they cannot be read.
    """
    from pi_detector.sinks.collect.folder import read_note, stems_of

    folder = _folder_of(args)
    counts: dict[str, Counter[str]] = {}
    for stem in stems_of(folder):
        note = read_note(folder, stem)
        if note is not None:
            counts.setdefault(f"{note.time:%Y-%m-%d}", Counter())[note.reason] += 1
    for day, reasons in sorted(counts.items()):
        print(f"{day}  " + "  ".join(f"{name} {n}" for name, n in sorted(reasons.items())))
    print(f"{sum(c.total() for c in counts.values())} frames in {folder}")
    return os.EX_OK


def export_frames(args: argparse.Namespace) -> int:
    """Copy frames and marked events to a new folder.

    Raises:
        UsageError: the folder exists.
        PiDetectorError: the frames cannot be read, or the copy not written.
    """
    from pi_detector.sinks.collect.export import Export

    target = Path(args.to)
    if os.path.lexists(target):
        raise UsageError(f"{target}: already exists; name a new folder")
    export = Export(target)
    folder = _folder_of(args)
    if folder.is_dir():
        export.add_frames(folder)
    recordings, rows = _marked(args)
    export.add_events(recordings, rows)
    if not len(export):
        raise UsageError(
            f"{folder}: no frames, and no marked events; set collect.enabled = true, or use "
            "'pi-detector events mark'"
        )
    export.write()
    print(f"{target}: {len(export)} images, {export.answers} of them with your answers")
    return os.EX_OK


def _folder_of(args: argparse.Namespace) -> Path:
    from pi_detector.cli.events import folder_of
    from pi_detector.util.paths import output_path

    settings = settings_of(args)
    if args.folder or settings.collect.path:
        return output_path(args.folder or settings.collect.path)
    return folder_of("").with_name("collected")


def _marked(args: argparse.Namespace) -> tuple[Path, list[Row]]:
    """The folder of the recordings, and the marked events in it."""
    from contextlib import closing

    from pi_detector.cli.events import folder_of
    from pi_detector.sinks.recordings.filters import Filter
    from pi_detector.sinks.recordings.index import Index

    folder = folder_of(args.recordings or settings_of(args).recording.path)
    try:
        with closing(Index(folder)) as index:
            return folder, [row for row in index.select(Filter()) if row.mark is not None]
    except RecordingNotFoundError:
        return folder, []
