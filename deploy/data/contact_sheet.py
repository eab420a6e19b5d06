"""A contact sheet: photos of a data set with their boxes, for a person to look at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from deploy.data.dataset import Dataset, DatasetError, Photo, read_photo
from deploy.files import write_aside
from pi_detector.sinks.draw import class_colour, place_label, text_colour

TILE_PX = (360, 270)
"""Width and height that a photo is fitted into."""
_CAPTION_PX = 34
_GAP_PX = 6
_TEXT_PX = 12
_PAPER, _INK = (24, 24, 24), (225, 225, 225)


def choose_photos(
    dataset: Dataset, count: int, label: str | None = None, seed: int = 1
) -> list[Photo]:
    """Photos drawn at random, the same for the same seed.

    Args:
        dataset: where from.
        count: how many, if there are as many.
        label: only photos with an object of this class; None for all.
        seed: of the drawing.

    Raises:
        DatasetError: the class is unknown, or in no photo.
    """
    photos = list(dataset.photos)
    if label is not None:
        names = [category.name for category in dataset.categories]
        if label not in names:
            raise DatasetError(f"no class {label!r}; there are: {', '.join(names)}")
        photos = [photo for photo in photos if names.index(label) in photo.classes]
        if not photos:
            raise DatasetError(f"no photo has an object of class {label!r}")
    order = np.random.default_rng(seed).permutation(len(photos))[:count]
    return [photos[number] for number in order]


def contact_sheet(dataset: Dataset, photos: Sequence[Photo]) -> Image.Image:
    """Draw photos in a grid, each with its boxes, its name and the classes unknown in it."""
    columns = max(1, math.ceil(math.sqrt(len(photos))))
    rows = math.ceil(len(photos) / columns)
    step = (TILE_PX[0] + _GAP_PX, TILE_PX[1] + _CAPTION_PX + _GAP_PX)
    sheet = Image.new("RGB", (columns * step[0] + _GAP_PX, rows * step[1] + _GAP_PX), _PAPER)
    for number, photo in enumerate(photos):
        row, column = divmod(number, columns)
        corner = (column * step[0] + _GAP_PX, row * step[1] + _GAP_PX)
        sheet.paste(_tile(dataset, photo), corner)
    return sheet


def write_sheet(sheet: Image.Image, out: Path) -> None:
    """Write a sheet as JPEG or PNG, by the suffix.

    Raises:
        DatasetError: another suffix.
    """
    kind = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}.get(out.suffix.lower())
    if kind is None:
        raise DatasetError(f"{out}: write a .jpg or a .png")
    write_aside(out, lambda file: sheet.save(file, kind, quality=90))


def _tile(dataset: Dataset, photo: Photo) -> Image.Image:
    image = Image.fromarray(read_photo(photo.path))
    scale = min(TILE_PX[0] / image.width, TILE_PX[1] / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    image = image.resize(size, Image.Resampling.BILINEAR)
    _draw_boxes(image, dataset, photo, scale)
    tile = Image.new("RGB", (TILE_PX[0], TILE_PX[1] + _CAPTION_PX), _PAPER)
    tile.paste(image, ((TILE_PX[0] - size[0]) // 2, TILE_PX[1] - size[1]))
    unknown = [
        c.name for c, known in zip(dataset.categories, photo.known, strict=True) if not known
    ]
    draw, font = ImageDraw.Draw(tile), _font()
    first = photo.path.name + (f"  [{photo.source}]" if photo.source else "")
    draw.text((2, TILE_PX[1] + 2), first, _INK, font)
    second = f"unknown: {', '.join(unknown)}" if unknown else "all classes labelled"
    draw.text((2, TILE_PX[1] + 17), second, _INK, font)
    return tile


def _draw_boxes(image: Image.Image, dataset: Dataset, photo: Photo, scale: float) -> None:
    draw, font = ImageDraw.Draw(image), _font()
    boxes = [tuple(round(float(v)) for v in box * scale) for box in photo.xyxy]
    sides = photo.xyxy[:, 2:] - photo.xyxy[:, :2]
    order = np.argsort(-sides.prod(1))  # Small boxes last, and so on top.
    for number in order:
        category = dataset.categories[photo.classes[number]]
        left, top, right, bottom = boxes[number]
        corners = (left, top, max(left, right - 1), max(top, bottom - 1))
        draw.rectangle(corners, outline=class_colour(category.id), width=2)
    taken: list[tuple[int, int, int, int]] = []
    for number in order:
        category = dataset.categories[photo.classes[number]]
        colour = class_colour(category.id)
        width = min(image.width, math.ceil(font.getlength(category.name)) + 4)
        height = min(image.height, _TEXT_PX + 3)
        place = place_label(boxes[number], (width, height), image.size, taken)
        taken.append(place)
        draw.rectangle((place[0], place[1], place[2] - 1, place[3] - 1), fill=colour)
        draw.text((place[0] + 2, place[1]), category.name, text_colour(colour), font)


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_TEXT_PX)
