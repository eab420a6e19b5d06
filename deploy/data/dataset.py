"""Photos and boxes: COCO JSON in, training samples out.

An image's ``labelled`` lists the category ids that are annotated exhaustively in it. A class that
is not listed is unknown there, not absent: it takes no part in the loss, nor in the evaluation.
Other formats become COCO JSON by ``python -m deploy dataset import``.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from deploy.data.coco_classes import COCO_IDS
from deploy.data.formats.base import DatasetError, exists, read_bytes
from deploy.data.formats.coco import CocoBox, CocoImage, check_relations, read_coco
from deploy.files import write_aside

__all__ = ["Category", "Dataset", "DatasetError", "Photo", "load_coco", "narrow", "read_photo",
           "sampling_weights"]  # fmt: skip


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
        ignored: (N,) bool: may be an object or not; neither is learnt.
        known: (classes,) bool, whether each class is annotated exhaustively here.
    """

    path: Path
    image_id: int
    source: str
    xyxy: NDArray[np.float32]
    classes: NDArray[np.int64]
    ignored: NDArray[np.bool_]
    known: NDArray[np.bool_]


@dataclass(frozen=True)
class Dataset:
    """Annotated photos of one split."""

    categories: tuple[Category, ...]
    photos: tuple[Photo, ...]


def load_coco(
    annotations: Path, images: Path, classes: Sequence[str] = (), *, lacking: bool = False
) -> Dataset:
    """Read a COCO annotation file.

    Args:
        annotations: the JSON file (``images``, ``annotations``, ``categories``).
        images: the folder of its photos.
        classes: names of the classes to read, in this order; empty reads all.
        lacking: whether the file may lack some of them, which are then unknown in every photo.

    Raises:
        DatasetError: the file cannot be read or contradicts itself, lacks a class, or a photo is
            missing.
    """
    content = read_coco(annotations)
    boxes = check_relations(content, annotations)
    absent = [name for name in classes if name not in content.ids]
    if absent and not (lacking and len(absent) < len(classes)):
        there = ", ".join(content.ids)
        raise DatasetError(f"{annotations}: has no class {absent[0]!r}; it has {there}")
    ids = {**content.ids, **_free_ids(absent, set(content.ids.values()))}
    categories = tuple(Category(ids[name], name) for name in classes or content.ids)
    index = {category.id: i for i, category in enumerate(categories)}
    listed = [i for i, category in enumerate(categories) if category.name in content.ids]
    photos = tuple(
        _photo(entry, boxes[entry.id], images, index, listed) for entry in content.images
    )
    missing = [photo.path for photo in photos if not exists(photo.path)]
    if missing:
        raise DatasetError(
            f"{annotations}: {len(missing)} of {len(photos)} photos are missing, such as "
            f"{missing[0]}; is {images} the image folder?"
        )
    return Dataset(categories, photos)


def narrow(annotations: Path, classes: Collection[str], out: Path) -> Path:
    """Write an annotation file of some classes alone.

    Raises:
        DatasetError: it cannot be read, or has none of the classes.
    """
    content = json.loads(read_bytes(annotations))
    content["categories"] = [c for c in content["categories"] if c["name"] in classes]
    kept = {c["id"] for c in content["categories"]}
    if not kept:
        raise DatasetError(f"{annotations}: has none of the classes {', '.join(classes)}")
    for image in content["images"]:
        if "labelled" in image:
            image["labelled"] = [number for number in image["labelled"] if number in kept]
    content["annotations"] = [b for b in content["annotations"] if b["category_id"] in kept]
    data = json.dumps(content).encode()
    write_aside(out, lambda file: file.write(data))
    return out


def _free_ids(names: Sequence[str], taken: set[int]) -> dict[str, int]:
    """Category ids for classes that a file lacks: COCO's, where they are free."""
    ids: dict[str, int] = {}
    for name in names:
        number = COCO_IDS.get(name, 0)
        if number == 0 or number in taken:
            number = max((*taken, *COCO_IDS.values())) + 1
        ids[name] = number
        taken.add(number)
    return ids


def _photo(
    entry: CocoImage,
    boxes: list[CocoBox],
    images: Path,
    index: dict[int, int],
    listed: Sequence[int],
) -> Photo:
    boxes = [box for box in boxes if box.category_id in index]
    objects = [box for box in boxes if not box.is_region]
    xywh = np.asarray([box.bbox for box in objects], np.float32).reshape(-1, 4)
    xyxy = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], 1)
    known = np.zeros(len(index), bool)
    labelled = entry.labelled
    known[listed if labelled is None else [index[c] for c in labelled if c in index]] = True
    # What is within a crowd's region is neither an object nor background.
    known[[index[box.category_id] for box in boxes if box.is_region]] = False
    return Photo(
        path=images / entry.file_name,
        image_id=entry.id,
        source=entry.source,
        xyxy=xyxy,
        classes=np.asarray([index[box.category_id] for box in objects], np.int64),
        ignored=np.asarray([bool(box.ignore) for box in objects], bool),
        known=known,
    )


def read_photo(path: Path) -> NDArray[np.uint8]:
    """Read a photo as (H, W, 3) uint8 RGB.

    Raises:
        DatasetError: the file is missing or not an image.
    """
    try:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    except cv2.error:  # A size that it refuses.
        image = None
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
