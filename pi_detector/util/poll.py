"""Wait for file descriptors, whatever their numbers: select(2) takes none above 1023."""

from __future__ import annotations

import math
import select
from collections.abc import Collection


def ready(
    reading: Collection[int], writing: Collection[int] = (), timeout_s: float | None = None
) -> set[int]:
    """The descriptors on which something can be done, or that have failed.

    Args:
        reading: wait until they can be read.
        writing: wait until they can be written; may be among those of ``reading``.
        timeout_s: at most this long; None waits for ever.
    """
    poller = select.poll()
    for descriptor in {*reading, *writing}:
        wanted = select.POLLIN if descriptor in reading else 0
        poller.register(descriptor, wanted | (select.POLLOUT if descriptor in writing else 0))
    timeout_ms = None if timeout_s is None else math.ceil(max(0.0, timeout_s) * 1000)
    return {descriptor for descriptor, _ in poller.poll(timeout_ms)}
