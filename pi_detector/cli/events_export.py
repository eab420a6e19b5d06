"""Export recorded events: their files, and a list as CSV and JSON."""

from __future__ import annotations

import csv
import errno
import io
import logging
import os
import shutil
import tarfile
import time
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from pi_detector.cli.events_text import plain, state
from pi_detector.errors import SinkError, UsageError
from pi_detector.sinks.recordings import confined
from pi_detector.sinks.recordings.index import Row
from pi_detector.util.whole_files import unfinished_path

log = logging.getLogger(__name__)

_COLUMNS = (
    "id", "label", "started", "duration_s", "score", "best_score", "source", "zones", "state",
    "files",
)  # fmt: skip
_ZIP_FIRST, _ZIP_LAST = (1980, 1, 1, 0, 0, 0), (2107, 12, 31, 23, 59, 58)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

_Add = Callable[[str, BinaryIO], None]
"""Adds a file of this name with the content of an open file."""


def export(folder: Path, rows: Sequence[Row], target: Path) -> int:
    """Copy events to a folder, or to a ``.zip`` or ``.tar`` file.

    The files keep their paths in the folder of the recordings; ``events.csv`` and ``events.json``
    list the events. An archive appears once it is complete. Files deleted in the meantime are only
    listed.

    Args:
        folder: folder of the recordings.
        rows: the events.
        target: the file or folder to create; its suffix selects the format.

    Returns:
        Number of files copied.

    Raises:
        UsageError: ``target`` exists.
        SinkError: it cannot be written.
    """
    if os.path.lexists(target):
        raise UsageError(f"{target}: already exists; name a new file or folder")
    writers = {".zip": _to_zip, ".tar": _to_tar}
    try:
        return writers.get(target.suffix.lower(), _to_folder)(folder, rows, target)
    except OSError as error:
        raise SinkError(
            f"{target}: cannot write: {error.strerror or error}; free some space, or use another "
            "path"
        ) from error


def _to_folder(folder: Path, rows: Sequence[Row], target: Path) -> int:
    target.mkdir(parents=True)

    def add(name: str, content: BinaryIO) -> None:
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            shutil.copyfileobj(content, file)

    return _add_all(folder, rows, add)


def _to_zip(folder: Path, rows: Sequence[Row], target: Path) -> int:
    def fill(file: BinaryIO) -> int:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:  # video does not shrink

            def add(name: str, content: BinaryIO) -> None:
                written = time.localtime(_modified_s(content))[:6]
                # A device without a clock may have files with dates that ZIP cannot represent.
                info = zipfile.ZipInfo(name, min(max(written, _ZIP_FIRST), _ZIP_LAST))
                info.external_attr = 0o644 << 16
                info.file_size = _length(content)
                with archive.open(info, "w") as entry:
                    shutil.copyfileobj(content, entry)

            return _add_all(folder, rows, add)

    return _whole(target, fill)


def _to_tar(folder: Path, rows: Sequence[Row], target: Path) -> int:
    def fill(file: BinaryIO) -> int:
        with tarfile.open(fileobj=file, mode="w") as archive:

            def add(name: str, content: BinaryIO) -> None:
                info = tarfile.TarInfo(name)
                info.mtime = round(_modified_s(content))
                info.size = _length(content)
                archive.addfile(info, content)

            return _add_all(folder, rows, add)

    return _whole(target, fill)


def _length(content: BinaryIO) -> int:
    length = content.seek(0, os.SEEK_END)
    content.seek(0)
    return length


def _modified_s(content: BinaryIO) -> float:
    """The modification time of a file, in seconds since the epoch; now, for data in memory."""
    if isinstance(content, io.BytesIO):
        return time.time()
    return os.fstat(content.fileno()).st_mtime


def _whole(target: Path, fill: Callable[[BinaryIO], int]) -> int:
    """Write an archive that appears once it is complete, and never replaces a file."""
    aside = unfinished_path(target)
    aside.unlink(missing_ok=True)  # left over from an export that was killed
    try:
        with aside.open("xb") as file:
            copied = fill(file)
        if os.path.lexists(target):
            raise UsageError(f"{target}: was created in the meantime; use another path")
        aside.rename(target)
    except BaseException:
        with suppress(OSError):  # the error that led here is the one to report
            aside.unlink(missing_ok=True)
        raise
    return copied


def _add_all(folder: Path, rows: Sequence[Row], add: _Add) -> int:
    copied = 0
    for path in sorted({media.path for row in rows for media in row.entry.files}):
        try:
            content = confined.open_file(folder, path)
        except FileNotFoundError:  # deleted since it was listed
            continue
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            log.warning(
                "%s: left out because it is not a regular file, or is behind a link", folder / path
            )
            continue
        with content:
            add(path, content)
        copied += 1
    listed = msgspec.json.format(msgspec.json.encode(_listed(rows))) + b"\n"
    add("events.json", io.BytesIO(listed))
    add("events.csv", io.BytesIO(_csv(rows).encode()))
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
    """A text that a spreadsheet does not interpret as a formula."""
    if isinstance(cell, str) and cell.startswith(_FORMULA):
        return f"'{cell}"
    return cell
