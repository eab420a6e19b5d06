"""Pseudo-labels: what a trained detector says of the classes that nobody annotated in a photo.

A class that is unknown in a photo gets the teacher's confident boxes. It counts as annotated there
(so that the rest of the photo is background for it) only if the teacher is sure of every box, and
only for classes where, on photos that people annotated, the teacher seldom overlooks a whole class.
That rate is measured, and printed. The result is a separate annotation file, to be inspected.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from deploy.dataset import read_photo
from deploy.files import write_aside
from pi_detector.config.settings import DetectionSettings, ModelSettings
from pi_detector.core.clock import utc_now
from pi_detector.core.frame import Frame
from pi_detector.core.geometry import pairwise_iou
from pi_detector.detector.bundle import load_model
from pi_detector.detector.detector import Detector

SAME_OBJECT_IOU = 0.5


@dataclass(frozen=True)
class PseudoSettings:
    """Thresholds of the pseudo-labels.

    Attributes:
        sure: a box of at least this score becomes an annotation.
        doubt: a box between this score and ``sure`` leaves its class unknown in the photo.
        max_overlooked: a class is trusted to be absent where the teacher sees none of it if, on
            photos annotated with it, the teacher sees none at most this often. (The share of wrong
            absences is this rate times how often the class occurs in the other photos: small.)
    """

    sure: float = 0.6
    doubt: float = 0.2
    max_overlooked: float = 0.3


class Teacher:
    """Trained detectors, asked together: any model that the device runs.

    Where two of them find the same object of a class, the surer one's box stands.
    """

    def __init__(self, models: Sequence[ModelSettings]) -> None:
        settings = DetectionSettings(min_score=0.05)
        self.detectors = [Detector(load_model(m), m, settings) for m in models]
        self.names = [detector.name for detector in self.detectors]

    def __call__(self, image: np.ndarray) -> list[tuple[str, float, list[float]]]:
        """Label, score and ``x, y, width, height`` in pixels of each detection, best first."""
        frame = Frame(image, 0, time.monotonic_ns(), utc_now(), "teacher")
        found: list[tuple[str, float, np.ndarray]] = []
        for detector in self.detectors:
            result, _, _ = detector.detect(detector.prepare(frame))
            labels = [detector.labels[number] for number in result.class_id.tolist()]
            found += zip(labels, result.score.tolist(), result.xyxy, strict=True)
        kept: list[tuple[str, float, np.ndarray]] = []
        for label, score, box in sorted(found, key=lambda f: -f[1]):
            rivals = [b for other, _, b in kept if other == label]
            if not rivals or pairwise_iou(box[None], np.stack(rivals)).max() < SAME_OBJECT_IOU:
                kept.append((label, score, box))
        return [
            (label, score, [round(float(v), 1) for v in (*box[:2], *(box[2:] - box[:2]))])
            for label, score, box in kept
        ]


def pseudo_label(
    annotations: Path, images: Path, teacher: Teacher, out: Path, settings: PseudoSettings
) -> dict[str, dict[str, float]]:
    """Write ``out``: the annotations with the teacher's added (marked by ``pseudo``, the score).

    Returns:
        By class: ``overlooked`` (the measured rate), boxes added, photos made known.
    """
    content = json.loads(annotations.read_text("utf-8"))
    ids = {c["name"]: c["id"] for c in content["categories"]}
    names = {number: name for name, number in ids.items()}
    truth = defaultdict(set)
    for box in content["annotations"]:
        truth[box["image_id"]].add(box["category_id"])
    found = {
        entry["id"]: [
            (ids[label], score, box)
            for label, score, box in teacher(read_photo(images / entry["file_name"]))
            if label in ids and score >= settings.doubt
        ]
        for entry in tqdm(content["images"], "teacher", disable=None)
    }
    rates = {number: _overlooked(content, truth, found, number) for number in names}
    report = {
        name: {"overlooked": round(rates[number], 3), "boxes": 0, "photos": 0}
        for name, number in ids.items()
    }
    content.setdefault("info", {})["pseudo_labels_of"] = teacher.names
    next_id = max((b["id"] for b in content["annotations"]), default=0) + 1
    for entry in content["images"]:
        for number in sorted(set(names) - set(entry.get("labelled", names))):
            boxes = [(s, b) for c, s, b in found[entry["id"]] if c == number]
            for score, (x, y, width, height) in boxes:
                if score < settings.sure:
                    continue
                content["annotations"].append(
                    {
                        "id": next_id,
                        "image_id": entry["id"],
                        "category_id": number,
                        "bbox": [x, y, width, height],
                        "area": round(width * height, 1),
                        "iscrowd": 0,
                        "pseudo": round(score, 3),
                    }
                )
                next_id += 1
                report[names[number]]["boxes"] += 1
            sure = all(score >= settings.sure for score, _ in boxes)
            if sure and rates[number] <= settings.max_overlooked:
                entry["labelled"] = sorted([*entry["labelled"], number])
                report[names[number]]["photos"] += 1
    data = json.dumps(content).encode()
    write_aside(out, lambda file: file.write(data))
    return report


def _overlooked(content: dict, truth: dict, found: dict, number: int) -> float:
    """Share of the photos with an annotated object of the class in which the teacher sees none."""
    photos = [e["id"] for e in content["images"] if number in truth[e["id"]]]
    missed = [i for i in photos if all(c != number for c, _, _ in found[i])]
    return len(missed) / max(1, len(photos))
