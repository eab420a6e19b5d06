"""Frames that come in several packets, put together."""

from __future__ import annotations

from typing import Any

import av


class WholePackets:
    """Joins the packets of a frame.

    Servers that repeat parameter sets before each slice (GStreamer's do) have FFmpeg cut a keyframe
    into packets of the same time. Where that was seen, a packet waits for the next one, which shows
    that it is whole; other streams wait for nothing.

    Args:
        intra_only: every packet of the stream is a keyframe.
    """

    def __init__(self, *, intra_only: bool) -> None:
        self._intra_only = intra_only
        self._is_cut = False
        self._last: Any = None

    def take(self, packet: Any) -> list[Any]:
        """The packets that are whole now.

        Args:
            packet: the next one, of PyAV.
        """
        last, self._last = self._last, packet
        same = last is not None and self._are_one(last, packet)
        if not self._is_cut:
            if same:
                self._is_cut, self._last = True, None  # those that were given away remain parts
            return [packet]
        if not same:
            return [] if last is None else [last]
        self._last = _joined(last, packet)
        return []

    def _are_one(self, last: Any, packet: Any) -> bool:
        if self._intra_only or packet.dts is None:
            return False
        # The first packet of a stream has often no time.
        is_first = last.dts is None and last.is_keyframe and packet.is_keyframe
        return bool(packet.dts == last.dts or is_first)


def _joined(first: Any, second: Any) -> Any:
    whole: Any = av.Packet(bytes(first) + bytes(second))
    whole.pts, whole.dts, whole.time_base = second.pts, second.dts, second.time_base
    whole.is_keyframe = first.is_keyframe
    return whole
