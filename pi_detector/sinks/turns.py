"""Mutual exclusion, for two sinks that overlap during a reload."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence

_TICK_S = 0.05

_locks: dict[Hashable, threading.Lock] = {}
_waiting: Counter[Hashable] = Counter()


@contextlib.contextmanager
def turn(names: Sequence[Hashable], closing: threading.Event) -> Iterator[bool]:
    """Wait for one's turn for all of these names; False where the end came first."""
    with contextlib.ExitStack() as held:
        yield all(_taken(name, closing, held) for name in names)


def is_wanted(name: Hashable) -> bool:
    """Whether a thread waits for this name."""
    return _waiting[name] > 0


def _taken(name: Hashable, closing: threading.Event, held: contextlib.ExitStack) -> bool:
    lock = _locks.setdefault(name, threading.Lock())
    _waiting[name] += 1
    try:
        while not closing.is_set():
            if lock.acquire(timeout=_TICK_S):
                held.callback(lock.release)
                return True
        return False
    finally:
        _waiting[name] -= 1
