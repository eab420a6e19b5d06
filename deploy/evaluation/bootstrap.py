"""Whether a difference in AP50 is more than the choice of photos: a paired bootstrap.

B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", 1993: the photos are drawn again
with replacement, both models are measured on each such draw, and the percentiles of the differences
are the interval. Which detection is right does not depend on the draw, so it is worked out once.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pycocotools.cocoeval import COCOeval

from deploy.evaluation.interval import Interval
from deploy.evaluation.metrics import labelled_photos, load_results, read_truth

SAMPLES = 1000
_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class _ClassMatches:
    """Detections of one class, best first.

    Attributes:
        photo: (D,) int64 position of each detection's photo.
        right: (D,) float64, 1 where it is assigned to an object, else 0.
        objects: (photos,) float64 objects by photo.
    """

    photo: NDArray[np.int64]
    right: NDArray[np.float64]
    objects: NDArray[np.float64]

    def ap(self, weights: NDArray[np.float64]) -> float:
        """Average precision where a photo counts ``weights`` times; nan without objects."""
        positives = float(weights @ self.objects)
        if not positives:
            return float("nan")
        weight = weights[self.photo]
        right = np.cumsum(weight * self.right)
        precision = right / np.maximum(np.cumsum(weight), np.finfo(float).eps)
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        first = np.searchsorted(right / positives, _RECALLS)
        return float(np.append(envelope, 0.0)[first].mean())


class Matches:
    """The detections of a model on a data set, assigned to its objects.

    Args:
        annotations: of the data set.
        results: COCO results of the model.
        ious: the overlaps at which a detection is right; precision is their mean.
    """

    def __init__(
        self, annotations: Path, results: list[dict], ious: Sequence[float] = (0.5,)
    ) -> None:
        truth = read_truth(annotations)
        found = load_results(truth, results, annotations)
        position = {image: i for i, image in enumerate(truth.getImgIds())}
        self.photos = len(position)
        labelled = labelled_photos(truth)
        self._classes = [
            [
                _class_matches(
                    COCOeval(truth, found, "bbox"), category, labelled[category], position, iou
                )
                for iou in ious
            ]
            for category in truth.getCatIds()
            if labelled[category]
        ]

    def ap(self, weights: NDArray[np.float64] | None = None) -> float:
        """Average precision, a mean over classes; a photo counts ``weights`` (photos,) times."""
        if weights is None:
            weights = np.ones(self.photos)
        values = np.asarray([np.mean([m.ap(weights) for m in c]) for c in self._classes])
        known = values[~np.isnan(values)]
        return float(known.mean()) if known.size else 0.0


def _class_matches(
    evaluation: COCOeval,
    category: int,
    images: list[int],
    position: dict[int, int],
    iou: float,
) -> _ClassMatches:
    limits = evaluation.params
    limits.catIds, limits.imgIds = [category], images
    limits.iouThrs = np.asarray([iou])
    limits.areaRng, limits.areaRngLbl = limits.areaRng[:1], limits.areaRngLbl[:1]
    limits.maxDets = limits.maxDets[-1:]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
    objects = np.zeros(len(position))
    scores, photos, right = [np.zeros(0)], [np.zeros(0, np.int64)], [np.zeros(0)]
    for entry in filter(None, evaluation.evalImgs):
        photo = position[entry["image_id"]]
        objects[photo] = np.count_nonzero(np.asarray(entry["gtIgnore"]) == 0)
        counted = ~entry["dtIgnore"][0].astype(bool)
        scores.append(np.asarray(entry["dtScores"])[counted])
        right.append((entry["dtMatches"][0][counted] > 0).astype(float))
        photos.append(np.full(counted.sum(), photo))
    order = np.argsort(-np.concatenate(scores), kind="stable")
    return _ClassMatches(np.concatenate(photos)[order], np.concatenate(right)[order], objects)


def difference(a: Matches, b: Matches, samples: int = SAMPLES, seed: int = 1) -> Interval:
    """Average precision of ``a`` less that of ``b`` on the same photos, in points."""
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(a.photos, np.full(a.photos, 1 / a.photos), samples).astype(float)
    differences = [100 * (a.ap(weights) - b.ap(weights)) for weights in draws]
    low, high = np.percentile(differences, [2.5, 97.5])
    return Interval(100 * (a.ap() - b.ap()), float(low), float(high))
