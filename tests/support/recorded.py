"""A scene that the tests record: frames whose picture tells their number, and an event in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import av
import cv2
import msgspec
import numpy as np

from pi_detector.config.outputs import RecordingSettings
from pi_detector.core.boxes import normalized
from pi_detector.core.frame import Frame
from pi_detector.core.geometry import Detections
from pi_detector.core.records import BestView, EventRecord, FrameSize
from pi_detector.core.result import Result, Timings, View
from pi_detector.sinks.recordings.filters import Filter
from pi_detector.sinks.recordings.index import Index, Row
from pi_detector.sinks.recordings.sink import RecordingSink

START = datetime(2026, 11, 24, 2, 3, 4, 123456, UTC)
DAY = "2026/11/24"
"""Its folder in the recordings."""
START_NS = 10**12
WIDTH, HEIGHT = 160, 120
LABELS = {0: "person", 1: "car"}
BITS = 12
NO_LIMITS = RecordingSettings(
    enabled=True, pre_s=2, post_s=1, max_age_days=0, max_gb=0, min_free_mb=0
)


def drawn(number: int, box: tuple[int, int, int, int] | None = None) -> np.ndarray:
    """A grey picture with its number in black and white stripes at the top, and a red box."""
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    for bit in range(BITS):
        left = bit * WIDTH // BITS
        image[:24, left : left + WIDTH // BITS] = 235 if number >> bit & 1 else 20
    if box is not None:
        cv2.rectangle(image, box[:2], box[2:], (220, 30, 30), cv2.FILLED)
    return image


def number_of(image: np.ndarray) -> int:
    """The number that ``drawn`` put into a picture."""
    height, width = image.shape[:2]
    row = image[height * 12 // 120].mean(axis=1)
    return sum(1 << bit for bit in range(BITS) if row[(2 * bit + 1) * width // (2 * BITS)] > 128)


def shows_object(image: np.ndarray) -> bool:
    """Whether the red box of ``drawn`` is in an RGB picture."""
    pixels = image.astype(int)
    return bool(((pixels[..., 0] - pixels[..., 2]) > 90).sum() > 100)


@dataclass
class Camera:
    """Hands frames and records to a sink, as the pipeline does."""

    sink: RecordingSink
    at_s: float = 0.0
    number: int = 0
    wall: datetime = START
    objects: dict[int, tuple[int, int, int, int]] = field(default_factory=dict)
    scores: dict[int, float] = field(default_factory=dict)
    taken: list[float] = field(default_factory=list)
    begun: dict[str, EventRecord] = field(default_factory=dict)
    told: Counter[str] = field(default_factory=Counter)
    size: tuple[int, int] = (WIDTH, HEIGHT)
    source: str = "demo"

    def frame(self, step_s: float = 0.1, views: tuple[View, ...] = ()) -> None:
        """One frame, ``step_s`` after the last."""
        self.at_s += step_s
        box = next(iter(self.objects.values()), None)
        image = drawn(self.number, box)
        if self.size != (WIDTH, HEIGHT):
            image = cv2.resize(image, self.size, interpolation=cv2.INTER_NEAREST)
        frame = Frame(
            image,
            self.number,
            START_NS + round(self.at_s * 1e9),
            self.wall + timedelta(seconds=self.at_s),
            self.source,
        )
        tracks = list(self.objects)
        found = Detections(
            np.array([self.objects[track] for track in tracks], np.float32).reshape(-1, 4),
            np.array([self.scores.get(track, 0.8) for track in tracks], np.float32),
            np.zeros(len(tracks), np.int64),
            np.array(tracks, np.int64),
        )
        self.taken.append(self.at_s)
        self.number += 1
        self.sink.handle(Result(frame, found, LABELS, Timings(1, 1, 1, 3), views=views))

    def frames(self, seconds: float, step_s: float = 0.1) -> None:
        for _ in range(round(seconds / step_s)):
            self.frame(step_s)

    def tell(
        self, event_id: str, phase: Literal["new", "update", "end"], track: int = 1, **changes: Any
    ) -> EventRecord:
        record = self.record(event_id, phase, track, **changes)
        self.sink.handle(record)
        return record

    def record(
        self, event_id: str, phase: Literal["new", "update", "end"], track: int = 1, **changes: Any
    ) -> EventRecord:
        at = self.wall + timedelta(seconds=self.at_s)
        box = tuple(map(float, self.objects.get(track, (40, 50, 80, 100))))
        record = EventRecord(
            id=event_id,
            revision=self.told[event_id],
            phase=phase,
            label="person",
            class_id=0,
            track_id=track,
            score=0.8,
            hits=1,
            best=BestView(
                sequence=self.number - 1,
                time=at,
                score=0.9,
                box_px=box,  # type: ignore[arg-type]
                box=normalized(box, WIDTH, HEIGHT),
            ),
            source=self.source,
            sequence=self.number - 1,
            time=at,
            started=at,
            last_seen=at,
            clock_synchronized=True,
            monotonic_ns=START_NS + round(self.at_s * 1e9),
            duration_s=0.0,
            frame=FrameSize(WIDTH, HEIGHT),
            box_px=box,  # type: ignore[arg-type]
            box=normalized(box, WIDTH, HEIGHT),
        )
        self.told[event_id] += 1
        first = self.begun.setdefault(event_id, record)
        lasted_s = (record.monotonic_ns - first.monotonic_ns) / 1e9
        since = {"started": first.started, "duration_s": lasted_s}
        return msgspec.structs.replace(record, **{**since, **changes})


def started_sink(folder: Path, **changes: Any) -> RecordingSink:
    sink = RecordingSink(folder, settings(**changes))
    sink.start()
    return sink


def settings(**changes: Any) -> RecordingSettings:
    return msgspec.structs.replace(NO_LIMITS, **changes)


def short_event(
    camera: Camera, event_id: str, track: int = 1, seconds: float = 1.0, **changes: Any
) -> None:
    """An object that appears, stays, and is gone."""
    camera.objects[track] = (40, 50, 80, 100)
    camera.frame()
    camera.tell(event_id, "new", track, **changes)
    camera.frames(seconds - 0.1)
    del camera.objects[track]
    camera.frame()
    camera.tell(event_id, "end", track, **{"reason": "gone", **changes})


def record_many(
    folder: Path, labels: list[str], wall: datetime = START, prefix: str = "e", **changes: object
) -> None:
    """Events without clips, an hour apart."""
    sink = started_sink(folder, **{"clips": False, "snapshots": False, **changes})
    camera = Camera(sink)
    for number, label in enumerate(labels):
        camera.wall = wall + timedelta(hours=number)
        camera.objects[1] = (40, 50, 80, 100)
        camera.frame()
        camera.tell(f"{prefix}{number}", "new", label=label)
        camera.tell(f"{prefix}{number}", "end", label=label, reason="gone")
    sink.close()


def rows(folder: Path, **wanted: Any) -> list[Row]:
    """What the index lists, the latest first."""
    index = Index(folder)
    try:
        return list(index.select(Filter(**wanted)))
    finally:
        index.close()


def ids(folder: Path) -> list[str]:
    return sorted(row.entry.event.id for row in rows(folder))


@dataclass(frozen=True)
class Played:
    """A clip as a player shows it."""

    numbers: list[int]
    times_s: list[float]
    with_object: list[bool]


def play(path: Path) -> Played:
    numbers, times, objects = [], [], []
    with av.open(str(path)) as clip:
        for frame in clip.decode(video=0):
            image = frame.to_ndarray(format="rgb24")
            numbers.append(number_of(image))
            objects.append(shows_object(image))
            times.append(float(frame.pts * frame.time_base))
    return Played(numbers, times, objects)


def clips(row: Row) -> list[str]:
    return [media.path for media in row.entry.files if media.kind == "clip"]


def everything(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(folder))
