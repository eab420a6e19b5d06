"""The last seconds of encoded video, for the part of a clip before its event."""

from __future__ import annotations

from collections import deque

from pi_detector.sinks.recordings.encoder import Shot


class Ring:
    """Keeps the latest shots, from a keyframe on.

    Args:
        span_s: seconds that are kept at least, as far as ``most_bytes`` allows.
        most_bytes: held at most, plus the group of pictures that is being added.
    """

    def __init__(self, span_s: float, most_bytes: int) -> None:
        self._span_ns = round(span_s * 1e9)
        self._most_bytes = most_bytes
        self._groups: deque[list[Shot]] = deque()  # each starts with a keyframe
        self._bytes = 0

    def add(self, shot: Shot) -> None:
        """Add the next shot; forget those that are too old."""
        if shot.keyframe:
            self._groups.append([])
        if not self._groups:  # nothing could show it without its keyframe
            return
        self._groups[-1].append(shot)
        self._bytes += shot.size
        oldest_ns = shot.captured_ns - self._span_ns
        while len(self._groups) > 1 and (
            self._groups[1][0].captured_ns <= oldest_ns or self._bytes > self._most_bytes
        ):
            self._bytes -= sum(old.size for old in self._groups.popleft())

    def since(self, begin_ns: int) -> list[Shot]:
        """All shots from the last keyframe at or before a moment on; all there are, if none is."""
        groups = list(self._groups)
        while len(groups) > 1 and groups[1][0].captured_ns <= begin_ns:
            del groups[0]
        return [shot for group in groups for shot in group]

    def clear(self) -> None:
        """Forget all shots."""
        self._groups.clear()
        self._bytes = 0
