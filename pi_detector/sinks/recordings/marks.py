"""What an owner says of recorded events: right, or wrong, and what it really was.

A mark is a file ``.mark`` beside the event's sidecar. The recorder writes the sidecar again as long
as an event lasts, and would undo what is said meanwhile.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from pi_detector.core.records import UtcTime
from pi_detector.sinks.files import unwritable
from pi_detector.sinks.recordings import confined
from pi_detector.sinks.recordings.layout import MARK

LONGEST_LABEL = 64

_MOST_BYTES = 4096

Verdict = Literal["right", "wrong"]


class Mark(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an owner says of an event: ``label`` is what it was, of a wrong one, if known."""

    verdict: Verdict
    at: UtcTime
    label: str | None = None


_MARKS = msgspec.json.Decoder(Mark)


def valid_label(text: str) -> bool:
    """Whether a text can be a label: printable, not empty, not too long."""
    return bool(text.strip()) and text.isprintable() and len(text) <= LONGEST_LABEL


def write_mark(root: Path, path: str, mark: Mark) -> None:
    """Mark an event, in place of the mark that it had.

    Args:
        root: folder of the recordings.
        path: of the event, relative to it.
        mark: what is said.

    Raises:
        SinkError: it cannot be written.
    """
    try:
        confined.write_file(root, f"{path}{MARK}", msgspec.json.encode(mark) + b"\n")
    except OSError as error:
        raise unwritable(root, error) from error


def remove_mark(root: Path, path: str) -> None:
    """Take back what was said of an event. Raises SinkError."""
    try:
        confined.unlink(root, f"{path}{MARK}")
    except OSError as error:
        raise unwritable(root, error) from error


def read_mark(root: Path, path: str) -> Mark | None:
    """The mark of an event; None where it has none, or one that is not to be trusted."""
    try:
        with confined.open_file(root, f"{path}{MARK}") as file:
            mark = _MARKS.decode(file.read(_MOST_BYTES))
    except (OSError, msgspec.MsgspecError, ValueError):
        return None
    return mark if mark.label is None or valid_label(mark.label) else None
