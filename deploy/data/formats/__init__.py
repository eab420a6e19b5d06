"""Data sets of other tools: Pascal VOC, YOLO, TFRecord and COCO, each in a module of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from deploy.data.formats.base import SPLITS, DatasetError, Opener, ReadOptions, Source, choose_split
from deploy.data.formats.finding import child, glob_any_case

FORMATS = ("coco", "voc", "yolo", "tfrecord")

_BY_SUFFIX = {".json": "coco", ".xml": "voc", ".yaml": "yolo", ".yml": "yolo"}
_IN_FOLDER = {
    "voc": ("*.xml", "Annotations/*.xml"),
    "yolo": ("*.yaml", "*.yml", "classes.txt", "obj.names", "labels/*.txt", "labels/*/*.txt"),
    "tfrecord": ("*.tfrecord*", "*.tfrec", "*.record*"),
}


def detect_format(path: Path) -> str:
    """The format of a file or folder, by its suffix or by what the folder holds.

    Raises:
        DatasetError: it is not there, or of no format alone.
    """
    if path.is_file():
        return _BY_SUFFIX.get(path.suffix.lower(), "tfrecord")
    if not path.is_dir():
        raise DatasetError(f"{path}: no such file or folder")
    folders = [path, *(child(path, split) for split in SPLITS)]
    found = [name for name in FORMATS if any(_holds(folder, name) for folder in folders)]
    if not found and next(glob_any_case(path, "**/*.xml"), None):
        return "voc"  # A folder a camera, each with its photos and their files.
    if len(found) != 1:
        seen = " and ".join(found) if found else "no annotations of a known format"
        raise DatasetError(f"{path}: holds {seen}; name the format with --format")
    return found[0]


def open_source(path: Path, options: ReadOptions, name: str | None = None) -> Source:
    """Open a data set of another tool.

    Args:
        path: its file or folder.
        options: what its files leave open.
        name: one of ``FORMATS``; None detects it.

    Raises:
        DatasetError: it is broken, or of no known format.
    """
    name = name or detect_format(path)
    opener = _opener(name)
    # YOLO's splits may be in its data.yaml, or in folders of folders: it finds them itself.
    if path.is_dir() and name != "yolo" and not _holds(path, name):
        split = choose_split(
            (s for s in SPLITS if _holds(child(path, s), name)), options.split, path
        )
        if split:
            return opener(child(path, split), replace(options, split=None))
    return opener(path, options)


def _holds(folder: Path, name: str) -> bool:
    if name == "coco":
        from deploy.data.formats.coco import annotation_files

        return bool(annotation_files(folder))
    return any(next(glob_any_case(folder, pattern), None) for pattern in _IN_FOLDER[name])


def _opener(name: str) -> Opener:
    match name:
        case "coco":
            from deploy.data.formats.coco import open_coco as opener
        case "voc":
            from deploy.data.formats.voc import open_voc as opener
        case "yolo":
            from deploy.data.formats.yolo import open_yolo as opener
        case "tfrecord":
            from deploy.data.formats.tfrecord import open_tfrecords as opener
        case _:
            raise DatasetError(f"no format {name!r}; there are: {', '.join(FORMATS)}")
    return opener
