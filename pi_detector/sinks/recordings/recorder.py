"""Turns frames or packets into clips: each frame is encoded once for all its events, or copied.

The packets of the last seconds wait in memory. A clip begins with those before its event, and
continues while any event holds it; events that overlap share it. Soon after one of them ends, the
clip is cut, so that it can be watched; the others continue in the next clip without a gap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pi_detector.config.outputs import RecordingSettings
from pi_detector.core.frame import Frame
from pi_detector.core.packets import Packet, Track
from pi_detector.errors import SinkError
from pi_detector.sinks.draw import preview
from pi_detector.sinks.recordings.clipfile import ClipFile
from pi_detector.sinks.recordings.encoder import (
    KEYFRAME_INTERVAL_S,
    Encoder,
    Shot,
    make_encoder,
    shot_of,
)
from pi_detector.sinks.recordings.muxer import Muxer
from pi_detector.sinks.recordings.ring import Ring

CONFIRM_S = 3.0
"""An event is published some frames after it began; the ring reaches back this much further."""
LONGEST_WAIT_S = 20.0
"""An event that is over waits so long for a clip that others hold; then that is cut."""
_COPIED_BYTES = 48 * 1024 * 1024  # of a camera's video, whose rate nobody here limits
LONGEST_STILL_S = 5.0
"""Where no frame came for longer, the clip ends: a cut rather than a still picture."""


@dataclass(eq=False)
class Clip:
    """A clip that is recorded, or was.

    Attributes:
        path: relative to the folder of the recordings.
        started_ns: when its first frame was captured, monotonic.
        started_at: the same moment as UTC wall time.
        ended_ns: when its last frame was captured, so far.
        awaited_ns: since when an event that is over waits for it, while others hold it.
        finished: it is closed; ``duration_s`` is known.
        events: keys of the events that it shows.
    """

    path: str
    started_ns: int
    started_at: datetime
    ended_ns: int = 0
    last_interval_ns: int = 0
    awaited_ns: int | None = None
    finished: bool = False
    events: set[str] = field(default_factory=set)

    @property
    def duration_s(self) -> float:
        """From the first frame to the end of the last, which lasts as long as the one before."""
        return round((self.ended_ns - self.started_ns + self.last_interval_ns) / 1e9, 3)


class Recorder:
    """Encodes frames and writes the clips of the events that hold it.

    Args:
        settings: of the recordings.
        root: the folder of the recordings.
        submit: takes a job for the disk, and the bytes that it holds.
        make_room: called before something is written; raises SinkError where there is none.
        next_path: the path, relative to ``root``, of the next clip that starts with an event.
        on_show: called with a clip, and the key of an event that it is going to show, before
            anything of it is written.
        on_done: called with a clip that is finished, after its last job.
    """

    def __init__(
        self,
        settings: RecordingSettings,
        root: Path,
        *,
        submit: Callable[[Callable[[], None], int], None],
        make_room: Callable[[], None],
        next_path: Callable[[str], str],
        on_show: Callable[[Clip, str], None],
        on_done: Callable[[Clip], None],
    ) -> None:
        self._settings = settings
        self._root = root
        self._submit = submit
        self._make_room = make_room
        self._next_path = next_path
        self._on_show = on_show
        self._on_done = on_done
        self._interval_ns = round(1e9 / settings.fps)
        span_s = settings.pre_s + CONFIRM_S
        # Twice what the encoder's limit allows over the span and one group of pictures.
        most_bytes = round(2 * settings.max_kbps * 125 * (span_s + KEYFRAME_INTERVAL_S))
        self._ring = Ring(span_s, max(most_bytes, _COPIED_BYTES))
        self._encoder: Encoder | None = None
        self._track: Track | None = None
        self._due_ns: int | None = None
        self._holds: dict[str, int] = {}
        self._clip: Clip | None = None
        self._previous: Clip | None = None
        self._muxer: Muxer | None = None
        self._file: ClipFile | None = None
        self.paused = False

    def see(self, frame: Frame) -> None:
        """Take a frame, unless it comes too soon after the one before. Raises SinkError."""
        at_ns, half_ns = frame.captured_ns, self._interval_ns // 2
        if self._due_ns is not None:
            if at_ns < self._due_ns - half_ns:
                return
            self._due_ns = max(self._due_ns + self._interval_ns, at_ns + half_ns + 1)
        else:
            self._due_ns = at_ns + self._interval_ns
        image = preview(frame.image, self._settings.width)
        size = (image.shape[1], image.shape[0])
        try:
            if self._encoder is None or self._encoder.size != size or self._track:
                self._renew(size)
            assert self._encoder is not None
            for shot in self._encoder.encode(frame, image):
                self._take(shot)
        except Exception:
            self._encoder = None  # the next frame gets a new one
            self._ring.clear()
            with suppress(Exception):  # the error that led here is the one to tell
                self.finish()
            raise

    def copy(self, packet: Packet) -> None:
        """Take a packet as it is, instead of frames. Raises SinkError."""
        try:
            if packet.track != self._track:
                self._change()
                self._track = packet.track
            self._take(shot_of(packet))
        except Exception:
            self._track = None
            self._ring.clear()
            with suppress(Exception):  # the error that led here is the one to report
                self.finish()
            raise

    def hold(self, key: str, begin_ns: int, until_ns: int) -> None:
        """Record for an event.

        Args:
            key: of the event.
            begin_ns: the clip is to show what was seen from here on, as far back as there is.
            until_ns: it is released then, at the latest.
        """
        self._holds[key] = until_ns
        if self._clip is None:
            shots = self._ring.since(begin_ns)
            if shots and not self.paused:
                self._begin(shots)
            return
        earlier = self._previous
        if earlier is not None and earlier.ended_ns > begin_ns and self._clip.started_ns > begin_ns:
            self._show(earlier, key)
        self._show(self._clip, key)

    def release(self, key: str, until_ns: int) -> None:
        """Record for an event until then, and no longer; at most as long as it was to be held."""
        if key in self._holds:
            self._holds[key] = min(self._holds[key], until_ns)

    def expire(self, now_ns: int) -> None:
        """Finish the clip that no event holds any more."""
        held = {key: until for key, until in self._holds.items() if until >= now_ns}
        if (
            self._clip is not None
            and self._clip.awaited_ns is None
            and len(held) < len(self._holds)
        ):
            self._clip.awaited_ns = now_ns
        self._holds = held
        if not self._holds:
            self.finish()

    def forget(self, key: str) -> None:
        """Record no longer for an event."""
        self._holds.pop(key, None)

    def finish(self) -> None:
        """Finish the clip. Events that hold on are recorded further with the next keyframe."""
        finished = self._detach()
        if finished is not None:
            self._on_done(finished)

    def close(self) -> None:
        """Take what the encoder still keeps, and finish the clip. Raises SinkError."""
        try:
            self._flush()
        finally:
            self._holds.clear()
            self.finish()

    def _renew(self, size: tuple[int, int]) -> None:
        """An encoder for frames of another size; a clip has frames of one size."""
        self._change()
        self._track = None
        settings = self._settings
        self._encoder = make_encoder(settings.encoder, size, settings.fps, settings.max_kbps)

    def _change(self) -> None:
        """Finish what cannot be in one clip with what follows."""
        self._flush()
        self.finish()
        self._ring.clear()
        self._previous = None

    def _flush(self) -> None:
        if self._encoder is not None:
            for shot in self._encoder.flush():
                self._take(shot)
        self._encoder = None

    def _take(self, shot: Shot) -> None:
        self._ring.add(shot)
        self.expire(shot.captured_ns)
        finished = self._detach() if self._is_due(shot) else None
        if self._clip is not None:
            self._add([shot])
        elif self._holds and shot.keyframe and not self.paused:
            self._begin([shot])
        # After the next clip has begun, so that an event that is in both is not taken to be over.
        if finished is not None:
            self._on_done(finished)

    def _is_due(self, shot: Shot) -> bool:
        """Whether the clip ends before this shot: for its length, a gap, or who waits for it."""
        clip = self._clip
        if clip is None:
            return False
        still_s = (shot.captured_ns - clip.ended_ns) / 1e9
        length_s = (shot.captured_ns - clip.started_ns) / 1e9
        waited_s = 0.0 if clip.awaited_ns is None else (shot.captured_ns - clip.awaited_ns) / 1e9
        long = length_s >= self._settings.longest_clip_s or waited_s >= LONGEST_WAIT_S
        return (shot.keyframe and long) or still_s > LONGEST_STILL_S

    def _begin(self, shots: Sequence[Shot]) -> None:
        """Begin a clip, named after the event that has held on for longest."""
        path = self._next_path(next(iter(self._holds)))
        first = shots[0]
        self._muxer, self._file = self._make_muxer(), ClipFile(self._root / path)
        self._clip = Clip(path, first.captured_ns, first.captured_at, first.captured_ns)
        for key in self._holds:
            self._show(self._clip, key)
        self._add(shots)

    def _make_muxer(self) -> Muxer:
        track = self._track
        if track is not None:
            return Muxer(track.headers, track.codec, (track.width, track.height))
        assert self._encoder is not None
        return Muxer(self._encoder.headers)

    def _detach(self) -> Clip | None:
        """Hand the end of the clip to the disk."""
        if self._clip is None:
            return None
        clip, muxer, file = self._clip, self._muxer, self._file
        assert muxer is not None
        assert file is not None
        self._clip = self._muxer = self._file = None
        self._previous = clip
        clip.finished = True
        try:
            self._write(file, muxer.finish())
        finally:
            self._submit(file.finish, 0)
        return clip

    def _show(self, clip: Clip, key: str) -> None:
        clip.events.add(key)
        self._on_show(clip, key)

    def _add(self, shots: Sequence[Shot]) -> None:
        assert self._clip is not None
        assert self._muxer is not None
        assert self._file is not None
        for shot in shots:
            if shot.captured_ns > self._clip.ended_ns:
                self._clip.last_interval_ns = shot.captured_ns - self._clip.ended_ns
            self._clip.ended_ns = shot.captured_ns
        data = b"".join(map(self._muxer.add, shots))
        if data:
            self._write(self._file, data)

    def _write(self, file: ClipFile, data: bytes) -> None:
        def write() -> None:
            try:
                self._make_room()
            except SinkError:
                with suppress(SinkError):  # the error that led here is the one to tell
                    file.give_up()
                raise
            file.write(data)

        self._submit(write, len(data))
