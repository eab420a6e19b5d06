"""A test as another user than root."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


def let_others_enter(folder: Path) -> None:
    """Let all users reach a temporary folder, whatever pytest calls those around it."""
    if os.geteuid() == 0:
        for each in (folder, *folder.parents):
            if Path(tempfile.gettempdir()) in each.parents:
                each.chmod(0o755)


@contextmanager
def unprivileged() -> Iterator[None]:
    """Without root's right to open everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
