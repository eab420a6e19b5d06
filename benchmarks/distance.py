"""How far people are detected: the whole frame against several looks at it, on composed scenes.

    python -m benchmarks.distance DATASET [--photos 60] [--model street] [--set KEY=VALUE]

DATASET has ``val.json`` (COCO annotations; each image has ``labelled``, the category ids that are
annotated exhaustively) and the photos in ``val/``. Photos with people are set into scenes of
1280 x 720 pixels at 1/1, 1/2, 1/3 and 1/4 of their size and move by a few pixels from frame to
frame, with the noise of a camera; the background is a photo on which nothing is annotated. Each
scene goes through motion gate, planner, detector and tracker as in a run. After some frames to
settle, every frame counts.

Printed are AP50 of people by their height in pixels, for the whole frame alone and for each budget
of looks; the smallest height at which half of the people are found, at the score that is
published; and false detections per frame at that score.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import msgspec
import numpy as np

from pi_detector.config.load import load_settings
from pi_detector.config.settings import Settings
from pi_detector.core.frame import Frame, ImageArray
from pi_detector.core.geometry import FloatArray, pairwise_iou
from pi_detector.detector.bundle import load_model
from pi_detector.detector.detector import Detector
from pi_detector.pipeline.build import make_detector, make_gate, make_looking, make_stage
from pi_detector.pipeline.inference import InferenceStep
from pi_detector.pipeline.looks import LookBudget

WIDTH, HEIGHT = 1280, 720
PERSON = "person"
DIVISORS = (1, 2, 3, 4)
EDGES = (12, 18, 24, 36, 48, 72, 108, 160, 240)
GOAL = (24, 48)
NOISE = 3.0  # standard deviation in grey levels
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Photo:
    """A photo and its people: (N, 4) xyxy in its pixels."""

    image: ImageArray
    people: FloatArray


@dataclass
class Tally:
    """Detections and people of one way of looking, over all frames."""

    score: list[float] = field(default_factory=list)
    height: list[float] = field(default_factory=list)  # of the detection, or of whom it matched
    right: list[bool] = field(default_factory=list)
    truth: list[float] = field(default_factory=list)  # heights of people
    found: list[bool] = field(default_factory=list)  # at the published score
    frames: int = 0
    looks: int = 0

    def add(self, xyxy: FloatArray, score: FloatArray, people: FloatArray, lowest: float) -> None:
        """Match the detections of a frame, best first, to people by an IoU of 0.5."""
        self.frames += 1
        heights = people[:, 3] - people[:, 1]
        owner = np.full(len(people), -1)
        overlap = pairwise_iou(xyxy, people)
        for row in np.argsort(-score, kind="stable"):
            free = np.where(owner < 0, overlap[row], 0) if len(people) else np.zeros(0)
            hit = int(free.argmax()) if free.size and free.max() >= 0.5 else -1
            if hit >= 0:
                owner[hit] = row
            self.score.append(float(score[row]))
            self.right.append(hit >= 0)
            self.height.append(float(heights[hit] if hit >= 0 else xyxy[row, 3] - xyxy[row, 1]))
        self.truth += heights.tolist()
        self.found += [at >= 0 and score[at] >= lowest for at in owner.tolist()]

    def ap50(self, low: float, high: float) -> float:
        """Average precision of people of these heights: the area under its envelope."""
        total = sum(low <= h < high for h in self.truth)
        height, score = np.array(self.height), np.array(self.score)
        chosen = np.flatnonzero((height >= low) & (height < high))
        chosen = chosen[np.argsort(-score[chosen], kind="stable")]
        right = np.array(self.right, bool)[chosen]
        if not total or not len(right):
            return 0.0
        hits = np.cumsum(right)
        precision = hits / np.arange(1, len(right) + 1)
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        return float(envelope[right].sum() / total)

    def recall(self, low: float, high: float) -> float:
        """The share of people of these heights that are found at the published score."""
        of = [found for h, found in zip(self.truth, self.found, strict=True) if low <= h < high]
        return float(np.mean(of)) if of else float("nan")

    def half_height(self) -> float:
        """The smallest height from which on half of the people are found; by a sliding window."""
        heights, found = np.array(self.truth), np.array(self.found)
        for height in np.geomspace(8, 300, 120):
            of = found[(heights >= height / 1.15) & (heights < height * 1.15)]
            if len(of) >= 20 and of.mean() >= 0.5:
                return float(height)
        return float("nan")

    def false_per_frame(self, lowest: float) -> float:
        """False detections per frame at a score."""
        pairs = zip(self.score, self.right, strict=True)
        return sum(not right and score >= lowest for score, right in pairs) / self.frames


def load(dataset: Path, part: str, seed: int) -> tuple[list[Photo], list[ImageArray]]:
    """Photos with people, and backgrounds; both in an order that the seed decides."""
    table = json.loads((dataset / f"{part}.json").read_text("utf-8"))
    number = next(c["id"] for c in table["categories"] if c["name"] == PERSON)
    of = defaultdict(list)
    for annotation in table["annotations"]:
        of[annotation["image_id"]].append(annotation)
    photos, empty = [], []
    for entry in table["images"]:
        if number not in entry["labelled"]:
            continue
        people = [a for a in of[entry["id"]] if a["category_id"] == number]
        path = dataset / part / entry["file_name"]
        if any(a["iscrowd"] for a in people):
            continue
        if people:
            boxes = np.array([a["bbox"] for a in people], np.float32)
            boxes[:, 2:] += boxes[:, :2]
            photos.append(Photo(_read(path), boxes))
        elif not of[entry["id"]]:
            empty.append(cv2.resize(_read(path), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC))
    order = np.random.default_rng(seed).permutation(len(photos))
    return [photos[i] for i in order], [np.asarray(image, np.uint8) for image in empty]


def _read(path: Path) -> ImageArray:
    image = cv2.imread(str(path))
    if image is None:
        raise SystemExit(f"{path}: cannot be read")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def scene(
    photos: Sequence[Photo], background: ImageArray, divisor: int, frames: int, seed: int
) -> Iterator[tuple[Frame, FloatArray]]:
    """Frames with photos that move over a background, each in a column of its own."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, NOISE, (HEIGHT, WIDTH, 3)).astype(np.int16)
    column = WIDTH // len(photos)
    parts = []
    for index, photo in enumerate(photos):
        height, width = (max(2, round(side / divisor)) for side in photo.image.shape[:2])
        image = cv2.resize(photo.image, (width, height), interpolation=cv2.INTER_AREA)
        step = rng.uniform(1, 4, 2) * rng.choice([-1, 1], 2)
        room = np.array([column - width, HEIGHT - height]) - np.abs(step) * frames
        start = rng.uniform(0, np.maximum(room, 1)) + np.maximum(-step, 0) * frames
        scale = np.array([width / photo.image.shape[1], height / photo.image.shape[0]] * 2)
        parts.append((image, photo.people * scale, start + np.array([index * column, 0]), step))
    for number in range(frames):
        image = background.copy()
        people = []
        for patch, boxes, start, step in parts:
            rows, columns = patch.shape[:2]
            x, y = np.rint(start + step * number).astype(int)
            x, y = int(np.clip(x, 0, WIDTH - columns)), int(np.clip(y, 0, HEIGHT - rows))
            image[y : y + rows, x : x + columns] = patch
            people.append(boxes + np.array([x, y, x, y]))
        shift = tuple(rng.integers(0, (HEIGHT, WIDTH)))
        noisy = np.clip(image + np.roll(noise, shift, axis=(0, 1)), 0, 255).astype(np.uint8)
        at_ns = number * 200_000_000
        at = START + timedelta(seconds=number / 5)
        frame = Frame(noisy, number, at_ns, at, "scene")
        yield frame, np.concatenate(people).astype(np.float32)


def watch(
    frames: Sequence[tuple[Frame, FloatArray]],
    detector: Detector,
    settings: Settings,
    tally: Tally,
    settle: int,
) -> None:
    """Let a scene go through the parts of a run, and count what is found."""
    stage = make_stage(settings, detector)
    looking = make_looking(settings, LookBudget(live=False))
    step = InferenceStep(detector, make_gate(settings), looking=looking)
    person = next(number for number, label in detector.labels.items() if label == PERSON)
    for number, (frame, people) in enumerate(frames):
        result = step.run(frame, busy=stage.busy, tracks=stage.tracked)
        found = result.detections[result.detections.class_id == person]
        if number >= settle:
            tally.add(found.xyxy, found.score, people, detector.min_scores[person])
            tally.looks += max(1, len(result.looks))
        stage.process(result)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dataset", type=Path, metavar="DATASET")
    parser.add_argument("--part", default="val", help="default: val")
    parser.add_argument("--photos", type=int, default=60, help="of each divisor (default: 60)")
    parser.add_argument("--per-scene", type=int, default=1, help="photos a scene (default: 1)")
    parser.add_argument("--frames", type=int, default=10, help="of a scene (default: 10)")
    parser.add_argument("--settle", type=int, default=4, help="frames that do not count")
    parser.add_argument("--budgets", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--model", default="")
    parser.add_argument("--set", action="append", default=["model.threads=1"], metavar="KEY=VALUE")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    arguments = parser.parse_args()
    settings = load_settings(None, {}, [*arguments.set, f"model.path={arguments.model}"])
    photos, backgrounds = load(arguments.dataset, arguments.part, 0)
    # The weakest detections count in average precision, as 'detect --format coco' gives them.
    bundle = load_model(settings.model)
    published = make_detector(settings, bundle).min_scores
    tracking = msgspec.structs.replace(settings.tracking, low_score_share=0.1)
    detector = make_detector(msgspec.structs.replace(settings, tracking=tracking), bundle)
    detector.min_scores = published
    tallies = {budget: Tally() for budget in (0, *arguments.budgets)}
    for divisor in DIVISORS:
        chosen = photos[: arguments.photos]
        for at in range(0, len(chosen), arguments.per_scene):
            frames = list(
                scene(
                    chosen[at : at + arguments.per_scene],
                    backgrounds[at % len(backgrounds)],
                    divisor,
                    arguments.frames,
                    seed=at,
                )
            )
            for budget, tally in tallies.items():
                detection = msgspec.structs.replace(settings.detection, looks=budget)
                run = msgspec.structs.replace(settings, detection=detection)
                watch(frames, detector, run, tally, arguments.settle)
    report(tallies, detector, arguments.json)


def report(tallies: dict[int, Tally], detector: Detector, file: Path | None) -> None:
    """Print the figures, and write them to a file where one is given."""
    lowest = next(detector.min_scores[n] for n, label in detector.labels.items() if label == PERSON)
    spans = [*itertools.pairwise(EDGES), GOAL]
    whole = tallies[0]
    print(f"model {detector.name}, people published from a score of {lowest:g}")
    print(f"{'height, px':>12} {'people':>7}" + "".join(f" {_name(b):>9}" for b in tallies))
    figures: dict[str, object] = {"model": detector.name}
    rows = {}
    for low, high in spans:
        values = [tally.ap50(low, high) for tally in tallies.values()]
        count = sum(low <= h < high for h in whole.truth)
        print(f"{low:>5} to {high:<4} {count:>7}" + "".join(f" {v:9.3f}" for v in values))
        rows[f"{low}-{high}"] = values
    figures["ap50"] = rows
    for title, values in (
        ("half found from, px", [t.half_height() for t in tallies.values()]),
        ("false per frame", [t.false_per_frame(lowest) for t in tallies.values()]),
        ("looks per frame", [t.looks / t.frames for t in tallies.values()]),
    ):
        print(f"{title:>20}" + "".join(f" {v:9.3f}" for v in values))
        figures[title] = values
    if file is not None:
        file.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")


def _name(budget: int) -> str:
    return f"looks {budget}" if budget else "whole"


if __name__ == "__main__":
    main()
