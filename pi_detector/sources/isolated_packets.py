"""Packets on the link from an isolated source's process: cut into messages, and put together."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from pi_detector.core.packets import Packet, TakePacket, Track
from pi_detector.sources.isolated_link import (
    Message,
    PacketBegins,
    PacketPart,
    TrackBegins,
)

_PART_BYTES = 48 * 1024
_LONGEST_PACKET = 32 * 1024 * 1024
_LONGEST_HEADERS = 4096
_LARGEST_SIDE = 16384
_MOST_SHIFT_NS = 10_000_000_000
_CODECS = frozenset({"h264", "hevc"})


class PacketSender:
    """The process's side.

    Args:
        send: sends a message to the parent.
    """

    def __init__(self, send: Callable[[Message], None]) -> None:
        self._send = send
        self._track: Track | None = None

    def put(self, packet: Packet) -> None:
        """Send a packet."""
        track = packet.track
        if track != self._track:
            self._track = track
            self._send(TrackBegins(track.codec, track.headers, track.width, track.height))
        size = len(packet.data)
        times = (packet.captured_ns, packet.shift_ns, packet.captured_at)
        self._send(PacketBegins(size, packet.keyframe, *times))
        for begin in range(0, size, _PART_BYTES):
            self._send(PacketPart(packet.data[begin : begin + _PART_BYTES]))


class PacketReceiver:
    """The parent's side, which believes nothing.

    Args:
        take: receives the packets.
    """

    def __init__(self, take: TakePacket) -> None:
        self._take = take
        self._track: Track | None = None
        self._begun: PacketBegins | None = None
        self._data = bytearray()
        self._last_ns = 0

    def put(self, message: TrackBegins | PacketBegins | PacketPart) -> None:
        """Take a message.

        Raises:
            ValueError: it is not possible here.
        """
        match message:
            case TrackBegins():
                self._track = _track_of(message)
            case PacketBegins(size=size):
                if self._begun is not None or not 0 < size <= _LONGEST_PACKET:
                    raise ValueError("a packet that cannot begin")
                self._begun = message
                self._data.clear()
            case PacketPart(data=data):
                self._add(data)

    def _add(self, data: bytes) -> None:
        begun, track = self._begun, self._track
        if begun is None or track is None or len(self._data) + len(data) > begun.size:
            raise ValueError("a part of no packet")
        self._data += data
        if len(self._data) < begun.size:
            return
        self._begun = None
        shift_ns, at_ns, at = begun.shift_ns, begun.captured_ns, begun.captured_at
        if at_ns <= self._last_ns or not 0 <= shift_ns <= _MOST_SHIFT_NS or not _is_aware(at):
            raise ValueError("a packet out of time")
        self._last_ns = at_ns
        self._take(Packet(track, bytes(self._data), begun.keyframe, at_ns, shift_ns, at))


def _track_of(begins: TrackBegins) -> Track:
    size = (begins.width, begins.height)
    if (
        begins.codec not in _CODECS
        or not 0 < len(begins.headers) <= _LONGEST_HEADERS
        or not all(0 < side <= _LARGEST_SIDE for side in size)
    ):
        raise ValueError("a track that cannot be")
    return Track(begins.codec, begins.headers, *size)


def _is_aware(at: datetime) -> bool:
    return at.tzinfo is not None
