"""Files that appear complete or not at all: written aside, then renamed."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

_PART_SUFFIX = ".part"
_PRIVATE = 0o600


def write_aside(
    path: Path,
    write: Callable[[BinaryIO], object],
    *,
    durable: bool = True,
    mode: int | None = None,
    owner: tuple[int, int] | None = None,
) -> None:
    """Write a file in place of one of that name; a failure leaves the old one as it is.

    Args:
        path: of the file.
        write: writes the content.
        durable: the content is on the disk before the name is; without it, a power cut may leave
            an empty file of that name. ``sync_folder`` makes the name durable as well.
        mode: permissions, which the file has from its first byte on at most; None leaves them to
            the process's umask.
        owner: user and group; None leaves those of the process.

    Raises:
        OSError: it cannot be written.
    """
    aside = unfinished_path(path)
    try:
        with os.fdopen(_opened(aside, 0o666 if mode is None else _PRIVATE & mode), "wb") as file:
            write(file)
            if owner is not None:
                os.fchown(file.fileno(), *owner)
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        with suppress(OSError):  # the error above is the one to report
            aside.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unfinished_path(path: Path) -> Path:
    """Where a file is written until it is complete: in the same folder, hidden."""
    return path.with_name(f".{path.name}{_PART_SUFFIX}")


def finished_name(name: str) -> str | None:
    """The name that an unfinished file would get; None for others."""
    if name.startswith(".") and name.endswith(_PART_SUFFIX):
        return name[1 : -len(_PART_SUFFIX)]
    return None


def _opened(aside: Path, mode: int) -> int:
    """A file to write, in place of a link of that name: the folder may be untrusted."""
    aside.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(aside, flags, mode)
