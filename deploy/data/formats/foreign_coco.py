"""COCO files as other tools write them, to the types of ours.

What is known of them: Roboflow lists a class 0 that only groups the others; ids are strings, or
missing; ``iscrowd`` is null; paths are those of Windows; files begin with a byte order mark; an
object has polygons and no box.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Hashable
from pathlib import Path

from deploy.data.formats.base import DatasetError, Skipped, read_text
from deploy.data.formats.coco import CocoBox, CocoCategory, CocoFile, CocoImage

_GROUPS = ("none", "", None)


def read_foreign_coco(path: Path) -> tuple[CocoFile, list[Skipped]]:
    """Read a COCO file of any tool; ids that are not plain numbers are replaced by new ones.

    Returns:
        Its content, and what could not be used.

    Raises:
        DatasetError: it is no COCO file, or lists no images or no categories.
    """
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: not JSON ({error})") from error
    keys = ("images", "annotations", "categories")
    if not isinstance(content, dict) or not all(isinstance(content.get(k), list) for k in keys):
        raise DatasetError(
            f"{path}: not a COCO annotation file; it needs the lists {', '.join(keys)}"
        )
    skipped: list[Skipped] = []
    categories, category_ids = _categories(content, path)
    images, image_ids, by_name = _images(content["images"], path, category_ids, skipped)
    boxes = []
    for number, entry in enumerate(content["annotations"], 1):
        where = f"{path}: annotation {number}"
        try:
            image = _image_of(entry, image_ids, by_name)
            category = category_ids.get(_key(entry.get("category_id")))
            if category is None:
                raise DatasetError(
                    f"has category {entry.get('category_id')!r}, which is not listed"
                )
            boxes.append(_box(entry, number, image, category))
        except (DatasetError, AttributeError, TypeError, ValueError) as error:
            # An object without a box must not become background: its photo goes as well.
            skipped.append(Skipped(where, str(error)))
            broken = image_ids.get(_key(entry.get("image_id"))) if isinstance(entry, dict) else None
            images = [each for each in images if each.id != broken]
    left = {image.id for image in images}
    return CocoFile(images, [b for b in boxes if b.image_id in left], categories), skipped


def _key(value: object) -> Hashable:
    """An id as it is compared: 7, 7.0 and "7" are the same."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    text = str(value).strip()
    try:
        number = float(text)
    except ValueError:
        return text or None
    return int(number) if math.isfinite(number) and number == int(number) else text


def _categories(content: dict, path: Path) -> tuple[list[CocoCategory], dict[Hashable, int]]:
    """The classes, numbered as they are if all have numbers, and the new id by the stated one."""
    used = Counter(
        _key(b.get("category_id")) for b in content["annotations"] if isinstance(b, dict)
    )
    entries = [c for c in content["categories"] if isinstance(c, dict) and _name(c)]
    groups = {_name(c) for c in entries if c.get("supercategory") in _GROUPS}
    parents = {c.get("supercategory") for c in entries} & groups
    # Roboflow's class 0 has the name of the data set, and is the supercategory of the others.
    entries = [c for c in entries if not (_name(c) in parents and not used[_key(c.get("id"))])]
    if not entries:
        raise DatasetError(f"{path}: lists no categories; without classes nothing can be learnt")
    keys = [_key(c.get("id")) for c in entries]
    numbered = all(isinstance(k, int) for k in keys) and len(set(keys)) == len(keys)
    ids: dict[Hashable, int] = {}
    categories: dict[str, CocoCategory] = {}
    for number, (entry, key) in enumerate(zip(entries, keys, strict=True), 1):
        name = _name(entry)
        new = categories.get(name) or CocoCategory(key if numbered else number, name)  # type: ignore[arg-type]
        categories[name] = new
        if key is not None:
            ids[key] = new.id
    return list(categories.values()), ids


def _name(category: dict) -> str:
    name = category.get("name")
    return str(name).strip() if isinstance(name, str | int | float) else ""


def _images(
    entries: list, path: Path, category_ids: dict[Hashable, int], skipped: list[Skipped]
) -> tuple[list[CocoImage], dict[Hashable, int], dict[str, int]]:
    images: list[CocoImage] = []
    ids: dict[Hashable, int] = {}
    names: dict[str, int] = {}
    for number, entry in enumerate(entries, 1):
        where = f"{path}: image {number}"
        name = entry.get("file_name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name.strip():
            skipped.append(Skipped(where, "has no `file_name`"))
            continue
        key = _key(entry.get("id"))
        if key is not None and key in ids:
            skipped.append(Skipped(where, f"has the id {entry['id']!r} of another one"))
            continue
        if key is not None:
            ids[key] = number
        names[name] = number
        labelled = entry.get("labelled")
        source = entry.get("source")
        images.append(
            CocoImage(
                number,
                name,
                _side(entry.get("width")),
                _side(entry.get("height")),
                _listed(labelled, category_ids),
                source if isinstance(source, str) else "",
            )
        )
    return images, ids, names


def _listed(value: object, category_ids: dict[Hashable, int]) -> list[int] | None:
    """The new ids of the categories that ``labelled`` lists; None where it is missing."""
    if not isinstance(value, list):
        return None
    return [category_ids[_key(each)] for each in value if _key(each) in category_ids]


def _side(value: object) -> int:
    """A side in pixels; 0 where it is not stated."""
    number = _key(value)
    return number if isinstance(number, int) and number > 0 else 0


def _image_of(entry: dict, ids: dict[Hashable, int], names: dict[str, int]) -> int:
    image = ids.get(_key(entry.get("image_id")))
    if image is None and isinstance(entry.get("image_id"), str):
        image = names.get(entry["image_id"])
    if image is None:
        raise DatasetError(f"is of image {entry.get('image_id')!r}, which is not listed")
    return image


def _box(entry: dict, number: int, image: int, category: int) -> CocoBox:
    bbox = entry.get("bbox")
    if not bbox:
        bbox = _bounds(entry.get("segmentation"))
    values = tuple(float(value) for value in bbox)
    if len(values) != 4 or not all(map(math.isfinite, values)):
        raise DatasetError(f"its `bbox` {bbox} is not x, y, width, height")
    return CocoBox(
        number,
        image,
        category,
        (values[0], values[1], values[2], values[3]),
        iscrowd=int(entry.get("iscrowd") in (1, True, "1")),
        difficult=int(entry.get("difficult") in (1, True, "1")),
        ignore=int(entry.get("ignore") in (1, True, "1")),
    )


def _bounds(polygons: object) -> list[float]:
    """The box around polygons (lists of x, y, x, y, ...)."""
    if not isinstance(polygons, list) or not polygons or not isinstance(polygons[0], list):
        raise DatasetError("has neither a `bbox` nor polygons")
    xs = [float(x) for polygon in polygons for x in polygon[::2]]
    ys = [float(y) for polygon in polygons for y in polygon[1::2]]
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
