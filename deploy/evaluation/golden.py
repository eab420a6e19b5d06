"""Golden pictures: what a model must find in them, whatever its number type.

They are views of the public-domain photograph of the source ``demo:``, and the builder's own
pictures, which are then part of the bundle. The float model says what is in them; the INT8 model
must agree where the float one is clear.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from deploy.data.dataset import DatasetError, read_photo
from deploy.quantization.calibrate import list_frames
from pi_detector.config.settings import ModelSettings
from pi_detector.core.frame import ImageArray
from pi_detector.core.geometry import pairwise_iou
from pi_detector.detector.bundle import load_model
from pi_detector.detector.detector import Detector
from pi_detector.sources.demo import load_photograph, render_view

VIEWS_S = (0.0, 1.5, 3.0, 4.5, 6.0, 8.0, 10.0, 12.0)
VIEW_SIZE = (640, 480)
LOWEST_SCORE = 0.15
CLEAR = 0.1
"""A score this much above its threshold is clear: rounding does not bring it below."""
SAME_IOU = 0.5

Found = list[tuple[str, float, list[float]]]
"""Label, score and ``x1, y1, x2, y2`` in pixels of each object of a picture."""


def record(
    model: ModelSettings, pictures: Path | None, folder: Path, scores: Mapping[str, float]
) -> dict[str, Found]:
    """Let the float model say what is in the golden pictures.

    Args:
        model: the float model.
        pictures: folder of pictures to use beside the demonstration's, or None.
        folder: where the pictures are copied to, to become part of the bundle.
        scores: thresholds by label.

    Returns:
        The objects by picture, as it is written to ``golden.json``.

    Raises:
        DatasetError: nothing is found in any of the pictures given.
    """
    names = [f"demo:{time_s}" for time_s in VIEWS_S]
    for path in list_frames(pictures) if pictures else ():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / path.name)
        names.append(path.name)
    found = dict(_detect(model, names, folder))
    given = [f for name in names[len(VIEWS_S) :] for f in found[name]]
    if pictures and not any(score >= scores[label] + CLEAR for label, score, _ in given):
        raise DatasetError(
            f"{pictures}: the float model is sure of nothing in these pictures; give others, with "
            "objects that it finds"
        )
    return found


def disagreements(
    model: ModelSettings, golden: Mapping[str, Found], folder: Path, scores: Mapping[str, float]
) -> list[str]:
    """What a model finds otherwise than it was recorded, a sentence each.

    Args:
        model: to be checked.
        golden: what was recorded.
        folder: of the pictures.
        scores: thresholds by label.
    """
    wrong = []
    for name, found in _detect(model, list(golden), folder):
        expected = [(label, score, box) for label, score, box in golden[name]]
        for kind, ours, theirs in (("misses", expected, found), ("adds", found, expected)):
            wrong += [
                f"{name}: {kind} a {label} of {score:.2f} at {[round(v) for v in box]}"
                for label, score, box in ours
                if score >= scores[label] + CLEAR
                and not _has(theirs, label, box, scores[label] - CLEAR)
            ]
    return wrong


def _has(found: Found, label: str, box: list[float], lowest: float) -> bool:
    rivals = [b for other, score, b in found if other == label and score >= lowest]
    if not rivals:
        return False
    boxes = (np.asarray([box], np.float32), np.asarray(rivals, np.float32))
    return bool(pairwise_iou(*boxes).max() >= SAME_IOU)


def _detect(model: ModelSettings, names: list[str], folder: Path) -> Iterator[tuple[str, Found]]:
    detector = Detector(load_model(model), min_score=LOWEST_SCORE)
    photograph = load_photograph()
    for name in names:
        image = _picture(name, folder, photograph)
        found = detector.detect(image)
        labels = found.label
        scores = [round(score, 3) for score in found.score.tolist()]
        boxes = [[round(value, 1) for value in box] for box in found.xyxy.tolist()]
        yield name, list(zip(labels, scores, boxes, strict=True))


def _picture(name: str, folder: Path, photograph: ImageArray) -> ImageArray:
    if name.startswith("demo:"):
        return render_view(photograph, VIEW_SIZE, float(name.removeprefix("demo:")))
    return read_photo(folder / name)


def read_golden(bundle: Path) -> dict[str, Found]:
    """What was recorded for a bundle.

    Raises:
        DatasetError: it is missing, or damaged.
    """
    path = bundle / "golden.json"
    try:
        content = json.loads(path.read_text("utf-8"))
        return {
            name: [(str(row[0]), float(row[1]), [float(v) for v in row[2]]) for row in rows]
            for name, rows in content.items()
        }
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise DatasetError(f"{path}: is damaged ({error}); build the bundle again") from error
