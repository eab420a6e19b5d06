"""An event during its recording."""

from __future__ import annotations

from dataclasses import dataclass, field

from pi_detector.core.records import EventRecord, Transition
from pi_detector.sinks.recordings.layout import Entry, Media
from pi_detector.sinks.recordings.recorder import Clip
from pi_detector.sinks.recordings.track import Track
from pi_detector.sinks.recordings.views import Picture

MOST_TRANSITIONS = 100


@dataclass(eq=False)
class TrackedEvent:
    """An event that is ongoing, or whose clip is.

    Attributes:
        record: its latest record.
        number: its number in the order of recording.
        started_ns: when it was first detected, monotonic.
        path: path of its files without their suffixes, relative to the folder of the recordings.
        picture: the best view so far.
        clips: clips that show it.
        named: number of clips named after it.
        ended: no further record will follow.
        interrupted: the recording ended without the end of the event.
        pictures: files of its best view, once it ended.
        track: where the object went.
        transitions: what it did at zones and lines, the earliest first.
    """

    record: EventRecord
    number: int
    started_ns: int
    path: str
    picture: Picture | None = None
    clips: list[Clip] = field(default_factory=list)
    named: int = 0
    ended: bool = False
    interrupted: bool = False
    pictures: tuple[Media, ...] = ()
    track: Track = field(default_factory=Track)
    transitions: list[Transition] = field(default_factory=list)

    def hear(self, record: EventRecord) -> None:
        """Take its latest record."""
        self.record = record
        left = MOST_TRANSITIONS - len(self.transitions)
        self.transitions += record.transitions[:left]

    def entry(self) -> Entry:
        """What is to be written of it now."""
        clips = tuple(
            Media(
                clip.path,
                "clip",
                clip.started_at,
                clip.duration_s if clip.finished else None,
                round(max(0, self.started_ns - clip.started_ns) / 1e9, 3),
            )
            for clip in self.clips
        )
        return Entry(
            event=self.record,
            number=self.number,
            path=self.path,
            files=clips + self.pictures,
            complete=self.complete,
            interrupted=self.interrupted,
            track=self.track.points(),
            transitions=tuple(self.transitions),
        )

    @property
    def complete(self) -> bool:
        """Whether nothing of it is still to come."""
        return self.ended and all(clip.finished for clip in self.clips)
