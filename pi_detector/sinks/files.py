"""Output folders and files: created, checked, and never visible half written."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

from pi_detector.core.frame import ImageArray
from pi_detector.errors import SinkError
from pi_detector.util.whole_files import write_aside

_JPEG_QUALITY = 90


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
    try:
        write_aside(path, lambda file: file.write(data), durable=durable, mode=mode)
    except OSError as error:
        raise unwritable(path.parent, error) from error
