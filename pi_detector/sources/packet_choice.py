"""Decodes of a live stream no more packets than its reader needs.

Measured on a 1920x1080 stream, decoding is most of what a network camera costs. Frames beyond the
rate that is asked for must be decoded where others refer to them, and only then.
"""

from __future__ import annotations

import logging
from typing import Any

from pi_detector.sources.frames_av import AV_ERRORS, rate_of
from pi_detector.util.rate_limit import Pace

log = logging.getLogger(__name__)

_NS = 1_000_000_000
_USUAL_FPS = 25.0
# Of packets that wait for the end of a rest: a camera's group of pictures has a few MiB.
_MOST_BYTES = 32 * 1024 * 1024
_EVERY_FRAME, _WITHOUT_NONREF = "DEFAULT", "NONREF"


class StreamDecoder:
    """The decoder of a stream, which skips what nobody needs.

    - Frames to which no other refers, where at most half of all are wanted.
    - All but keyframes, where those come often enough: for the rate, or for a still scene. The
      packets in between wait, so that decoding continues at once when the rest is over.
    - Of formats without references (MJPEG), all that are not due.

    Args:
        stream: PyAV's video stream.
        longest_gap_s: keyframes that are further apart are not waited for.

    Attributes:
        still: nothing moves, and keyframes suffice. May be set from any thread.
        resting: the last packet was not decoded, and need not be.
    """

    def __init__(self, stream: Any, longest_gap_s: float) -> None:
        self.still = False
        self.resting = False
        self._context = stream.codec_context
        # Several threads hold back a frame each, so that frames are late; and the cores are the
        # interpreter's.
        self._context.thread_count = 1
        self._intra_only = bool(self._context.codec.intra_only)
        self._fps = rate_of(stream) or _USUAL_FPS
        self._longest_gap_ns = round(longest_gap_s * _NS)
        self._keyframe_ns: int | None = None
        self._gap_ns: int | None = None
        self._waiting: list[Any] = []
        self._waiting_bytes = 0
        self._skips = _EVERY_FRAME

    def decode(self, packet: Any, captured_ns: int, pace: Pace) -> Any | None:
        """The newest frame that the next packet brings, if it brings one.

        Args:
            packet: of PyAV.
            captured_ns: when it arrived, monotonic.
            pace: of the frames that are wanted.
        """
        is_keyframe = bool(packet.is_keyframe)
        if is_keyframe:
            self._note_keyframe(captured_ns)
        is_due = pace.is_due(captured_ns)
        if self._intra_only:
            self.resting = not is_due
            return None if self.resting else self._newest([packet])
        self.resting = self._may_rest(captured_ns, pace)
        if not self.resting:
            waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
            self._skip(_WITHOUT_NONREF if self._is_fast(pace) else _EVERY_FRAME)
            return self._newest([*waiting, packet])
        if is_keyframe:
            self._waiting, self._waiting_bytes = [], 0
        self._waiting.append(packet)
        self._waiting_bytes += packet.size
        return self._alone(packet) if is_keyframe and is_due else None

    def _note_keyframe(self, captured_ns: int) -> None:
        if self._keyframe_ns is not None:
            self._gap_ns = captured_ns - self._keyframe_ns
        self._keyframe_ns = captured_ns

    def _may_rest(self, captured_ns: int, pace: Pace) -> bool:
        if self._keyframe_ns is None or self._gap_ns is None:
            return False
        gap_ns = max(self._gap_ns, captured_ns - self._keyframe_ns)
        rate_fps = pace.rate_fps
        suffice = self.still or (rate_fps is not None and gap_ns * rate_fps <= _NS)
        return suffice and gap_ns <= self._longest_gap_ns and self._waiting_bytes < _MOST_BYTES

    def _is_fast(self, pace: Pace) -> bool:
        return pace.rate_fps is not None and self._fps >= 2 * pace.rate_fps

    def _skip(self, what: str) -> None:
        if what != self._skips:
            self._context.skip_frame = self._skips = what

    def _alone(self, packet: Any) -> Any | None:
        """The frame of a keyframe, for which the decoder does not wait for those that follow."""
        self._context.flush_buffers()
        self._skip(_EVERY_FRAME)
        frame = self._newest([packet, None])
        self._context.flush_buffers()
        return frame

    def _newest(self, packets: list[Any | None]) -> Any | None:
        frames: list[Any] = []
        for packet in packets:
            try:
                frames = self._context.decode(packet) or frames
            except AV_ERRORS as error:
                log.debug("skipped a packet: %s", error)
        return frames[-1] if frames else None
