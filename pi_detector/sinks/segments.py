"""The files of a record log: numbered, compressed when full, deleted when old."""

from __future__ import annotations

import logging
import os
import re
import shutil
import stat
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

from pi_detector.util.whole_files import finished_name, sync_folder, write_aside

log = logging.getLogger(__name__)

_PLAIN = re.compile(r"records-(\d{6,})\.jsonl", re.ASCII)
_SUFFIX = ".zst"
_PARTS = 8
"""A file is at most this part of the allowance."""
_LARGEST_BYTES = 8 * 1024 * 1024
_LEVEL = 3
_CHUNK_BYTES = 256 * 1024
_MOST_AT_ONCE = 2
"""Files compressed when one is full: its own, and one left over from a crash or an older version.
The thread that writes the records does it."""


class Segments:
    """The files ``records-000001.jsonl``, ... of a folder, older ones as ``.jsonl.zst``.

    They are numbered and not named by time, because the wall clock of a Pi may jump back. Files
    with other names are never touched.

    Args:
        folder: exists.
        most_bytes: of all files together.
        compress: compress full files.

    Attributes:
        segment_bytes: a file of this size is full.
    """

    def __init__(self, folder: Path, *, most_bytes: int, compress: bool) -> None:
        self._folder = folder
        self._compress = compress
        self.segment_bytes = min(most_bytes // _PARTS, _LARGEST_BYTES)
        # What is left is for the file being written, or for a copy being compressed.
        self._finished_bytes = most_bytes - self.segment_bytes
        self._names: list[str] = []

    def start(self, names: Collection[str]) -> None:
        """Find the files of earlier runs, and clear away what a crash left.

        Args:
            names: of all files in the folder.

        Raises:
            OSError: a file cannot be deleted.
        """
        # A compressed file gets its name when it is complete: its original is a copy then.
        copies = {name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)}
        ours = {name for name in names if _is_ours(name)}
        unfinished = {name for name in names if _is_ours(finished_name(name) or "")}
        for name in unfinished | (ours & copies):
            (self._folder / name).unlink()
        self._names = sorted(ours - copies, key=_number)

    def paths(self) -> list[Path]:
        """All files, oldest first."""
        return [self._folder / name for name in self._names]

    def last(self) -> Path | None:
        """The file to append to; None if the last one is complete, or truncated within a line."""
        if not self._names or self._names[-1].endswith(_SUFFIX):
            return None
        path = self._folder / self._names[-1]
        with path.open("rb") as file:
            # A crash may have come between making the file and writing to it.
            if not file.seek(0, os.SEEK_END):
                return path
            file.seek(-1, os.SEEK_END)
            return path if file.read(1) == b"\n" else None

    def begin(self) -> Path:
        """The path of a new file; those before it are full. Raises OSError."""
        self._delete_old()
        if self._compress:
            self._compress_full()
        number = _number(self._names[-1]) + 1 if self._names else 1
        self._names.append(f"records-{number:06d}.jsonl")
        return self._folder / self._names[-1]

    def _delete_old(self) -> None:
        sizes = [self._size(name) for name in self._names]
        while sizes and sum(sizes) > self._finished_bytes:
            (self._folder / self._names.pop(0)).unlink(missing_ok=True)
            sizes.pop(0)

    def _size(self, name: str) -> int:
        try:
            return (self._folder / name).stat().st_size
        except FileNotFoundError:  # someone tidied up
            return 0

    def _compress_full(self) -> None:
        plain = [name for name in self._names if not name.endswith(_SUFFIX)]
        for name in plain[:_MOST_AT_ONCE]:
            try:
                compress_file(self._folder / name)
            except FileNotFoundError:
                self._names.remove(name)
            except OSError as error:
                # It stays as it is, and is tried again when the next file is full.
                log.warning("%s: not compressed: %s", self._folder / name, error.strerror)
            else:
                self._names[self._names.index(name)] = name + _SUFFIX


def compress_file(path: Path) -> None:
    """Put ``NAME.zst`` (Zstandard, RFC 8878) in place of a file.

    A power cut at any moment leaves one of them complete; both only between the last two steps.
    Raises OSError.
    """
    from backports import zstd

    target = path.with_name(path.name + _SUFFIX)
    options: dict[int, int] = {
        zstd.CompressionParameter.compression_level: _LEVEL,
        zstd.CompressionParameter.checksum_flag: True,
    }
    with path.open("rb") as plain:

        def write(file: BinaryIO) -> None:
            with zstd.ZstdFile(file, "w", options=options) as packed:
                shutil.copyfileobj(plain, packed, _CHUNK_BYTES)

        write_aside(target, write, mode=stat.S_IMODE(os.fstat(plain.fileno()).st_mode))
    sync_folder(path.parent)
    path.unlink()


def _is_ours(name: str) -> bool:
    return _PLAIN.fullmatch(name.removesuffix(_SUFFIX)) is not None


def _number(name: str) -> int:
    return int(name.removeprefix("records-").partition(".")[0])
