"""Progress and remaining time of long steps: a bar on a terminal, else a line from time to time."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")

EVERY_S = 30.0
"""Seconds between two lines, where there is no terminal."""

log = logging.getLogger(__name__)


def progress(items: Iterable[T], text: str, total: int | None = None) -> Iterator[T]:
    """Go through items, and show how far it has come.

    Args:
        items: to go through.
        text: what is done with them.
        total: how many there are, where ``items`` does not know.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    shown = Progress(text, total)
    for done, item in enumerate(items):
        shown.reached(done)
        yield item
    shown.close()


class Progress:
    """How far a long step has come: a bar, or lines in the log, at most one each ``EVERY_S``.

    Args:
        text: what is done.
        total: number of its parts, or None.
        before: parts that were done earlier.
    """

    def __init__(self, text: str, total: int | None, before: int = 0) -> None:
        self.text = text
        self.total = total
        self.before = before
        self.started = self.written = time.monotonic()
        terminal = sys.stderr.isatty()
        self.bar = tqdm(None, text, total, initial=before, mininterval=1) if terminal else None

    def reached(self, done: int, extra: str = "") -> None:
        """Show how many parts are done.

        Args:
            done: parts that are done, with the earlier ones.
            extra: what to write behind it.
        """
        if self.bar is not None:
            self.bar.set_postfix_str(extra, refresh=False)
            self.bar.update(done - self.bar.n)
            return
        now = time.monotonic()
        if now - self.written < EVERY_S:
            return
        self.written = now
        line = f"{self.text}: {done}"
        if self.total:
            line += f" of {self.total}"
            if done > self.before:
                left = (now - self.started) / (done - self.before) * (self.total - done)
                line += f", about {remaining(left)} left"
        log.info("%s", f"{line}{', ' if extra else ''}{extra}")

    def close(self) -> None:
        """End the bar, full where the number of parts is known."""
        if self.bar is not None:
            self.bar.update((self.total or self.bar.n) - self.bar.n)
            self.bar.close()


def remaining(seconds: float) -> str:
    """A time in words.

    >>> remaining(8), remaining(100), remaining(5000)
    ('8 s', '2 min', '1.4 h')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
