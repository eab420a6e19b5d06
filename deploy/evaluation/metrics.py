"""Detection metrics by pycocotools, with unknown classes left out.

A class is counted only on the photos where it is annotated exhaustively (``labelled``): elsewhere a
detection of it is neither right nor wrong.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from deploy.data.dataset import DatasetError

SCORE_LIMITS = (0.25, 0.40)
"""Of a shipped threshold. The F1 of a class is flat around its best, which a few hundred objects
place by chance; above these limits a camera's unusual view would lose what it should find."""

FEWEST_OBJECTS = 10
"""Of a class: with fewer, a set of photos says nothing about its threshold."""

_IOU_50 = 0
_ALL, _SMALL, _MEDIUM, _LARGE = range(4)
_MAX_DETECTIONS = 2  # index of 100 a photo


@dataclass(frozen=True)
class ClassMetrics:
    """Figures of one class, each in 0..1, or None where nothing is annotated.

    Attributes:
        photos: photos on which the class is annotated.
        objects: annotated objects.
        ap: mean over IoU 0.50 to 0.95.
        ap50: at IoU 0.50.
        ap50_small, ap50_medium, ap50_large: by area (COCO's limits: 32² and 96² pixels).
        score: the threshold to ship: that of the best F1 at IoU 0.50, within ``SCORE_LIMITS``.
        precision, recall: at that threshold.
    """

    photos: int
    objects: int
    ap: float
    ap50: float
    ap50_small: float | None
    ap50_medium: float | None
    ap50_large: float | None
    score: float
    precision: float
    recall: float


@dataclass(frozen=True)
class Metrics:
    """Figures of a detector on a data set; means are over classes."""

    ap: float
    ap50: float
    ap50_small: float | None
    ap50_medium: float | None
    ap50_large: float | None
    classes: dict[str, ClassMetrics]

    def tables(self) -> dict:
        """As plain tables, rounded, without what is unknown."""

        def tidy(value: object) -> object:
            if isinstance(value, dict):
                return {k: tidy(v) for k, v in value.items() if v is not None}
            return round(value, 4) if isinstance(value, float) else value

        return tidy(asdict(self))


def measure(annotations: Path, results: list[dict]) -> Metrics:
    """Compare detections with annotations.

    Args:
        annotations: COCO JSON, images with ``labelled``.
        results: COCO results: ``image_id, category_id, bbox`` (x, y, w, h in pixels), ``score``.

    Raises:
        DatasetError: the annotation file cannot be used, or the detections are not of its photos.
    """
    truth = read_truth(annotations)
    found = load_results(truth, results, annotations)
    labelled = labelled_photos(truth)
    classes = {
        category["name"]: _class_metrics(truth, found, category["id"], labelled[category["id"]])
        for category in truth.loadCats(truth.getCatIds())
        if labelled[category["id"]]
    }

    def mean(name: str) -> float | None:
        values = [v for m in classes.values() if (v := getattr(m, name)) is not None]
        return float(np.mean(values)) if values else None

    return Metrics(
        ap=mean("ap") or 0.0,
        ap50=mean("ap50") or 0.0,
        ap50_small=mean("ap50_small"),
        ap50_medium=mean("ap50_medium"),
        ap50_large=mean("ap50_large"),
        classes=classes,
    )


def scores_to_ship(sets: Iterable[Metrics]) -> dict[str, float]:
    """By class, the threshold to ship: that of the last set of photos that has enough of it."""
    scores: dict[str, float] = {}
    for metrics in sets:
        known = metrics.classes.items()
        scores |= {label: c.score for label, c in known if c.objects >= FEWEST_OBJECTS}
    return scores


def read_truth(annotations: Path) -> COCO:
    """Read a COCO annotation file.

    Raises:
        DatasetError: it cannot be read, or is not one.
    """
    try:
        content = json.loads(annotations.read_text("utf-8"))
        truth = COCO()
        truth.dataset = content
        with contextlib.redirect_stdout(io.StringIO()):
            truth.createIndex()
        whole = all(key in content for key in ("images", "annotations", "categories"))
    except OSError as error:
        raise DatasetError(f"{annotations}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{annotations}: not a COCO annotation file ({error!r})") from error
    if not whole:
        raise DatasetError(
            f"{annotations}: not a COCO annotation file; it needs `images`, `annotations` and "
            "`categories`"
        )
    return truth


def load_results(truth: COCO, results: list[dict], annotations: Path) -> COCO:
    """Detections as an index that ``COCOeval`` compares with ``truth``.

    Raises:
        DatasetError: a detection is of a photo or of a class that ``truth`` does not list.
    """
    photos, categories = set(truth.getImgIds()), set(truth.getCatIds())
    for result in results:
        if result["image_id"] not in photos or result["category_id"] not in categories:
            raise DatasetError(
                f"{annotations}: lists no image {result['image_id']}, or no category "
                f"{result['category_id']}, of which there are detections; give the annotation "
                "file of the photos that were detected on"
            )
    if not results:  # which loadRes refuses
        nothing = COCO()
        nothing.dataset = {**truth.dataset, "annotations": []}
        with contextlib.redirect_stdout(io.StringIO()):
            nothing.createIndex()
        return nothing
    with contextlib.redirect_stdout(io.StringIO()):
        return truth.loadRes([dict(r) for r in results])


def labelled_photos(truth: COCO) -> dict[int, list[int]]:
    """By category id, the ids of the photos on which the class is annotated exhaustively."""
    labelled = defaultdict(list)
    for image in truth.dataset["images"]:
        for category in image.get("labelled", truth.getCatIds()):
            labelled[category].append(image["id"])
    return labelled


def _class_metrics(truth: COCO, found: COCO, category: int, images: list[int]) -> ClassMetrics:
    evaluation = COCOeval(truth, found, "bbox")
    evaluation.params.catIds = [category]
    evaluation.params.imgIds = images
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
    # (IoU thresholds, recall thresholds, class, area range, maximum of detections)
    precision = evaluation.eval["precision"][:, :, 0, :, _MAX_DETECTIONS]

    def mean(values: np.ndarray) -> float | None:
        known = values[values > -1]
        return float(known.mean()) if known.size else None

    curve = np.maximum(precision[_IOU_50, :, _ALL], 0)
    scores = evaluation.eval["scores"][_IOU_50, :, 0, _ALL, _MAX_DETECTIONS]
    recalls = evaluation.params.recThrs
    f1 = 2 * curve * recalls / np.maximum(curve + recalls, 1e-9)
    score = round(float(np.clip(scores[f1.argmax()], *SCORE_LIMITS)), 2)
    reached = np.flatnonzero(scores >= score)
    point = int(reached[-1]) if len(reached) else 0
    return ClassMetrics(
        photos=len(images),
        objects=len(truth.getAnnIds(imgIds=images, catIds=[category])),
        ap=mean(precision[:, :, _ALL]) or 0.0,
        ap50=mean(precision[_IOU_50, :, _ALL]) or 0.0,
        ap50_small=mean(precision[_IOU_50, :, _SMALL]),
        ap50_medium=mean(precision[_IOU_50, :, _MEDIUM]),
        ap50_large=mean(precision[_IOU_50, :, _LARGE]),
        score=score,
        precision=float(curve[point]) if len(reached) else 0.0,
        recall=float(recalls[point]) if len(reached) else 0.0,
    )


def read_results(path: Path) -> list[dict]:
    """Read a COCO results list.

    Raises:
        DatasetError: it cannot be read, or is not one.
    """
    try:
        results = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise DatasetError(f"{path}: not JSON ({error})") from error
    keys = {"image_id", "category_id", "bbox", "score"}
    if not isinstance(results, list) or not all(
        isinstance(r, dict) and keys <= r.keys() for r in results
    ):
        raise DatasetError(
            f"{path}: not a COCO results list; each entry needs {', '.join(sorted(keys))}"
        )
    return results
