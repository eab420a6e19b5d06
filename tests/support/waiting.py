"""Waiting for something to happen, for as long as a busy machine may take."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_S = 60.0
"""Far more than anything takes: it only ends a test that would wait for ever."""

T = TypeVar("T")


def until(
    condition: Callable[[], T], what: Callable[[], object] = str, *, interval_s: float = 0.01
) -> T:
    """What a condition gives as soon as that is true.

    Args:
        condition: asked again and again.
        what: what to say where that never comes.
        interval_s: between two questions.
    """
    end_s = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < end_s, what()
        time.sleep(interval_s)
    return value
