"""Access to files in an untrusted folder, without following symbolic links below it.

A folder of recordings may come from another device, or belong to a user with fewer rights than the
reader. ``layout`` checks its names; here each folder on the way to a file is opened by itself,
relative to the one above it, so that nothing leads outside, even if a folder is replaced by a link
in the meantime. The folder itself may be reached by a link.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_ABSENT = (FileNotFoundError, NotADirectoryError)
# A link; a folder that is none; a socket.
_NO_FILE = (errno.ELOOP, errno.ENOTDIR, errno.ENXIO)
_LINK = "a symbolic link, or not a regular file; pi-detector follows no links in its folder"


def open_file(root: Path, path: str) -> BinaryIO:
    """Open a regular file to read it.

    Args:
        root: the folder.
        path: of the file, relative to it.

    Raises:
        FileNotFoundError: it does not exist.
        OSError: it cannot be read; with ``ELOOP`` where it is no regular file, or a link leads to
            it.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with _parent(root, path) as (folder, name):
            handle = os.open(name, flags, dir_fd=folder)
    except OSError as error:
        if error.errno in _NO_FILE:
            raise OSError(errno.ELOOP, _LINK, path) from error
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.ELOOP, _LINK, path)
    return os.fdopen(handle, "rb")


def size_of(root: Path, path: str) -> int | None:
    """The bytes of a regular file; None where there is none. Raises OSError."""
    try:
        with _parent(root, path) as (folder, name):
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except _ABSENT:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def is_file(root: Path, path: str) -> bool:
    """Whether there is a regular file. Raises OSError."""
    return size_of(root, path) is not None


def touch(root: Path, path: str) -> None:
    """Make an empty file, unless there is a file already. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with _parent(root, path) as (folder, name):
        os.close(os.open(name, flags, 0o666, dir_fd=folder))


def write_file(root: Path, path: str, data: bytes) -> None:
    """Write a small file whole, in place of the one that was there. Raises OSError.

    It belongs to the owner of its folder: root may write it, and the service must read it.
    """
    with _parent(root, path) as (folder, name):
        part = f".{name}.part"
        with suppress(FileNotFoundError):  # of one that was killed
            os.unlink(part, dir_fd=folder)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(part, flags, 0o640, dir_fd=folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                if os.geteuid() == 0:
                    owner = os.fstat(folder)
                    os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
                file.flush()
                os.fsync(file.fileno())
            os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(OSError):
                os.unlink(part, dir_fd=folder)
            raise


def unlink(root: Path, path: str) -> None:
    """Delete a file, where there is one; of a link, the link. Raises OSError."""
    with suppress(*_ABSENT), _parent(root, path) as (folder, name):
        os.unlink(name, dir_fd=folder)


def make_folder(root: Path, path: str) -> None:
    """Make a folder, and those above it, where they do not exist.

    Raises:
        OSError: it cannot be made, or something else has its name.
    """
    root.mkdir(parents=True, exist_ok=True)
    with _parent(root, f"{path}/_", make=True):
        pass


def remove_empty(root: Path, path: str) -> None:
    """Remove a folder and those above it, as far as nothing is in them."""
    while path not in ("", "."):
        try:
            with _parent(root, path) as (folder, name):
                os.rmdir(name, dir_fd=folder)
        except OSError:  # something is in it
            return
        path = path.rpartition("/")[0]


@contextmanager
def _parent(root: Path, path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
    """The folder that a file is in, as a descriptor, and the name that the file has there."""
    *folders, name = path.split("/")
    if any(part in ("", ".", "..") for part in (*folders, name)):
        raise OSError(errno.EINVAL, "is not a path inside the folder", path)
    handle = os.open(root, _FOLDER)
    try:
        for part in folders:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=handle)
            below = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=handle)
            os.close(handle)
            handle = below
        yield handle, name
    finally:
        os.close(handle)
