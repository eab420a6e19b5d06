"""Files that name classes: labels, ``data.yaml``, label maps, COCO categories."""

from __future__ import annotations

from pathlib import Path

from deploy.data.formats.base import DatasetError, read_text


def read_class_names(file: Path, first: int) -> dict[int, str]:
    """The names of numbered classes.

    Args:
        file: ``label_map.pbtxt``, ``data.yaml``, or a text file with a name a line.
        first: number of the first line of a text file.

    Raises:
        DatasetError: it is broken, or names no class.
    """
    suffix = file.suffix.lower()
    if suffix == ".pbtxt":
        from deploy.data.formats.tfrecord import read_label_map

        return read_label_map(file)
    if suffix in (".yaml", ".yml"):
        from deploy.data.formats.yolo_config import read_config

        names = read_config(file)["names"]
    else:
        lines = [line.strip() for line in read_text(file).splitlines()]
        names = {number: line for number, line in enumerate(lines, first) if line}
    if not names:
        raise DatasetError(f"{file}: names no class; write one a line")
    return names


def read_class_ids(file: Path) -> dict[str, int]:
    """Class names with the category ids to use: a COCO file's, or those of a file of names.

    Raises:
        DatasetError: it is broken, or has a class twice.
    """
    if file.suffix.lower() == ".json":
        from deploy.data.formats.coco import read_coco

        pairs = [(category.name, category.id) for category in read_coco(file).categories]
    else:
        pairs = [(name, number) for number, name in read_class_names(file, first=1).items()]
    if not pairs or len(dict(pairs)) < len(pairs):
        raise DatasetError(f"{file}: lists no class, or one of them twice; correct it")
    return dict(pairs)
