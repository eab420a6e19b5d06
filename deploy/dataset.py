"""Photos and boxes: COCO JSON in, training samples out.

An image's ``labelled`` lists the category ids that are annotated exhaustively in it. A class that
is not listed is unknown there, not absent: it takes no part in the loss, nor in the evaluation.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


class DatasetError(ValueError):
    """A data set that cannot be used; the message names the file and the fix."""


@dataclass(frozen=True)
class Category:
    """A class of objects: its id in the annotation file and its name."""

    id: int
    name: str


@dataclass(frozen=True)
class Photo:
    """One annotated photo.

    Attributes:
        path: the image file.
        image_id: its id in the annotation file.
        source: where it comes from (used to balance sampling), or "".
        xyxy: (N, 4) float32 boxes in pixels.
        classes: (N,) int64 class indices (positions in ``Dataset.categories``).
        known: (classes,) bool, whether each class is annotated exhaustively here.
    """

    path: Path
    image_id: int
    source: str
    xyxy: NDArray[np.float32]
    classes: NDArray[np.int64]
    known: NDArray[np.bool_]


@dataclass(frozen=True)
class Dataset:
    """Annotated photos of one split."""

    categories: tuple[Category, ...]
    photos: tuple[Photo, ...]


def load_coco(annotations: Path, images: Path) -> Dataset:
    """Read a COCO annotation file.

    Args:
        annotations: the JSON file (``images``, ``annotations``, ``categories``).
        images: the folder of its photos.

    Raises:
        DatasetError: the file cannot be read, or holds no usable photo.
    """
    try:
        content = json.loads(annotations.read_text("utf-8"))
        categories = tuple(Category(c["id"], c["name"]) for c in content["categories"])
        entries = content["images"]
        boxes = content["annotations"]
    except OSError as error:
        raise DatasetError(f"{annotations}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{annotations}: not a COCO annotation file ({error!r})") from error
    if not entries:
        raise DatasetError(f"{annotations}: lists no images")
    index = {category.id: i for i, category in enumerate(categories)}
    by_image: dict[int, list[dict]] = {entry["id"]: [] for entry in entries}
    for box in boxes:
        if box["image_id"] not in by_image:
            raise DatasetError(f"{annotations}: annotation {box['id']} names no listed image")
        if box["category_id"] not in index:
            raise DatasetError(
                f"{annotations}: annotation {box['id']} has category {box['category_id']}, "
                "which `categories` does not list"
            )
        by_image[box["image_id"]].append(box)
    photos = tuple(_photo(e, by_image[e["id"]], images, index) for e in entries)
    if not photos[0].path.is_file():
        raise DatasetError(f"{photos[0].path}: no such photo; is {images} the image folder?")
    return Dataset(categories, photos)


def _photo(entry: dict, boxes: list[dict], images: Path, index: dict[int, int]) -> Photo:
    xywh = np.asarray([b["bbox"] for b in boxes], np.float32).reshape(-1, 4)
    xyxy = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], 1)
    known = np.zeros(len(index), bool)
    known[[index[c] for c in entry.get("labelled", index) if c in index]] = True
    return Photo(
        path=images / entry["file_name"],
        image_id=entry["id"],
        source=entry.get("source", ""),
        xyxy=xyxy,
        classes=np.asarray([index[b["category_id"]] for b in boxes], np.int64),
        known=known,
    )


def read_photo(path: Path) -> NDArray[np.uint8]:
    """Read a photo as (H, W, 3) uint8 RGB.

    Raises:
        DatasetError: the file is missing or not an image.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise DatasetError(f"{path}: not a readable image; remove it from the annotations")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def sampling_weights(photos: tuple[Photo, ...]) -> NDArray[np.float64]:
    """Weights that draw from each source in proportion to the square root of its size.

    A small source of diverse photos then counts for more than a large one of look-alikes, without
    being repeated as often as equal shares would need.
    """
    _, inverse, counts = np.unique(
        [p.source for p in photos], return_inverse=True, return_counts=True
    )
    weights = 1.0 / np.sqrt(counts[inverse])
    return weights / weights.sum()
