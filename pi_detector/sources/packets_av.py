"""The packets of a PyAV stream, in one form whatever the container was."""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from itertools import pairwise
from typing import Any

from pi_detector.core.packets import Packet, TakePacket, Track
from pi_detector.sources.frames_av import AV_ERRORS
from pi_detector.sources.framing import Moment

log = logging.getLogger(__name__)

_NS = 1_000_000_000
# Distances of packets, and between a packet's time and its arrival, beyond which times are broken.
_LONGEST_NS = 5 * _NS
_SLOWED = 0.95
_LEAST_STEP_NS = 100_000
_MOST_SHIFT_NS = 5 * _NS
_MOST_HEADERS = 4096
_UNTIMED = 25  # packets without a time, after which a stream counts as one without times
_START = re.compile(rb"\x00\x00\x01(?=[\x00-\xff])")


class PacketMaker:
    """Makes packets of a stream in H.264 or H.265; of others it makes none.

    Args:
        stream: PyAV's video stream.
        take: receives them.
    """

    def __init__(self, stream: Any, take: TakePacket) -> None:
        self._context = stream.codec_context
        self._codec = str(self._context.name)
        self._take = take
        self._times = PacketTimes()
        self._track: Track | None = None
        self._is_unsure = False
        self._untimed = 0
        extradata = bytes(self._context.extradata or b"")
        is_annex_b = not extradata or extradata.startswith((b"\0\0\1", b"\0\0\0\1"))
        self._extradata = extradata if is_annex_b else b""
        self._filter = None if is_annex_b else _to_annex_b(stream, self._codec)

    def put(self, packet: Any, moment: Moment) -> None:
        """Take the next packet of the stream.

        Args:
            packet: of PyAV.
            moment: when it arrived.
        """
        if self._codec not in _PARAMETER_SETS:
            return
        try:
            converted = [packet] if self._filter is None else self._filter.filter(packet)
        except AV_ERRORS as error:
            log.debug("skipped a packet for recording: %s", error)
            return
        for each in converted:
            self._put(each, moment)

    def _put(self, packet: Any, moment: Moment) -> None:
        # The first packet of a stream has often no time, and the one behind it may be its rest.
        dts, pts = packet.dts, packet.pts
        is_unsure, self._is_unsure = self._is_unsure, dts is None and self._untimed < _UNTIMED
        self._untimed += self._is_unsure
        if is_unsure or self._is_unsure:
            return
        data = bytes(packet)
        base = packet.time_base or 0
        said_ns = None if dts is None or not base else round(dts * base * _NS)
        at_ns = self._times.next(said_ns, moment.monotonic_ns)
        shift_ns = 0 if dts is None or pts is None else round((pts - dts) * base * _NS)
        if packet.is_keyframe:
            data = self._with_headers(data)
        if self._track is None:  # nothing could show it
            return
        captured_at = moment.utc + timedelta(microseconds=(at_ns - moment.monotonic_ns) // 1000)
        shift_ns = min(max(0, shift_ns), _MOST_SHIFT_NS)
        keyframe = bool(packet.is_keyframe)
        self._take(Packet(self._track, data, keyframe, at_ns, shift_ns, captured_at))

    def _with_headers(self, data: bytes) -> bytes:
        """A keyframe with its parameter sets, which some cameras send once, at the beginning.

        A viewer who joins later needs them, and so does a file whose header has others.
        """
        headers = parameter_sets(data, self._codec)
        if not headers:
            headers = parameter_sets(self._extradata, self._codec)
            data = headers + data
        track = Track(self._codec, headers, self._context.width, self._context.height)
        if headers and len(headers) <= _MOST_HEADERS and track.width and track.height:
            self._track = track
        return data


class PacketTimes:
    """Times of packets on the clock of this device, which always advance.

    The camera's distances are kept, whenever packets arrive; a camera whose times run ahead of
    arrival is slowed down gently. Where times jump or are missing, arrival counts.
    """

    def __init__(self) -> None:
        self._said_ns: int | None = None
        self._last_ns: int | None = None

    def next(self, said_ns: int | None, arrived_ns: int) -> int:
        """The time of the next packet.

        Args:
            said_ns: what the stream says, or None.
            arrived_ns: when it arrived.
        """
        before, self._said_ns = self._said_ns, said_ns
        last = self._last_ns
        at_ns = arrived_ns
        if last is not None:
            if said_ns is not None and before is not None and 0 < said_ns - before <= _LONGEST_NS:
                distance_ns = said_ns - before
                at_ns = last + distance_ns
                if at_ns > arrived_ns:
                    at_ns = last + round(distance_ns * _SLOWED)
                elif arrived_ns - at_ns > _LONGEST_NS:
                    at_ns = arrived_ns
            at_ns = max(at_ns, last + _LEAST_STEP_NS)
        self._last_ns = at_ns
        return at_ns


# Types of NAL units, by the first byte behind a start code: those of H.264 and H.265 that hold
# parameter sets (ITU-T H.264, table 7-1; H.265, table 7-1).
_PARAMETER_SETS = {
    "h264": lambda first: first & 0x1F in {7, 8, 13},
    "hevc": lambda first: first >> 1 & 0x3F in {32, 33, 34},
}


def parameter_sets(data: bytes, codec: str) -> bytes:
    """The parameter sets at the begin of a packet, in the byte stream format; empty without any."""
    bounds = [*(found.start() for found in _START.finditer(data)), len(data)]
    sets = []
    for begin, end in pairwise(bounds):
        if _PARAMETER_SETS[codec](data[begin + 3]):
            sets.append(b"\0" + data[begin:end].rstrip(b"\0"))
        elif sets:
            break
    return b"".join(sets)


def _to_annex_b(stream: Any, codec: str) -> Any:
    from av.bitstream import BitStreamFilterContext

    return BitStreamFilterContext(f"{codec}_mp4toannexb", stream)
