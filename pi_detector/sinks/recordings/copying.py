"""Decides whether clips are copied from a camera's packets, or encoded from frames."""

from __future__ import annotations

from collections.abc import Callable

from pi_detector.core.packets import Packet, PacketQueue

_QUEUE_BYTES = 64 * 1024 * 1024
# The camera's stream is gone, or none that can be copied: frames are encoded then.
_MISSED_NS = 10_000_000_000
# A stream is joined between two keyframes, and copied from the next one on.
_FIRST_NS = 4_000_000_000
_CODECS = {"auto": frozenset({"h264"}), "on": frozenset({"h264", "hevc"})}


class Copying:
    """The packets for clips, where there are any.

    Args:
        wanted: the setting ``recording.copy``: ``auto`` or ``on``.
        may_copy: whether packets may be recorded as they are, now: not beneath privacy masks.

    Attributes:
        queue: takes the packets of the source.
    """

    def __init__(self, wanted: str, may_copy: Callable[[], bool]) -> None:
        self.queue = PacketQueue(_QUEUE_BYTES)
        self._codecs = _CODECS[wanted]
        self._may_copy = may_copy
        self._first_ns: int | None = None
        self._last_ns: int | None = None

    def take(self, now_ns: int) -> list[Packet] | None:
        """The packets since the last call; None where frames are to be encoded instead.

        Args:
            now_ns: when the newest frame was captured, monotonic.
        """
        packets = [each for each in self.queue.take() if each.track.codec in self._codecs]
        if packets:
            self._last_ns = packets[-1].captured_ns
        if self._first_ns is None:
            self._first_ns = now_ns
        if self._last_ns is None:
            is_gone = now_ns - self._first_ns > _FIRST_NS
        else:
            is_gone = now_ns - self._last_ns > _MISSED_NS
        return None if is_gone or not self._may_copy() else packets
