"""Output folders and files: created, checked, and never visible half written."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from pi_detector.core.frame import ImageArray
from pi_detector.errors import SinkError

_JPEG_QUALITY = 90
_PART_SUFFIX = ".part"


def output_path(text: str) -> Path:
    """The path that a setting names.

    ``~`` is the home folder, and ``$NAME`` an environment variable, such as the ``STATE_DIRECTORY``
    and ``LOGS_DIRECTORY`` of a systemd service.

    Raises:
        SinkError: there is no such folder or variable.
    """
    expanded = os.path.expandvars(text)
    if "$" in expanded:
        raise SinkError(f"{text}: no such environment variable; set it, or write the path in full")
    try:
        return Path(expanded).expanduser()
    except RuntimeError as error:
        raise SinkError(f"{text}: no such home folder; write the path without '~'") from error


def prepare_folder(folder: Path) -> list[str]:
    """Make a folder where it does not exist, and see that a file can be written there.

    Returns:
        The names of what is in it, sorted.

    Raises:
        SinkError: it cannot be made, written or listed.
    """
    make_folder(folder)
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0" * 4096)
        return sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        raise unwritable(folder, error) from error


def make_folder(folder: Path) -> None:
    """Make a folder where it does not exist. Raises SinkError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error


def unwritable(folder: Path, error: OSError) -> SinkError:
    """The error of a folder in which nothing can be written."""
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return SinkError(
            f"{folder}: cannot write: {error.strerror}; raise the limit (LimitNOFILE= of a "
            "service), or reduce the number of connections"
        )
    return SinkError(
        f"{folder}: cannot write: {error.strerror}; free some space, give this user the right to "
        "write, or set another folder"
    )


def write_jpeg(path: Path, image: ImageArray) -> None:
    """Write an RGB picture; the file appears complete or not at all.

    Raises:
        SinkError: it cannot be written.
    """
    write_whole(path, jpeg_of(image, path))


def jpeg_of(image: ImageArray, name: object) -> bytes:
    """An RGB picture as JPEG. Raises SinkError, with ``name``, for one that JPEG cannot hold."""
    import cv2

    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    try:
        done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    except cv2.error:  # some versions raise, some return False
        done = False
    if not done:
        raise SinkError(f"{name}: an image of shape {image.shape} does not fit in a JPEG file")
    return data.tobytes()


def write_whole(path: Path, data: bytes, *, durable: bool = False, mode: int | None = None) -> None:
    """Write a file; it appears complete or not at all, in place of one of that name.

    Args:
        path: of the file.
        data: its content.
        durable: the content is on the disk before the name is; without it, a power cut may leave
            an empty file of that name.
        mode: permissions; None leaves them to the process's umask.

    Raises:
        SinkError: it cannot be written.
    """
    aside = unfinished_path(path)
    try:
        with os.fdopen(_opened(aside), "wb") as file:
            file.write(data)
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        with suppress(OSError):  # the error above is the one to report
            aside.unlink(missing_ok=True)
        raise unwritable(path.parent, error) from error


def _opened(aside: Path) -> int:
    """A file to write, in place of a link of that name: the folder may be untrusted."""
    aside.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(aside, flags, 0o666)


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
