"""Pseudo-labels: what a trained detector says of the classes that nobody annotated in a photo.

A class that is unknown in a photo gets the teacher's confident boxes as annotations, and its
doubtful ones as boxes to ignore: neither object nor background. The rest of the photo is background
for the class, if the teacher seldom overlooks a whole class on photos that people annotated. Which
scores are confident or doubtful is measured there as well, class by class: how often a box of a
score is right. Both are reported. The result is a separate annotation file, to be inspected.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deploy.data.coco_classes import COCO_IDS
from deploy.data.dataset import DatasetError, read_photo
from deploy.files import write_aside
from deploy.progress import progress
from pi_detector.config.settings import ModelSettings
from pi_detector.core.geometry import pairwise_iou
from pi_detector.detector.bundle import load_model
from pi_detector.detector.detector import Detector

SAME_OBJECT_IOU = 0.5
LOWEST_SCORE = 0.05
BIN = 0.05
"""Scores are judged in bins of this width."""
FEWEST_BOXES = 20
"""A bin with fewer boxes is judged with the one above; a class with fewer objects not at all."""

Found = tuple[int, float, list[float]]
"""Category id, score, and ``x, y, width, height`` in pixels."""


@dataclass(frozen=True)
class PseudoSettings:
    """How sure a teacher must be.

    Attributes:
        sure: score from which boxes of a class become annotations, where it cannot be measured.
        doubt: score from which they are ignored, where it cannot be measured.
        right_sure: share of right boxes from which a score is sure.
        right_doubt: share of right boxes below which a score means background.
        max_overlooked: a class is trusted to be absent where the teacher sees none of it if, on
            photos annotated with it, the teacher sees none at most this often. (The share of wrong
            absences is this rate times how often the class occurs in the other photos: small.)
    """

    sure: float = 0.42
    doubt: float = 0.22
    right_sure: float = 0.6
    right_doubt: float = 0.25
    max_overlooked: float = 0.3


@dataclass(frozen=True)
class Thresholds:
    """Scores from which boxes of a class are annotations, or ignored; and whether measured."""

    sure: float
    doubt: float
    measured: bool


class Teacher:
    """Trained detectors, asked together: any model that the device runs.

    Where two of them find the same object of a class, the surer one's box stands.
    """

    def __init__(self, models: Sequence[ModelSettings]) -> None:
        self.detectors = [Detector(load_model(m), min_score=LOWEST_SCORE) for m in models]
        self.names = [detector.name for detector in self.detectors]

    def __call__(self, image: np.ndarray) -> list[tuple[str, float, list[float]]]:
        """Label, score and ``x, y, width, height`` in pixels of each detection, best first."""
        found: list[tuple[str, float, np.ndarray]] = []
        for detector in self.detectors:
            result = detector.detect(image)
            found += zip(result.label, result.score.tolist(), result.xyxy, strict=True)
        kept: list[tuple[str, float, np.ndarray]] = []
        for label, score, box in sorted(found, key=lambda f: -f[1]):
            rivals = [b for other, _, b in kept if other == label]
            if not rivals or pairwise_iou(box[None], np.stack(rivals)).max() < SAME_OBJECT_IOU:
                kept.append((label, score, box))
        return [
            (label, score, [round(float(v), 1) for v in (*box[:2], *(box[2:] - box[:2]))])
            for label, score, box in kept
        ]


def ask(teacher: Teacher, content: dict, images: Path) -> dict[int, list[Found]]:
    """What a teacher finds in each photo of an annotation file, by image id."""
    ids = {c["name"]: c["id"] for c in content["categories"]}
    return {
        entry["id"]: [
            (ids[label], score, box)
            for label, score, box in teacher(read_photo(images / entry["file_name"]))
            if label in ids
        ]
        for entry in progress(content["images"], "teacher")
    }


def read_detections(path: Path, content: dict) -> dict[int, list[Found]]:
    """Detections in a file: COCO results, or rows of ``id, score, x, y, w, h`` by file name.

    Raises:
        DatasetError: it is neither, or speaks of none of the photos.
    """
    try:
        given = json.loads(path.read_text("utf-8"))
        if isinstance(given, Mapping):
            numbers = {entry["file_name"]: entry["id"] for entry in content["images"]}
            rows = [(numbers.get(name), *row) for name, found in given.items() for row in found]
        else:
            rows = [(r["image_id"], r["category_id"], r["score"], *r["bbox"]) for r in given]
        detections = defaultdict(list)
        known = {entry["id"] for entry in content["images"]}
        for image, category, score, x, y, width, height in rows:
            if image in known:
                detections[image].append((category, score, [x, y, width, height]))
    except (ValueError, TypeError, KeyError) as error:
        raise DatasetError(
            f"{path}: neither COCO results nor boxes by file name ({error})"
        ) from error
    if not detections:
        raise DatasetError(f"{path}: has no detection in the annotated photos; is it theirs?")
    return {number: detections[number] for number in known}


def add_coco_classes(content: dict) -> None:
    """List all classes of COCO as categories, in place; what is new is labelled nowhere."""
    listed = [c["id"] for c in content["categories"]]
    for entry in content["images"]:
        entry.setdefault("labelled", list(listed))
    content["categories"] += [
        {"id": number, "name": name} for name, number in COCO_IDS.items() if number not in listed
    ]


def pseudo_label(
    content: dict, found: Mapping[int, Sequence[Found]], settings: PseudoSettings
) -> dict[str, dict[str, float]]:
    """Add the teacher's boxes to annotations, in place (marked by ``pseudo``, the score).

    Args:
        content: a COCO annotation file.
        found: what the teacher sees, by image id.
        settings: how sure it must be.

    Returns:
        By class: the thresholds, whether they were measured, the rate of ``overlooked``, boxes
        added, photos made known.
    """
    names = {c["id"]: c["name"] for c in content["categories"]}
    truth = defaultdict(list)
    for box in content["annotations"]:
        truth[box["image_id"], box["category_id"]].append(box["bbox"])
    seen = defaultdict(list)
    for image, rows in found.items():
        for category, score, box in rows:
            seen[image, category].append((score, box))
    report = {}
    next_id = max((b["id"] for b in content["annotations"]), default=0) + 1
    for number, name in names.items():
        labelled = [e["id"] for e in content["images"] if number in e.get("labelled", names)]
        limits = _thresholds([(truth[i, number], seen[i, number]) for i in labelled], settings)
        rate = _overlooked([(truth[i, number], seen[i, number]) for i in labelled], limits)
        row = {
            "sure": limits.sure,
            "doubt": limits.doubt,
            "measured": limits.measured,
            "overlooked": round(rate, 3),
            "boxes": 0,
            "ignored": 0,
            "photos": 0,
        }
        unlabelled = set(labelled).symmetric_difference(e["id"] for e in content["images"])
        for entry in content["images"]:
            if entry["id"] not in unlabelled:
                continue
            for score, box in seen[entry["id"], number]:
                if score < limits.doubt:
                    continue
                annotation = _annotation(next_id, entry["id"], number, score, box)
                if score < limits.sure:
                    annotation["ignore"] = 1
                content["annotations"].append(annotation)
                row["ignored" if score < limits.sure else "boxes"] += 1
                next_id += 1
            if rate <= settings.max_overlooked:
                entry["labelled"] = sorted([*entry["labelled"], number])
                row["photos"] += 1
        report[name] = row
    return report


def write_annotations(content: dict, out: Path) -> None:
    """Write an annotation file."""
    data = json.dumps(content).encode()
    write_aside(out, lambda file: file.write(data))


def _annotation(number: int, image: int, category: int, score: float, box: list[float]) -> dict:
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": box,
        "area": round(box[2] * box[3], 1),
        "iscrowd": 0,
        "pseudo": round(score, 3),
    }


Judged = Sequence[tuple[list[list[float]], list[tuple[float, list[float]]]]]
"""For photos: the annotated boxes of a class, and the teacher's with their scores."""


def _thresholds(photos: Judged, settings: PseudoSettings) -> Thresholds:
    """The scores from which a class's boxes are right often enough, on annotated photos."""
    if sum(len(boxes) for boxes, _ in photos) < FEWEST_BOXES:
        return Thresholds(settings.sure, settings.doubt, measured=False)
    scores, right = [], []
    for boxes, rows in photos:
        scores += [score for score, _ in rows]
        right += _matches(boxes, rows)
    bins = np.minimum((np.asarray(scores) / BIN).astype(int), round(1 / BIN) - 1)
    sure = doubt = 1.0
    hits, count = 0, 0
    for number in range(round(1 / BIN) - 1, -1, -1):
        chosen = np.asarray(right, bool)[bins == number]
        hits, count = hits + int(chosen.sum()), count + len(chosen)
        if count < FEWEST_BOXES:
            continue
        share, hits, count = hits / count, 0, 0
        if share < settings.right_doubt:
            break
        doubt = number * BIN
        if share >= settings.right_sure:
            sure = doubt
    if doubt == 1.0:
        return Thresholds(settings.sure, settings.doubt, measured=False)
    return Thresholds(round(max(sure, doubt), 2), round(doubt, 2), measured=True)


def _matches(boxes: list[list[float]], rows: list[tuple[float, list[float]]]) -> list[bool]:
    """Whether each box of the teacher is an annotated object; each object counts once."""
    free = [_corners(box) for box in boxes]
    right = [False] * len(rows)
    for index in sorted(range(len(rows)), key=lambda i: -rows[i][0]):
        if not free:
            break
        overlaps = pairwise_iou(_corners(rows[index][1])[None], np.stack(free))[0]
        if overlaps.max() >= SAME_OBJECT_IOU:
            right[index] = True
            del free[int(overlaps.argmax())]
    return right


def _corners(box: list[float]) -> np.ndarray:
    x, y, width, height = box
    return np.asarray([x, y, x + width, y + height], np.float32)


def _overlooked(photos: Judged, limits: Thresholds) -> float:
    """Share of the photos with an annotated object of a class in which the teacher sees none."""
    missed = [all(score < limits.doubt for score, _ in rows) for boxes, rows in photos if boxes]
    return sum(missed) / max(1, len(missed))
