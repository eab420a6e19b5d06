"""Files that are whole or absent: written aside, then renamed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from pi_detector.util import whole_files


def write_aside(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write ``path`` through ``write``; a failure leaves the old file, and no half of a new one.

    Raises:
        OSError: it cannot be written (disk full, ...); names ``path``.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        whole_files.write_aside(path, write)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
