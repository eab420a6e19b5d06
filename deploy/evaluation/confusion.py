"""What a detector finds and what it takes for something else, at the thresholds that it ships with.

Average precision looks at all thresholds at once; a user runs the detector at one. Here every
detection at or above its class's threshold is assigned to an annotated object at IoU 0.50: first to
one of its own class, as COCO does it, and what is left to objects of other classes. So the diagonal
of the matrix holds the true positives that precision and recall count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask

from deploy.evaluation.metrics import read_truth

BACKGROUND = "background"
IOU = 0.5


@dataclass(frozen=True)
class Confusion:
    """Counts of objects and detections at fixed thresholds.

    Attributes:
        labels: of the data set, in its order, then ``background``.
        counts: (labels, labels) int64; ``counts[i, j]`` objects of class ``i`` were detected as
            class ``j``. The last column counts objects that were missed, the last row detections
            where nothing is annotated.
        thresholds: by label, the lowest score of a detection that is counted; a label that the
            detector does not know is missing.
    """

    labels: tuple[str, ...]
    counts: NDArray[np.int64]
    thresholds: Mapping[str, float]

    def precision(self, label: str) -> float | None:
        """Share of the detections of a class that are right; None where there are none."""
        index = self.labels.index(label)
        return _share(self.counts[index, index], self.counts[:, index].sum())

    def recall(self, label: str) -> float | None:
        """Share of the objects of a class that are found as such; None where there are none."""
        index = self.labels.index(label)
        return _share(self.counts[index, index], self.counts[index].sum())

    def tables(self) -> dict:
        """As plain tables, for JSON."""
        classes = self.labels[:-1]
        return {
            "iou": IOU,
            "labels": list(self.labels),
            "counts": self.counts.tolist(),
            "classes": {
                label: {
                    "threshold": self.thresholds.get(label),
                    "precision": self.precision(label),
                    "recall": self.recall(label),
                }
                for label in classes
            },
        }

    def markdown(self) -> str:
        """Two Markdown tables: precision and recall by class, and the matrix."""
        rows = ["| | threshold | precision | recall |", "|---|---:|---:|---:|"]
        for label in self.labels[:-1]:
            values = (self.thresholds.get(label), self.precision(label), self.recall(label))
            cells = " | ".join("-" if v is None else f"{v:.2f}" for v in values)
            rows.append(f"| {label} | {cells} |")
        rows += ["", "| object \\ detected as | " + " | ".join(self.labels) + " |"]
        rows.append("|---|" + "---:|" * len(self.labels))
        for label, counts in zip(self.labels, self.counts.tolist(), strict=True):
            rows.append(f"| {label} | " + " | ".join(map(str, counts)) + " |")
        return "\n".join(rows) + "\n"


def false_detections(
    annotations: Path, results: Sequence[Mapping], thresholds: Mapping[str, float]
) -> tuple[int, int]:
    """Detections on photos in which nothing is to be found.

    A detection counts where its class is annotated exhaustively; photos count where at least one
    class is, and where no object is annotated.

    Args:
        annotations: COCO JSON, images with ``labelled``.
        results: COCO results.
        thresholds: by label, the lowest score of a detection.

    Returns:
        Detections, and the photos that they are counted on.
    """
    truth = read_truth(annotations).dataset
    names = {c["id"]: c["name"] for c in truth["categories"]}
    busy = {box["image_id"] for box in truth["annotations"]}
    labelled = {
        image["id"]: set(image.get("labelled", names))
        for image in truth["images"]
        if image["id"] not in busy
    }
    labelled = {number: classes for number, classes in labelled.items() if classes}
    count = sum(
        result["category_id"] in labelled.get(result["image_id"], ())
        and result["score"] >= thresholds.get(names[result["category_id"]], 1.0)
        for result in results
    )
    return count, len(labelled)


def _share(part: int, whole: int) -> float | None:
    return float(part) / float(whole) if whole else None


def confusion(
    annotations: Path, results: Sequence[dict], thresholds: Mapping[str, float]
) -> Confusion:
    """Count objects by what they were detected as.

    A class that is unknown in a photo (not in its ``labelled``) counts there neither as object nor
    as detection. A detection in a crowd annotation (``iscrowd``) of its class is left out too.

    Args:
        annotations: COCO JSON.
        results: COCO results.
        thresholds: by label, the lowest score of a detection. A label of the data set that is not
            listed has no detections.

    Raises:
        DatasetError: the annotation file cannot be used.
    """
    truth = read_truth(annotations)
    categories = truth.loadCats(truth.getCatIds())
    index = {category["id"]: i for i, category in enumerate(categories)}
    labels = (*(category["name"] for category in categories), BACKGROUND)
    lowest = {c["id"]: thresholds.get(c["name"], float("inf")) for c in categories}
    by_photo = defaultdict(list)
    for result in results:
        if result["score"] >= lowest[result["category_id"]]:
            by_photo[result["image_id"]].append(result)
    counts = np.zeros((len(labels), len(labels)), np.int64)
    for photo in truth.dataset["images"]:
        known = set(photo.get("labelled", index))
        objects = [a for a in truth.imgToAnns[photo["id"]] if a["category_id"] in known]
        found = [r for r in by_photo[photo["id"]] if r["category_id"] in known]
        for true, detected in _assign(objects, found):
            counts[index.get(true, -1), index.get(detected, -1)] += 1
    shown = {label: thresholds[label] for label in labels if label in thresholds}
    return Confusion(labels, counts, shown)


def _assign(objects: list[dict], found: list[dict]) -> list[tuple[int | None, int | None]]:
    """Pairs of category ids, (object's, detection's); None stands for the background."""
    crowds = [o for o in objects if o.get("iscrowd")]
    objects = [o for o in objects if not o.get("iscrowd")]
    found = sorted(found, key=lambda r: -r["score"])
    overlap = _overlap(found, objects, crowd=False)
    in_crowd = _overlap(found, crowds, crowd=True)
    free = np.ones(len(objects), bool)
    true_class = np.asarray([o["category_id"] for o in objects], np.int64)
    crowd_class = np.asarray([o["category_id"] for o in crowds], np.int64)
    pairs: list[tuple[int | None, int | None]] = []

    def take(row: int, allowed: NDArray[np.bool_]) -> bool:
        candidates = np.where(allowed & free, overlap[row], 0.0)
        if not candidates.size or candidates.max() < IOU:
            return False
        best = int(candidates.argmax())
        free[best] = False
        pairs.append((int(true_class[best]), found[row]["category_id"]))
        return True

    own_class = (true_class == r["category_id"] for r in found)
    left = [row for row, allowed in enumerate(own_class) if not take(row, allowed)]
    for row in left:
        detected = found[row]["category_id"]
        if (in_crowd[row] * (crowd_class == detected) >= IOU).any():
            continue
        if not take(row, true_class != detected):
            pairs.append((None, detected))
    pairs += [(int(c), None) for c in true_class[free]]
    return pairs


def _overlap(found: list[dict], objects: list[dict], *, crowd: bool) -> NDArray[np.float64]:
    """(found, objects) IoU; against a crowd, the share of the detection that lies in it."""
    if not found or not objects:
        return np.zeros((len(found), len(objects)))
    boxes = [np.asarray([b["bbox"] for b in side], np.float64) for side in (found, objects)]
    return mask.iou(*boxes, [int(crowd)] * len(objects))
