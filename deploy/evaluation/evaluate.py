"""Accuracy of a model through the detector that the device runs."""

from __future__ import annotations

import logging
from pathlib import Path

from deploy.data.dataset import DatasetError, load_coco, read_photo
from deploy.evaluation.metrics import Metrics, measure
from deploy.progress import progress
from pi_detector.config.settings import ModelSettings
from pi_detector.detector.bundle import load_model
from pi_detector.detector.detector import Detector

log = logging.getLogger(__name__)

LOWEST_SCORE = 0.01
"""Average precision needs the tail of the scores, below any threshold that a user would set."""


def detect_photos(model: ModelSettings, annotations: Path, images: Path) -> list[dict]:
    """Detections on every photo of a data set, as COCO results; classes are matched by name.

    Raises:
        DatasetError: the model and the data set have no class in common, or annotations or photos
            are missing.
    """
    dataset = load_coco(annotations, images)
    ids = {c.name: c.id for c in dataset.categories}
    bundle = load_model(model)
    detector = Detector(bundle, min_score=LOWEST_SCORE)
    known = set(detector.labels.values())
    if not set(ids) & known:
        raise DatasetError(f"{annotations}: has no class of the model ({detector.name})")
    for label in (label for label in ids if label not in known):
        log.warning("%s: does not know the class %r, which counts as 0", detector.name, label)
    results = []
    for photo in progress(dataset.photos, "detecting"):
        image = read_photo(photo.path)
        found = detector.detect(image)
        rows = zip(found.xyxy.tolist(), found.score.tolist(), found.class_id.tolist(), strict=True)
        for (x1, y1, x2, y2), score, class_id in rows:
            label = detector.labels[class_id]
            if label in ids:
                results.append(
                    {
                        "image_id": photo.image_id,
                        "category_id": ids[label],
                        "bbox": [x1, y1, x2 - x1, y2 - y1],
                        "score": score,
                    }
                )
    return results


def shipped_thresholds(model: ModelSettings) -> dict[str, float]:
    """By label, the lowest score of a detection, as the model ships it."""
    return load_model(model).default_scores()


def evaluate(model: ModelSettings, annotations: Path, images: Path) -> Metrics:
    """Metrics of a model on a data set."""
    return measure(annotations, detect_photos(model, annotations, images))


def table(metrics: dict[str, Metrics]) -> str:
    """A Markdown table of average precisions, one column a model."""
    rows = ["| | " + " | ".join(metrics) + " |", "|---|" + "---:|" * len(metrics)]

    def row(name: str, values: list[float | None]) -> None:
        cells = ["-" if v is None else f"{v:.3f}" for v in values]
        rows.append(f"| {name} | " + " | ".join(cells) + " |")

    columns = list(metrics.values())
    row("mean AP50", [m.ap50 for m in columns])
    row("mean AP (0.50:0.95)", [m.ap for m in columns])
    for label in columns[0].classes:
        row(f"AP50 {label}", [getattr(m.classes.get(label), "ap50", None) for m in columns])
    for size in ("small", "medium", "large"):
        row(f"AP50 {size} objects", [getattr(m, f"ap50_{size}") for m in columns])
        person = [getattr(m.classes.get("person"), f"ap50_{size}", None) for m in columns]
        row(f"AP50 {size} persons", person)
    return "\n".join(rows) + "\n"
