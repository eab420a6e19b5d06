"""What every format is read into: photos with named boxes in pixels."""

from __future__ import annotations

import codecs
import contextlib
import io
import math
import os
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from PIL import Image, UnidentifiedImageError

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
SPLITS = ("train", "val", "valid", "test")
T = TypeVar("T")

_SUFFIX_OF = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "BMP": ".bmp", "WEBP": ".webp"}
_EXIF_ORIENTATION = 0x0112
_QUARTER_TURNS = (5, 6, 7, 8)
BROKEN_PHOTO = (
    OSError,
    ValueError,
    SyntaxError,
    TypeError,
    OverflowError,
    struct.error,
    Image.DecompressionBombError,
)
"""What Pillow raises for files that are no photos, or broken ones."""


class DatasetError(ValueError):
    """A data set that cannot be used; the message names the file and the fix."""


@dataclass(frozen=True)
class Box:
    """An annotated object.

    Attributes:
        label: name of its class.
        xyxy: left, top, right, bottom in pixels from the photo's upper left corner.
        difficult: hard to recognize (Pascal VOC): trained on, but not evaluated.
        crowd: a region of many objects (COCO): neither trained on nor evaluated.
        ignore: may be an object or not, such as a model's proposal: neither learnt nor evaluated.
    """

    label: str
    xyxy: tuple[float, float, float, float]
    difficult: bool = False
    crowd: bool = False
    ignore: bool = False


@dataclass(frozen=True)
class Item:
    """A photo of a source.

    Attributes:
        where: its annotation (file, or file and record), for messages.
        name: file name for it, without folders.
        content: its file, or the file's bytes.
        size: width and height in pixels, as it is shown (turned by its EXIF orientation).
        boxes: its objects.
        labelled: classes annotated exhaustively in it; None for all of the source's.
        source: where the photo comes from, or "".
    """

    where: str
    name: str
    content: Path | bytes
    size: tuple[int, int]
    boxes: tuple[Box, ...]
    labelled: tuple[str, ...] | None = None
    source: str = ""


@dataclass(frozen=True)
class Skipped:
    """A photo or an annotation that cannot be used: where it stands, and why."""

    where: str
    reason: str

    def __str__(self) -> str:
        return self.reason if self.where in self.reason else f"{self.where}: {self.reason}"


@dataclass(frozen=True)
class Source:
    """An opened data set of some format.

    Attributes:
        classes: its list of classes, or None where the format has none.
        items: its photos, and in place of those that cannot be used the reason.
    """

    classes: tuple[str, ...] | None
    items: Iterator[Item | Skipped]


def each_item(
    entries: Iterable[T], where: Callable[[T], str], read: Callable[[T], Item]
) -> Iterator[Item | Skipped]:
    """Read the items of a source one by one; those that are broken are skipped.

    Args:
        entries: what the source has for each item.
        where: names an entry, for messages.
        read: makes an item of an entry; its ``DatasetError`` is the reason to skip it.
    """
    for entry in entries:
        try:
            yield read(entry)
        except DatasetError as error:
            yield Skipped(where(entry), str(error))


@dataclass(frozen=True)
class ReadOptions:
    """What the files of a source may leave open.

    Attributes:
        photos: folder of the photos, where they are not found beside the annotations.
        split: the part to read ("train", "val", ...) of a source that has several.
        names: number of a class to its name, where the source has numbers only.
    """

    photos: Path | None = None
    split: str | None = None
    names: Mapping[int, str] = field(default_factory=dict)


def read_text(path: Path) -> str:
    """The text of a file: UTF-8 or UTF-16 with a byte order mark, UTF-8, or that of Windows.

    Raises:
        DatasetError: it cannot be read, or is no text.
    """
    data = read_bytes(path)
    try:
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return data.decode("utf-16")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        with contextlib.suppress(UnicodeDecodeError):
            text = data.decode("cp1252")
            if not re.search(r"[\x00-\x08\x0e-\x1f]", text):
                return text
        raise DatasetError(f"{path}: is not UTF-8 text; convert it ({error})") from error


def read_bytes(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        DatasetError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: cannot be read ({error})") from error


def photo_facts(content: Path | bytes, where: str) -> tuple[tuple[int, int], str]:
    """Width and height in pixels of a photo as it is shown, and the usual suffix of its format.

    All of it is decoded, so that a photo that was cut off is found.

    Raises:
        DatasetError: it is no photo.
    """
    try:
        with open_photo(content) as photo:
            width, height = photo.size
            if photo.getexif().get(_EXIF_ORIENTATION) in _QUARTER_TURNS:
                width, height = height, width
            suffix = _SUFFIX_OF[photo.format or ""]
            photo.load()
            return (width, height), suffix
    except FileNotFoundError as error:
        raise DatasetError(f"{where}: there is no photo {content!s}; add it") from error
    except UnidentifiedImageError as error:
        raise DatasetError(
            f"{where}: is not a JPEG, PNG, BMP or WebP photo; convert it, or leave it out"
        ) from error
    except (*BROKEN_PHOTO, KeyError) as error:
        raise DatasetError(f"{where}: is a broken photo ({error}); replace it") from error


def open_photo(content: Path | bytes) -> Image.Image:
    """Open a photo of a format that training can read; close it after use."""
    file = io.BytesIO(content) if isinstance(content, bytes) else content
    return Image.open(file, formats=("JPEG", "PNG", "BMP", "WEBP"))


def exists(path: Path) -> bool:
    """Whether there is such a file or folder; a name that no file can have is none."""
    try:
        return path.exists()
    except (OSError, ValueError):  # Too long, or with a NUL.
        return False


def find_photos(folder: Path) -> list[Path]:
    """The photos in a folder and below it, sorted; hidden ones are left out."""
    return sorted(
        Path(where, name)
        for where, _, names in os.walk(folder)  # Which leaves out what it may not enter.
        for name in names
        if name.lower().endswith(PHOTO_SUFFIXES) and not name.startswith(".")
    )


def choose_split(found: Iterable[str], wanted: str | None, where: Path) -> str | None:
    """The split to read, of those that a source has.

    Raises:
        DatasetError: several are there and none is asked for, or the one asked for is not there.
    """
    splits = sorted(set(found))
    if wanted is not None and wanted not in splits:
        there = ", ".join(splits) or "none"
        raise DatasetError(f"{where}: has no split {wanted!r}; it has: {there}")
    if wanted is None and len(splits) > 1:
        raise DatasetError(
            f"{where}: has the splits {', '.join(splits)}; import one at a time, with "
            f"--split {splits[0]}"
        )
    return wanted if wanted is not None else next(iter(splits), None)


def split_prefix(name: str) -> str | None:
    """The split that a file's name begins with ("train-00000-of-00002", "val.tfrecord"), or None.

    >>> split_prefix("train-00000-of-00002")
    'train'
    """
    match = re.match(rf"({'|'.join(SPLITS)})(?![a-z])", name.lower())
    return match[1] if match else None


def check_fractions(values: Iterable[float], where: str) -> None:
    """Refuse coordinates that are no fractions of the photo's size.

    Raises:
        DatasetError: one is not finite, negative, or well above 1.
    """
    for value in values:
        if not math.isfinite(value):
            raise DatasetError(f"{where}: {value} is not a coordinate; correct it")
        if value > 1 + ROUNDING:
            raise DatasetError(
                f"{where}: {value:g} is above 1; coordinates are fractions of the photo's width "
                "and height here, these look like pixels: divide them by the size"
            )
        if value < -ROUNDING:
            raise DatasetError(f"{where}: {value:g} is negative; correct it, or remove the box")


ROUNDING = 0.01
"""By how much a fraction may leave 0..1: tools round, and let boxes touch the border."""


def check_pixels(boxes: Iterable[tuple[float, ...]], where: str) -> None:
    """Refuse boxes that are fractions where pixels belong.

    Raises:
        DatasetError: no coordinate of any box is above 1, or one is not finite.
    """
    values = [value for box in boxes for value in box]
    if not all(map(math.isfinite, values)):
        raise DatasetError(f"{where}: a box has a coordinate that is not finite; correct it")
    if values and max(values) <= 1:
        raise DatasetError(
            f"{where}: no coordinate is above 1; boxes are in pixels here, these look like "
            "fractions: multiply them by the photo's width and height"
        )


def check_size(stated: tuple[int, int], actual: tuple[int, int], where: str) -> None:
    """Refuse a photo of another size than the one that was annotated.

    Args:
        stated: width and height in the annotation; 0 is not stated.
        actual: of the photo.
        where: for the message.

    Raises:
        DatasetError: they differ.
    """
    if 0 not in stated and stated != actual:
        raise DatasetError(f"{where}: {wrong_size(stated, actual)}")


def wrong_size(stated: tuple[int, int], actual: tuple[int, int]) -> str:
    """What to say about a photo of another size than stated."""
    text = f"states {stated[0]}x{stated[1]}, the photo is {actual[0]}x{actual[1]}"
    if stated == actual[::-1]:
        return f"{text} once turned by its EXIF orientation; turn the pixels, or the boxes"
    return f"{text}; correct the size and the boxes, or restore the photo that was annotated"


Opener = Callable[[Path, ReadOptions], Source]
