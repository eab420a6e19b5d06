"""Encoded video as a camera sent it, for recording and watching without encoding it again."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Track:
    """A stream of packets that one decoder can decode.

    Attributes:
        codec: ``h264`` or ``hevc``.
        headers: its parameter sets, in the byte stream format (Annex B).
        width: of the frames, in pixels.
        height: of the frames, in pixels.
    """

    codec: str
    headers: bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Packet:
    """An encoded frame, in decoding order.

    Attributes:
        track: of which it is a part.
        data: in the byte stream format (Annex B).
        keyframe: it can be decoded without the packets before it.
        captured_ns: when it is to be decoded, on the clock of ``time.monotonic_ns()``; it increases
            from packet to packet.
        shift_ns: by how much later it is to be shown; not 0 where frames are reordered.
        captured_at: ``captured_ns`` as UTC wall time.
    """

    track: Track
    data: bytes
    keyframe: bool
    captured_ns: int
    shift_ns: int
    captured_at: datetime


TakePacket = Callable[[Packet], None]


class PacketQueue:
    """Packets on their way to one reader. One that is too slow loses all that waits.

    Args:
        most_bytes: that wait at most.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._packets: deque[Packet] = deque()
        self._bytes = 0
        self._in_step = False

    def put(self, packet: Packet) -> None:
        """Add a packet; of a reader that lost some the first one is a keyframe. From any thread."""
        with self._lock:
            if self._bytes + len(packet.data) > self._most_bytes:
                self._packets.clear()
                self._bytes, self._in_step = 0, False
            self._in_step = self._in_step or packet.keyframe
            if self._in_step:
                self._packets.append(packet)
                self._bytes += len(packet.data)

    def take(self) -> list[Packet]:
        """All packets that wait. From any thread."""
        with self._lock:
            packets = list(self._packets)
            self._packets.clear()
            self._bytes = 0
        return packets


class PacketHub:
    """Gives each packet of a run to all who want them."""

    def __init__(self) -> None:
        self._readers: tuple[TakePacket, ...] = ()

    @property
    def wanted(self) -> bool:
        """Whether anybody wants packets."""
        return bool(self._readers)

    def add(self, take: TakePacket) -> None:
        """Give packets to a reader from now on; it must not block."""
        self._readers = (*self._readers, take)

    def put(self, packet: Packet) -> None:
        """Give a packet to all."""
        for take in self._readers:
            take(packet)
