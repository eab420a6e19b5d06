"""The tracker against plain IoU matching, on drawn scenes whose truth is known; and what it costs.

    python benchmarks/tracking.py [--seeds 10]

A scene has persons who walk through the picture at 0.3 to 1.2 of their heights a second, cross,
hide each other and turn; a detector that jitters, misses, gives half hidden ones a low score, and
sees things that are not there. Frames come at a rate, and one in five is dropped where a rate is
marked with "drops". MOTA and IDF1 are those of motmetrics, with an IoU of 0.5 or more as a match.
The plain matcher gives the greatest IoU of last boxes first (at least 0.3) and has the tracker's
patience.

Costs are medians of a frame, with as many objects that move.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import motmetrics
import numpy as np
from numpy.typing import NDArray

from pi_detector.config.events import TrackingSettings
from pi_detector.core.geometry import Detections, pairwise_iou
from pi_detector.events.tracker import Tracker

WIDTH, HEIGHT = 960, 540
SECONDS = 40
HIGH, LOW = 0.4, 0.28
LABELS = {1: "person"}
RATES = [(30, False), (10, False), (10, True), (5, False), (5, True), (2, False)]

Boxes = NDArray[np.float32]


@dataclass(frozen=True)
class Frame:
    """What is there and what a detector says of it."""

    at_s: float
    truth_id: NDArray[np.int64]
    truth: Boxes
    found: Detections


def walkers(rng: np.random.Generator, count: int) -> Callable[[float], Boxes]:
    """Persons who go to and fro: a function of the time that gives their boxes (N, 4)."""
    height = rng.uniform(50, 160, count)
    speed = rng.uniform(0.3, 1.2, count) * height * rng.choice([-1, 1], count)
    start = rng.uniform(0, WIDTH, count)
    bottom = rng.uniform(0.4 * HEIGHT, 0.95 * HEIGHT, count)
    sway, phase = rng.uniform(0, 0.15, count) * height, rng.uniform(0, 6, count)

    def boxes(at_s: float) -> Boxes:
        along = np.mod(start + speed * at_s, 2 * WIDTH)
        x = np.where(along > WIDTH, 2 * WIDTH - along, along)  # turns at the edge
        y = bottom + sway * np.sin(at_s + phase)
        half = 0.2 * height
        return np.stack([x - half, y - height, x + half, y], axis=1).astype(np.float32)

    return boxes


def scene(rng: np.random.Generator, fps: int, drops: bool) -> Iterator[Frame]:
    """The frames of a scene."""
    boxes_at = walkers(rng, 8)
    for number in range(SECONDS * fps):
        if drops and rng.random() < 0.2:
            continue
        at_s = number / fps
        boxes = boxes_at(at_s)
        front = np.argsort(-boxes[:, 3])  # nearest first
        hidden = np.zeros(len(boxes))
        for place, index in enumerate(front):
            for nearer in front[:place]:
                corner = np.minimum(boxes[index, 2:], boxes[nearer, 2:])
                sides = np.maximum(corner - np.maximum(boxes[index, :2], boxes[nearer, :2]), 0)
                area = np.prod(boxes[index, 2:] - boxes[index, :2])
                hidden[index] = max(hidden[index], float(np.prod(sides) / area))
        visible = hidden < 0.7
        score = np.clip(rng.normal(0.7, 0.12, len(boxes)) - 0.55 * hidden, 0, 1)
        seen = visible & (rng.random(len(boxes)) > 0.07) & (score >= LOW)
        size = np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))[:, None]
        jitter = rng.normal(0, 0.04, boxes.shape) * size
        found, scores = (boxes + jitter)[seen], score[seen]
        ghosts = rng.poisson(0.15)
        corner = rng.uniform(0, [WIDTH - 60, HEIGHT - 120], (ghosts, 2))
        false = np.concatenate([corner, corner + np.array([50, 110])], axis=1)
        found = np.concatenate([found, false]).astype(np.float32)
        scores = np.concatenate([scores, rng.uniform(LOW, 0.6, ghosts)]).astype(np.float32)
        best = np.argsort(-scores)
        detections = Detections(found[best], scores[best], np.ones(len(best), np.int64))
        yield Frame(at_s, np.flatnonzero(visible) + 1, boxes[visible], detections)


class PlainMatcher:
    """What one writes first: the greatest overlaps of last boxes with new ones."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._tracks: dict[int, tuple[Boxes, float, int]] = {}
        self._ids = 0

    def update(self, frame: Frame) -> tuple[list[int], Boxes]:
        """Ids and boxes of what it follows and sees."""
        found = frame.found[frame.found.score >= HIGH].xyxy
        ids = list(self._tracks)
        last = np.array([self._tracks[i][0] for i in ids], np.float32).reshape(-1, 4)
        overlap = pairwise_iou(last, found)
        given = np.zeros(len(found), np.int64)
        while overlap.size and overlap.max() >= 0.3:
            track, row = np.unravel_index(int(overlap.argmax()), overlap.shape)
            given[row] = ids[track]
            overlap[track], overlap[:, row] = 0, 0
        for row in range(len(found)):
            if not given[row]:
                self._ids += 1
                given[row] = self._ids
            hits = self._tracks.get(int(given[row]), (found[row], 0.0, 0))[2]
            self._tracks[int(given[row])] = (found[row], frame.at_s, hits + 1)
        self._tracks = {
            i: t for i, t in self._tracks.items() if frame.at_s - t[1] < self._patience_s
        }
        sure = [row for row in range(len(found)) if self._tracks[int(given[row])][2] >= 3]
        return [int(given[row]) for row in sure], found[sure]


class Product:
    """The tracker of the event stage."""

    def __init__(self, settings: TrackingSettings) -> None:
        self._tracker = Tracker(settings, LABELS)

    def update(self, frame: Frame) -> tuple[list[int], Boxes]:
        """Ids and boxes of what it follows and sees."""
        high = np.full(len(frame.found), HIGH, np.float32)
        tracks = self._tracker.update(frame.found, high, round(frame.at_s * 1e9))
        shown = tracks.confirmed & (tracks.row >= 0)
        return tracks.track_id[shown].tolist(), frame.found.xyxy[tracks.row[shown]]


def accumulated(tracker: Product | PlainMatcher, frames: list[Frame]) -> motmetrics.MOTAccumulator:
    """What a tracker made of a scene."""
    accumulator = motmetrics.MOTAccumulator(auto_id=True)
    for frame in frames:
        ids, boxes = tracker.update(frame)
        distance = 1 - pairwise_iou(frame.truth, boxes).astype(np.float64)
        distance[distance > 0.5] = np.nan
        accumulator.update(frame.truth_id.tolist(), ids, distance)
    return accumulator


def quality(seeds: int) -> None:
    """Print MOTA, IDF1 and identity switches of both, by frame rate."""
    settings = TrackingSettings()
    host = motmetrics.metrics.create()
    print(f"{'frames/s':>12} {'':8} {'MOTA':>6} {'IDF1':>6} {'switches':>9} {'tracks':>7}")
    for fps, drops in RATES:
        kept = {"plain": [], "tracker": []}
        tracks = dict.fromkeys(kept, 0)
        for seed in range(seeds):
            frames = list(scene(np.random.default_rng(seed), fps, drops))
            for name, made in (
                ("plain", PlainMatcher(settings.lost_s)),
                ("tracker", Product(settings)),
            ):
                accumulator = accumulated(made, frames)
                kept[name].append(accumulator)
                tracks[name] += accumulator.mot_events.HId.dropna().nunique()
        for name, accumulators in kept.items():
            table = host.compute_many(
                accumulators, metrics=["mota", "idf1", "num_switches"], generate_overall=True
            ).loc["OVERALL"]
            rate = f"{fps}{' drops' if drops else ''}"
            print(
                f"{rate:>12} {name:8} {table.mota:6.3f} {table.idf1:6.3f} "
                f"{int(table.num_switches):9} {tracks[name] / seeds:7.1f}"
            )


def cost(counts: tuple[int, ...] = (1, 10, 100), frames: int = 200) -> None:
    """Print microseconds a frame, by the number of objects."""
    for count in counts:
        rng = np.random.default_rng(count)
        boxes_at = walkers(rng, count)
        tracker = Tracker(TrackingSettings(), LABELS)
        spent = []
        for number in range(frames):
            boxes = boxes_at(number / 10) + rng.normal(0, 1, (count, 4)).astype(np.float32)
            found = Detections(
                boxes.astype(np.float32),
                np.full(count, 0.7, np.float32),
                np.ones(count, np.int64),
            )
            high = np.full(count, HIGH, np.float32)
            started = time.perf_counter()
            tracker.update(found, high, number * 100_000_000)
            spent.append(time.perf_counter() - started)
        print(f"{count:4} objects: {statistics.median(spent[20:]) * 1e6:7.0f} microseconds a frame")


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10, help="scenes for each rate")
    arguments = parser.parse_args()
    quality(arguments.seeds)
    cost()


if __name__ == "__main__":
    main()
