"""A scene of boxes that walk, for tests of the event stage."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np

from pi_detector.config.settings import Settings
from pi_detector.core.frame import Frame
from pi_detector.core.geometry import Detections
from pi_detector.core.records import EventRecord
from pi_detector.core.result import Result, Timings
from pi_detector.events.stage import EventStage

LABELS = {1: "person", 3: "car", 6: "bus", 8: "truck"}
PERSON, CAR, BUS, TRUCK = LABELS
WIDTH, HEIGHT = 640, 480
START = datetime(2026, 11, 24, 10, 0, 0, tzinfo=UTC)

Row = tuple[int, float, float, float, float, float]
"""class id, centre x, bottom y, width, height in pixels, score."""


def person(x: float, y: float = 300, score: float = 0.8) -> Row:
    return (PERSON, x, y, 40, 100, score)


def car(x: float, y: float = 400, score: float = 0.8, kind: int = CAR) -> Row:
    return (kind, x, y, 160, 90, score)


def detections(rows: Sequence[Row]) -> Detections:
    rows = sorted(rows, key=lambda row: -row[5])
    table = np.array(rows, np.float64).reshape(-1, 6)
    kind, x, y, width, height, score = table.T
    xyxy = np.stack([x - width / 2, y - height, x + width / 2, y], axis=1)
    limits = [WIDTH, HEIGHT] * 2
    return Detections(
        np.clip(xyxy, 0, limits).astype(np.float32),
        score.astype(np.float32),
        kind.astype(np.int64),
    )


class Scene:
    """Feeds a stage. Each step is a frame; the clocks go on by ``dt_s``."""

    def __init__(self, fps: float = 10, **tree: Any) -> None:
        self.settings = msgspec.convert(tree, Settings)
        self.stage = EventStage(
            self.settings,
            LABELS,
            dict.fromkeys(LABELS, 0.5),
            run_token="token",
            synchronized=lambda: True,
        )
        self.dt_s = 1 / fps
        self.ns = 1_000_000_000
        self.at = START
        self.records: list[EventRecord] = []
        self.results: list[Result] = []
        self._sequence = itertools.count()
        self._image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)

    def step(self, *rows: Row, inferred: bool = True, dt_s: float | None = None) -> Result:
        frame = Frame(self._image, next(self._sequence), self.ns, self.at, "camera")
        raw = Result(frame, detections(rows), LABELS, Timings(0, 0, 0, 0), inferred=inferred)
        result, records = self.stage.process(raw)
        self.results.append(result)
        self.records += records
        dt = timedelta(seconds=self.dt_s if dt_s is None else dt_s)
        self.ns += round(dt.total_seconds() * 1e9)
        self.at += dt
        return result

    def steps(self, seconds: float, *rows: Row, inferred: bool = True) -> None:
        for _ in range(round(seconds / self.dt_s)):
            self.step(*rows, inferred=inferred)

    def walk(self, seconds: float, start: float, end: float, y: float = 300) -> None:
        for x in np.linspace(start, end, round(seconds / self.dt_s)):
            self.step(person(x, y))

    def phases(self, event_id: str | None = None) -> list[str]:
        return [r.phase for r in self.records if event_id in (None, r.id)]

    def of(self, phase: str) -> list[EventRecord]:
        return [record for record in self.records if record.phase == phase]

    def interrupt(self, reason: Any) -> list[EventRecord]:
        records = self.stage.interrupt(reason, self.ns, self.at)
        self.records += records
        return records


def linear(start: float, end: float, count: int) -> Iterator[float]:
    return iter(np.linspace(start, end, count).tolist())
