"""Queues of services that no rule has any more: nothing reads them, and no message of them is sent.

They are kept for as long as their messages might still have been sent, so that a setting that was
changed by mistake and back costs nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping
from pathlib import Path

from pi_detector.config.notify import LONGEST_EXPIRY_S
from pi_detector.errors import SinkError
from pi_detector.sinks.mqtt.topics import identifier
from pi_detector.sinks.store import Store

log = logging.getLogger(__name__)

PATTERN = "notify-*.queue"
"""The names of all queues of messages."""


def remove_leftover(
    folder: Path, used: Collection[Path] = (), expire_s: Mapping[str, float] | None = None
) -> None:
    """Delete queues that nothing reads, once all in them is too old; one in use stays.

    Args:
        folder: of the queues.
        used: queues of the rules as they are.
        expire_s: when messages of a rule expire, by its name; of others the longest time counts.
    """
    ages_s = {f"notify-{identifier(rule)}-": age_s for rule, age_s in (expire_s or {}).items()}
    for path in sorted(folder.glob(PATTERN)):
        expired_s = ages_s.get(path.stem[: path.stem.rfind("-") + 1], LONGEST_EXPIRY_S)
        if path not in used and _unused_s(path) > expired_s:
            _remove(path)


def _unused_s(path: Path) -> float:
    """For how long nothing was written to a queue; the newest is in its write-ahead log."""
    times_s = []
    for file in (path, path.with_name(f"{path.name}-wal")):
        try:
            times_s.append(file.stat().st_mtime)
        except OSError:
            continue
    return time.time() - max(times_s, default=time.time())


def _remove(path: Path) -> None:
    store = Store(path, 0, what="messages")
    try:
        store.open_existing()
        number = store.count
        store.discard()
    except SinkError as error:  # of another process, or not ours to delete
        log.debug("notify: %s", error)
        return
    finally:
        store.close()
    log.warning(
        "notify: %d expired messages for a service that no rule has any more were deleted", number
    )
