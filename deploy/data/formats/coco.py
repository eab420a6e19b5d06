"""COCO JSON: the format that training and evaluation read.

Two fields go beyond COCO. An image's ``labelled`` lists the category ids that are annotated
exhaustively in it (all, where it is missing); its ``source`` says where it comes from.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from itertools import chain
from pathlib import Path

import msgspec

from deploy.data.formats.base import (
    SPLITS,
    Box,
    DatasetError,
    Item,
    ReadOptions,
    Source,
    check_pixels,
    check_size,
    each_item,
    photo_facts,
    read_bytes,
    read_text,
)
from deploy.data.formats.finding import PhotoFinder, child, glob_any_case


class CocoImage(msgspec.Struct, omit_defaults=True):
    """A photo: its file below the image folder, and its size in pixels (0: not stated)."""

    id: int
    file_name: str
    width: int = 0
    height: int = 0
    labelled: list[int] | None = None
    source: str = ""


class CocoBox(msgspec.Struct):
    """An annotated object; ``bbox`` is x, y, width, height in pixels.

    ``ignore`` is 1 for what may be an object or not: it is neither learnt nor evaluated.
    """

    id: int
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    area: float | None = None
    iscrowd: int | bool = 0
    difficult: int = 0
    ignore: int = 0

    @property
    def is_region(self) -> bool:
        """Whether it is a region of many objects, rather than one that is hard to recognize."""
        return bool(self.iscrowd) and not self.difficult

    @property
    def pixels(self) -> float:
        """Its area in square pixels; that of the box where none is stated."""
        return self.bbox[2] * self.bbox[3] if self.area is None else self.area


class CocoCategory(msgspec.Struct):
    """A class of objects."""

    id: int
    name: str


class CocoFile(msgspec.Struct):
    """An annotation file; other fields of COCO's are not read."""

    images: list[CocoImage]
    annotations: list[CocoBox]
    categories: list[CocoCategory]

    @property
    def ids(self) -> dict[str, int]:
        """Name to category id."""
        return {category.name: category.id for category in self.categories}

    def labelled(self, image: CocoImage) -> list[int]:
        """Ids of the categories that are annotated exhaustively in a photo."""
        listed = [category.id for category in self.categories]
        return listed if image.labelled is None else image.labelled


def read_coco(path: Path) -> CocoFile:
    """Read an annotation file as it is: types are checked, relations are not.

    Raises:
        DatasetError: it cannot be read, is not JSON, or lacks a field.
    """
    try:
        return msgspec.json.decode(read_bytes(path).removeprefix(BOM_UTF8), type=CocoFile)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DatasetError(
            f"{path}: not a COCO annotation file as `dataset import` writes it ({error}); import it"
        ) from error


def check_relations(content: CocoFile, path: Path) -> dict[int, list[CocoBox]]:
    """Check that ids are unique and known, and that boxes are pixels.

    Returns:
        The annotations by image id.

    Raises:
        DatasetError: names what is wrong in ``path``.
    """
    if not content.images:
        raise DatasetError(f"{path}: lists no images")
    if not content.categories:
        raise DatasetError(f"{path}: lists no categories; without classes nothing can be learnt")
    for kind, ids in (
        ("image id", [image.id for image in content.images]),
        ("category id", [category.id for category in content.categories]),
        ("category name", [category.name for category in content.categories]),
    ):
        if len(set(ids)) < len(ids):
            twice = next(each for each in ids if ids.count(each) > 1)
            raise DatasetError(f"{path}: {kind} {twice!r} is there twice; number them again")
    known = set(content.ids.values())
    boxes: dict[int, list[CocoBox]] = {image.id: [] for image in content.images}
    for box in content.annotations:
        if box.image_id not in boxes:
            raise DatasetError(
                f"{path}: annotation {box.id} names no listed image; remove it, or list the image"
            )
        if box.category_id not in known:
            raise DatasetError(
                f"{path}: annotation {box.id} has category {box.category_id}, "
                "which `categories` does not list; add it there"
            )
        boxes[box.image_id].append(box)
    check_pixels((box.bbox for box in content.annotations), str(path))
    return boxes


def open_coco(path: Path, options: ReadOptions) -> Source:
    """Open a foreign COCO file, or a folder with one.

    Photos are looked for in ``options.photos``; else in the folder of the file's name beside it,
    beside the file, in ``images`` and below.

    Raises:
        DatasetError: it is no COCO file, or contradicts itself.
    """
    from deploy.data.formats.foreign_coco import read_foreign_coco

    file = path if path.is_file() else _only_file(path, options.split)
    content, skipped = read_foreign_coco(file)
    boxes = check_relations(content, file)
    finder = _finder(file, options.photos)
    names = {category.id: category.name for category in content.categories}

    def read(image: CocoImage) -> Item:
        where = f"{file}: image {image.id}"
        try:
            photo = finder.find(image.file_name)
        except DatasetError as error:
            raise DatasetError(f"{where}: {error}") from error
        size, _ = photo_facts(photo, f"{where} ({photo})")
        check_size((image.width, image.height), size, where)
        own = tuple(_box(box, names) for box in boxes[image.id])
        listed = image.labelled
        labelled = None if listed is None else tuple(names[n] for n in listed if n in names)
        return Item(where, photo.name, photo, size, own, labelled, image.source)

    items = each_item(content.images, lambda image: f"{file}: image {image.id}", read)
    return Source(tuple(content.ids), chain(skipped, items))


def looks_like_coco(file: Path) -> bool:
    """Whether a JSON file has what a COCO file has: tools write others beside their own."""
    try:
        text = read_text(file)
    except DatasetError:
        return False
    return all(f'"{key}"' in text for key in ("images", "annotations", "categories"))


def annotation_files(folder: Path) -> list[Path]:
    """The COCO files of a folder: in it, or in ``annotations`` in it."""
    inner = [f for place in glob_any_case(folder, "annotations") for f in place.glob("*.json")]
    files = sorted(f for f in (*folder.glob("*.json"), *inner) if looks_like_coco(f))
    # COCO's own folder has files of key points and captions beside those of boxes.
    return [f for f in files if f.stem.startswith("instances_")] or files


def _only_file(folder: Path, split: str | None) -> Path:
    inner = child(folder, split) if split else folder
    files = annotation_files(inner if inner.is_dir() else folder)
    if split and len(files) > 1:
        files = [f for f in files if _split_of(f) == split]
    if len(files) != 1:
        splits = sorted({name for f in files if (name := _split_of(f))})
        fix = f"; import one at a time, with --split {splits[0]}" if splits else ""
        raise DatasetError(
            f"{folder}: holds {len(files)} COCO files{fix or '; name the one to import'}"
        )
    return files[0]


def _split_of(file: Path) -> str | None:
    """The split that a file's name has in it: ``instances_train2017``, ``val``, ``Test``."""
    parts = re.findall(r"[a-z]+", file.stem.lower())
    return next((part for part in parts if part in SPLITS), None)


def _finder(file: Path, photos: Path | None) -> PhotoFinder:
    """Where the photos of a COCO file may lie."""
    if photos is not None:
        return PhotoFinder([photos], [photos])
    above = file.parent.parent if file.parent.name.lower() == "annotations" else file.parent
    stem = file.stem.removeprefix("instances_")
    folders = [file.with_suffix(""), file.parent, child(above, "images"), child(above, stem)]
    folders += [child(child(above, "images"), stem)]
    return PhotoFinder([f for f in folders if f.is_dir()], [above])


def _box(box: CocoBox, names: dict[int, str]) -> Box:
    x, y, width, height = box.bbox
    corners = (x, y, x + width, y + height)
    label = names[box.category_id]
    return Box(label, corners, bool(box.difficult), box.is_region, bool(box.ignore))
