"""YOLO: a text file a photo, a line a box: class, centre, width and height as fractions."""

from __future__ import annotations

from pathlib import Path

from deploy.data.formats.base import (
    SPLITS,
    Box,
    DatasetError,
    Item,
    ReadOptions,
    Source,
    check_fractions,
    choose_split,
    each_item,
    exists,
    find_photos,
    photo_facts,
    read_text,
)
from deploy.data.formats.finding import child, glob_any_case
from deploy.data.formats.labels import read_class_names
from deploy.data.formats.yolo_config import read_config

_NAME_FILES = ("classes.txt", "obj.names", "labels/classes.txt")


def open_yolo(path: Path, options: ReadOptions) -> Source:
    """Open a data set's ``data.yaml``, or its folder.

    The names of the classes come from ``options.names``, ``data.yaml``, or ``classes.txt``
    (LabelImg) or ``obj.names`` (Darknet) in the folder. The label file of ``images/x.jpg`` is
    ``labels/x.txt``, or ``x.txt`` beside the photo. A photo without one has no objects.

    Raises:
        DatasetError: it has no class names, no photos, or no label file at all.
    """
    config_file = path if path.is_file() else _config_file(path)
    folder = path.parent if path.is_file() else path
    config = read_config(config_file) if config_file else {}
    names = dict(options.names) or config.get("names") or _names_beside(folder)
    if not names:
        raise DatasetError(
            f"{path}: has no data.yaml with names, no classes.txt and no obj.names; "
            "give the names of the classes, one a line, with --names"
        )
    if options.photos:
        photos = _listed(options.photos)
    elif config_file and any(config.get(split) for split in SPLITS):
        photos = _configured(config_file, config, options.split)
    else:
        photos = _in_folder(folder, options.split)
    if not photos:
        raise DatasetError(f"{path}: no photos found; name their folder with --photos")
    if not any(_label_file(photo) for photo in photos):
        raise DatasetError(
            f"{path}: none of {len(photos)} photos has a label file; {photos[0]} needs "
            f"{photos[0].with_suffix('.txt').name} beside it, or in labels/ beside images/"
        )
    return Source(
        tuple(dict.fromkeys(names.values())),
        each_item(photos, str, lambda photo: _item(photo, names)),
    )


def _config_file(folder: Path) -> Path | None:
    files = [folder / "data.yaml", folder / "dataset.yaml", *sorted(folder.glob("*.y*ml"))]
    return next((file for file in files if file.is_file()), None)


def _names_beside(folder: Path) -> dict[int, str]:
    found = next((f for name in _NAME_FILES for f in glob_any_case(folder, name)), None)
    return read_class_names(found, first=0) if found else {}


def _configured(file: Path, config: dict, wanted: str | None) -> list[Path]:
    split = choose_split((s for s in SPLITS if config.get(s)), wanted, file)
    entries = config[split]
    root = file.parent
    if isinstance(config.get("path"), str):
        root = root / Path(config["path"]).expanduser()
    photos: list[Path] = []
    for entry in entries if isinstance(entries, list) else [entries]:
        if not isinstance(entry, str):
            raise DatasetError(f"{file}: `{split}` is neither a folder nor a list; correct it")
        # Roboflow writes ../train/images where train/images is meant.
        places = [root / entry, file.parent / entry, file.parent / entry.removeprefix("../")]
        place = next((p for p in places if exists(p)), None)
        if place is None:
            raise DatasetError(f"{file}: `{split}` names {entry}, which is not there; correct it")
        photos += _listed(place)
    return photos


def _listed(place: Path) -> list[Path]:
    """The photos in a folder, or those that a text file lists."""
    if place.is_dir():
        return find_photos(place)
    lines = [line.strip() for line in read_text(place).splitlines()]
    return [place.parent / line for line in lines if line]


def _in_folder(folder: Path, wanted: str | None) -> list[Path]:
    places = {
        split: place
        for split in SPLITS
        for place in (
            child(child(folder, "images"), split),
            child(child(folder, split), "images"),
            child(folder, split),
        )
        if find_photos(place)
    }
    split = choose_split(places, wanted, folder)
    return find_photos(places[split] if split else folder)


def _label_file(photo: Path) -> Path | None:
    parts = list(photo.parts)
    beside = photo.with_suffix(".txt")
    lower = [part.lower() for part in parts]
    if "images" in lower[:-1]:
        place = len(parts) - 2 - lower[-2::-1].index("images")
        labels = child(Path(*parts[:place]), "labels")
        mirrored = labels.joinpath(*parts[place + 1 :]).with_suffix(".txt")
        if exists(mirrored):
            return mirrored
    return beside if exists(beside) else None


def _item(photo: Path, names: dict[int, str]) -> Item:
    size, _ = photo_facts(photo, str(photo))
    file = _label_file(photo)
    lines = read_text(file).splitlines() if file else []
    boxes = tuple(
        parse_line(line, names, size, f"{file}:{number}")
        for number, line in enumerate(lines, 1)
        if line.strip()
    )
    return Item(str(file or photo), photo.name, photo, size, boxes)


def parse_line(line: str, names: dict[int, str], size: tuple[int, int], where: str) -> Box:
    """A line of a label file: class and box, or class and polygon (whose bounds are the box).

    Args:
        line: ``class x y width height`` or ``class x1 y1 x2 y2 x3 y3 ...``.
        names: number to name of the classes.
        size: width and height of the photo in pixels.
        where: file and line, for messages.

    Raises:
        DatasetError: it is neither, not in fractions, or of a class that has no name.
    """
    number, *rest = line.split()
    try:
        class_number, values = int(number), [float(value) for value in rest]
    except ValueError as error:
        raise DatasetError(f"{where}: {error}; a line is: class x y width height") from error
    if len(values) != 4 and (len(values) < 6 or len(values) % 2):
        raise DatasetError(
            f"{where}: has {len(values)} numbers after the class; a box has 4 (x y width height), "
            "a polygon an even number from 6"
        )
    if class_number not in names:
        raise DatasetError(
            f"{where}: class {class_number} is not among the names (0 to {max(names)}); "
            "add its name to data.yaml, classes.txt or --names"
        )
    check_fractions(values, where)
    if len(values) == 4:
        x, y, width, height = values
        left, top, right, bottom = x - width / 2, y - height / 2, x + width / 2, y + height / 2
    else:
        left, top, right, bottom = (
            min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])
        )  # fmt: skip
    across, down = size
    return Box(names[class_number], (left * across, top * down, right * across, bottom * down))
