"""Data sets cut in two, and several put together; fields that only others read are kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from deploy.data.formats.base import DatasetError, exists
from deploy.data.formats.coco import check_relations, read_coco
from deploy.data.split import GAP_S, deal, read_shots
from deploy.files import write_aside
from deploy.progress import progress


@dataclass(frozen=True)
class SplitPlan:
    """How to cut a data set.

    Attributes:
        share: of the photos for validation, 0 to 1.
        seed: another one, another choice among equals.
        gap_s: photos of a camera within this time stay together.
    """

    share: float = 0.2
    seed: int = 1
    gap_s: float = GAP_S


def read_plain(annotations: Path) -> dict:
    """A COCO file as plain tables, checked.

    Raises:
        DatasetError: it is no COCO file of ours, or contradicts itself.
    """
    check_relations(read_coco(annotations), annotations)
    return json.loads(annotations.read_text("utf-8-sig"))


def split_dataset(annotations: Path, images: Path, out: Path, plan: SplitPlan) -> dict[str, dict]:
    """Write ``train.json``, ``train/``, ``val.json`` and ``val/`` into a folder.

    Returns:
        The content of both files, by name.

    Raises:
        DatasetError: photos are missing, all belong together, or files are in the way.
    """
    if not 0 < plan.share < 1:
        raise DatasetError(f"--val {plan.share}: is a share between 0 and 1, such as 0.2")
    content = read_plain(annotations)
    for name in ("train", "val"):
        _must_be_new(out / f"{name}.json")
    chosen = deal(read_shots(content, images), plan.share, plan.seed, plan.gap_s)
    if not chosen:
        raise DatasetError(
            f"{annotations}: every group of photos that belong together is larger than the share "
            f"{plan.share:g}; raise --val, lower --gap, or add photos"
        )
    parts = {}
    for name, members in (
        ("train", set(range(len(content["images"]))) - chosen),
        ("val", chosen),
    ):
        kept = [image for n, image in enumerate(content["images"]) if n in members]
        ids = {image["id"] for image in kept}
        boxes = [box for box in content["annotations"] if box["image_id"] in ids]
        parts[name] = {**content, "images": kept, "annotations": boxes}
    for name, part in parts.items():
        folder = out / name
        for image in progress(part["images"], f"copying {name}"):
            _copy(images / image["file_name"], folder / image["file_name"])
        _write(part, out / f"{name}.json")
    return parts


def merge_datasets(files: Sequence[Path], out: Path) -> dict:
    """Put data sets together; a class that one of them lacks is unknown in its photos.

    Args:
        files: COCO JSON files, each with the folder of its name beside it.
        out: the file to write; the photos go to the folder of its name.

    Raises:
        DatasetError: a file cannot be used, or files are in the way.
    """
    _must_be_new(out)
    ids: dict[str, int] = {}
    images: list[dict] = []
    boxes: list[dict] = []
    taken: set[str] = set()
    for file in files:
        content = read_plain(file)
        numbers = {c["id"]: _number(c["name"], c["id"], ids) for c in content["categories"]}
        new_ids: dict[int, int] = {}
        for image in progress(content["images"], f"copying {file.name}"):
            name = _unique(image["file_name"], taken)
            _copy(file.with_suffix("") / image["file_name"], out.with_suffix("") / name)
            new_ids[image["id"]] = len(images) + 1
            labelled = image.get("labelled", list(numbers))
            images.append({
                **image, "id": len(images) + 1, "file_name": name,
                "labelled": sorted(numbers[n] for n in labelled if n in numbers),
            })  # fmt: skip
        for box in content["annotations"]:
            category, image_id = numbers[box["category_id"]], new_ids[box["image_id"]]
            boxes.append({**box, "id": len(boxes) + 1, "image_id": image_id,
                          "category_id": category})  # fmt: skip
    categories = [{"id": n, "name": name} for name, n in sorted(ids.items(), key=lambda c: c[1])]
    merged = {"images": images, "annotations": boxes, "categories": categories}
    _write(merged, out)
    return merged


def _number(name: str, stated: int, ids: dict[str, int]) -> int:
    """The id of a class: the first one that it had, unless another class has that."""
    if name not in ids:
        free = stated not in ids.values()
        ids[name] = stated if free else max((*ids.values(), stated)) + 1
    return ids[name]


def _unique(name: str, taken: set[str]) -> str:
    path, number = PurePosixPath(name), 1
    while name.lower() in taken:
        number += 1
        name = str(path.with_name(f"{path.stem}-{number}{path.suffix}"))
    taken.add(name.lower())
    return name


def _copy(photo: Path, target: Path) -> None:
    if not exists(photo):
        raise DatasetError(f"{photo}: is missing; import the data set, or remove it there")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(photo, target)


def _must_be_new(file: Path) -> None:
    if file.exists():
        raise DatasetError(f"{file}: is there already; remove it, or choose another --out")


def _write(content: Mapping, out: Path) -> None:
    data = json.dumps(content, ensure_ascii=False).encode()
    write_aside(out, lambda file: file.write(data))


def summary(name: str, content: Mapping, labels: Collection[str] = ()) -> str:
    """A part in a line: its photos, and its objects by class."""
    names = {c["id"]: c["name"] for c in content["categories"]}
    counts = dict.fromkeys(labels or names.values(), 0)
    for box in content["annotations"]:
        counts[names[box["category_id"]]] += 1
    objects = ", ".join(f"{label} {count}" for label, count in counts.items())
    return f"{name}: {len(content['images'])} photos ({objects})"
