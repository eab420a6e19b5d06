"""Copies of recorded events: their files, and a list of them as CSV and JSON."""

from __future__ import annotations

import csv
import io
import shutil
import tarfile
import time
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from pi_detector.cli.events_text import plain, state
from pi_detector.errors import SinkError, UsageError
from pi_detector.sinks.files import unfinished_path
from pi_detector.sinks.recordings.index import Row

_COLUMNS = (
    "id", "label", "started", "duration_s", "score", "best_score", "source", "zones", "state",
    "files",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

_Add = Callable[[str, Path | bytes], None]
"""Adds a file of this name: a copy of a file, or these bytes."""


def export(folder: Path, rows: Sequence[Row], target: Path) -> int:
    """Copy events to a folder, or to a ``.zip`` or ``.tar`` file.

    The files lie as in the folder of the recordings; ``events.csv`` and ``events.json`` list the
    events. An archive appears when it is whole. Of files that are deleted meanwhile, only the
    list tells.

    Args:
        folder: of the recordings.
        rows: the events.
        target: what to make; its suffix decides.

    Returns:
        How many files were copied.

    Raises:
        UsageError: ``target`` exists.
        SinkError: it cannot be written.
    """
    if target.exists():
        raise UsageError(f"{target}: exists; name a file or folder that does not")
    writers = {".zip": _to_zip, ".tar": _to_tar}
    try:
        return writers.get(target.suffix.lower(), _to_folder)(folder, rows, target)
    except OSError as error:
        raise SinkError(
            f"{target}: cannot write: {error.strerror or error}; make room, or name another place"
        ) from error


def _to_folder(folder: Path, rows: Sequence[Row], target: Path) -> int:
    def add(name: str, content: Path | bytes) -> None:
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            shutil.copyfile(content, path)

    return _add_all(folder, rows, add)


def _to_zip(folder: Path, rows: Sequence[Row], target: Path) -> int:
    def fill(path: Path) -> int:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:  # video does not shrink

            def add(name: str, content: Path | bytes) -> None:
                if isinstance(content, bytes):
                    archive.writestr(name, content)
                else:
                    archive.write(content, name)

            return _add_all(folder, rows, add)

    return _whole(target, fill)


def _to_tar(folder: Path, rows: Sequence[Row], target: Path) -> int:
    def fill(path: Path) -> int:
        with tarfile.open(path, "w") as archive:

            def add(name: str, content: Path | bytes) -> None:
                if isinstance(content, bytes):
                    info = tarfile.TarInfo(name)
                    info.size, info.mtime = len(content), round(time.time())
                    archive.addfile(info, io.BytesIO(content))
                else:
                    archive.add(content, name)

            return _add_all(folder, rows, add)

    return _whole(target, fill)


def _whole(target: Path, fill: Callable[[Path], int]) -> int:
    aside = unfinished_path(target)
    try:
        copied = fill(aside)
        aside.rename(target)
    except BaseException:
        with suppress(OSError):  # the error that led here is the one to tell
            aside.unlink(missing_ok=True)
        raise
    return copied


def _add_all(folder: Path, rows: Sequence[Row], add: _Add) -> int:
    copied = 0
    for path in sorted({media.path for row in rows for media in row.entry.files}):
        with suppress(FileNotFoundError):  # deleted since it was listed
            add(path, folder / path)
            copied += 1
    add("events.json", msgspec.json.format(msgspec.json.encode(_listed(rows))) + b"\n")
    add("events.csv", _csv(rows).encode())
    return copied


def _listed(rows: Sequence[Row]) -> list[dict[str, object]]:
    return [plain(row, Path()) for row in rows]


def _csv(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    for row in rows:
        event = row.entry.event
        cells = (
            event.id, event.label, event.started.isoformat(), event.duration_s, event.score,
            event.best.score, event.source, " ".join(event.entered), state(row),
            " ".join(media.path for media in row.entry.files),
        )  # fmt: skip
        writer.writerow([_harmless(cell) for cell in cells])
    return text.getvalue()


def _harmless(cell: object) -> object:
    """A text that a spreadsheet does not take for a formula."""
    if isinstance(cell, str) and cell.startswith(_FORMULA):
        return f"'{cell}"
    return cell
