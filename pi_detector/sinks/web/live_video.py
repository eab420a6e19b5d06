"""The camera's own video for other programs: MPEG-TS over HTTP, from packets that are not encoded.

A viewer begins at the last keyframe and is given each packet once. One that is too slow loses all
up to another keyframe; the thread that reads the camera never waits.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable

from pi_detector.config.outputs import WebSettings
from pi_detector.core.packets import Packet, PacketQueue, Track
from pi_detector.sinks.recordings.encoder import shot_of
from pi_detector.sinks.recordings.muxer import Muxer
from pi_detector.sinks.web.bell import Bell

MEDIA_TYPE = "video/mp2t"
_POLL_S = 0.05
_WAITING_BYTES = 16 * 1024 * 1024


class LiveVideo:
    """Holds the packets since the last keyframe, and gives them to viewers.

    Args:
        may_show: whether packets may be shown as the camera sends them, now: not beneath masks.

    Attributes:
        viewers: number of current viewers.
    """

    def __init__(self, may_show: Callable[[], bool]) -> None:
        self.viewers = 0
        self._may_show = may_show
        self._lock = threading.Lock()
        self._group: list[Packet] = []
        self._group_bytes = 0
        self._queues: list[PacketQueue] = []

    @property
    def available(self) -> bool:
        """Whether there is video that may be shown."""
        return bool(self._group) and self._may_show()

    def take(self, packet: Packet) -> None:
        """Take the next packet of the camera. Never blocks for long."""
        with self._lock:
            if packet.keyframe or self._group_bytes > _WAITING_BYTES:
                self._group, self._group_bytes = [], 0
            if packet.keyframe or self._group:
                self._group.append(packet)
                self._group_bytes += len(packet.data)
            for queue in self._queues:
                queue.put(packet)

    def join(self, web: WebSettings) -> PacketQueue | None:
        """Begin to view; None where too many do already."""
        queue = PacketQueue(_WAITING_BYTES)
        with self._lock:
            if self.viewers >= web.max_viewers:
                return None
            self.viewers += 1
            for packet in self._group:
                queue.put(packet)
            self._queues.append(queue)
        return queue

    def leave(self, queue: PacketQueue) -> None:
        """View no longer."""
        with self._lock:
            self.viewers -= 1
            self._queues.remove(queue)

    async def stream(self, queue: PacketQueue, bell: Bell) -> AsyncIterator[bytes]:
        """The bytes of an MPEG transport stream, until the camera's format changes.

        Args:
            queue: of ``join``.
            bell: of the server, which closes.
        """
        track: Track | None = None
        muxer: Muxer | None = None
        while not bell.closing and self._may_show():
            for packet in queue.take():
                if muxer is None:
                    track = packet.track
                    size = (track.width, track.height)
                    muxer = Muxer(track.headers, track.codec, size, container="mpegts")
                if packet.track != track:
                    return  # the player connects again
                yield muxer.add(shot_of(packet))
                await asyncio.sleep(0)  # a viewer who left is noticed in between
            yield b""
            await asyncio.sleep(_POLL_S)
