"""The labels that were ever seen, over restarts."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import msgspec

from pi_detector.errors import SinkError
from pi_detector.sinks.files import make_folder, write_whole

log = logging.getLogger(__name__)

_MOST_BYTES = 64 * 1024


class SeenLabels:
    """Labels of which there was an event, in a file that is written once for each.

    Args:
        path: the file; one that is damaged counts as empty.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._labels: set[str] = set()
        try:
            with path.open("rb") as file:
                self._labels = msgspec.json.decode(file.read(_MOST_BYTES), type=set[str])
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return  # they are seen again

    def add(self, labels: Iterable[str]) -> bool:
        """Note labels. Returns whether one of them is new."""
        new = set(labels) - self._labels
        if not new:
            return False
        self._labels |= new
        try:
            make_folder(self._path.parent)
            write_whole(self._path, msgspec.json.encode(sorted(self._labels)), mode=0o640)
        except SinkError as error:
            log.warning("mqtt: after a restart labels must be seen again: %s", error)
        return True

    def of(self, labels: Iterable[str]) -> tuple[str, ...]:
        """Those of some labels that were seen, in their order."""
        return tuple(label for label in labels if label in self._labels)
