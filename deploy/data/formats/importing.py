"""From any format to what training reads: COCO JSON beside a folder of photos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from deploy.data.formats.base import Box, DatasetError, Item, Source
from deploy.data.formats.coco import CocoBox, CocoCategory, CocoFile, CocoImage
from deploy.files import write_aside
from deploy.progress import progress

SLIGHT_PX = 1.0
"""A box that leaves its photo by no more than this was rounded."""


EXAMPLES = 10
"""Of what is skipped, as many are printed."""


@dataclass(frozen=True)
class ImportPlan:
    """What to make of a source.

    Attributes:
        out: annotation file to write, DIR/train.json; the photos go to DIR/train/.
        ids: class name to category id; None numbers the source's classes from 1.
        labelled: classes that are annotated exhaustively; None for the source's whole list.
        rename: class name in the source to the name that it gets.
        only: classes to keep, by their new names; None for all.
        source: where the photos come from, for a balanced sampling; "" keeps the source's own.
        strict: whether the first photo that cannot be used ends the import.
    """

    out: Path
    ids: Mapping[str, int] | None = None
    labelled: tuple[str, ...] | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    only: tuple[str, ...] | None = None

    def name(self, label: str) -> str | None:
        """The new name of a class; None where it is left out."""
        new = self.rename.get(label, label)
        return new if self.only is None or new in self.only else None

    source: str = ""
    strict: bool = False


@dataclass
class ImportReport:
    """What was imported.

    Attributes:
        photos: how many.
        objects: by class.
        clipped: boxes that left their photo by more than a pixel, and were cut at its border.
        empty: boxes without area, left out.
        dropped: objects of the classes that are not asked for.
        skipped: photos and annotations that cannot be used, with the reason.
    """

    photos: int = 0
    objects: Counter[str] = field(default_factory=Counter)
    clipped: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    dropped: int = 0
    skipped: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The report in words."""
        counts = ", ".join(f"{name} {count}" for name, count in self.objects.most_common())
        lines = [f"{self.photos} photos, {self.objects.total()} objects ({counts or 'none'})"]
        if self.dropped:
            lines.append(f"objects of other classes, left out: {self.dropped}")
        for text, where in (
            ("cut at the photo's border", self.clipped),
            ("left out, as they have no area", self.empty),
        ):
            if where:
                lines.append(f"boxes {text}: {len(where)}, as in {'; '.join(where[:3])}")
        if self.skipped:
            lines.append(f"skipped, as they cannot be used: {len(self.skipped)}")
            lines += [f"  {reason}" for reason in self.skipped[:EXAMPLES]]
            if len(self.skipped) > EXAMPLES:
                lines.append("  ... (--strict stops at the first)")
        return lines


def import_dataset(source: Source, plan: ImportPlan) -> ImportReport:
    """Write the photos and the annotation file of a source.

    Raises:
        DatasetError: the source is empty or broken, a class has no id, or files are in the way.
    """
    if plan.out.exists():
        raise DatasetError(f"{plan.out}: is there already; remove it, or choose another --out")
    folder = plan.out.with_suffix("")
    report = ImportReport()
    images: list[CocoImage] = []
    boxes: list[tuple[int, Box]] = []
    labelled: list[tuple[str, ...] | None] = []
    taken: set[str] = set()
    for item in _usable_items(source, plan, report):
        number = len(images) + 1
        name = _place(item, folder, taken)
        origin = plan.source or item.source
        images.append(CocoImage(number, name, *item.size, source=origin))
        labelled.append(item.labelled)
        boxes += [(number, box) for box in _usable(item, plan, report)]
    if not images:
        why = report.skipped[0] if report.skipped else "the source holds no photo"
        raise DatasetError(f"nothing to import to {plan.out}: {why}")
    if len(report.skipped) > len(images):
        raise DatasetError(
            f"nothing imported to {plan.out}: {len(report.skipped)} photos or annotations cannot "
            f"be used, {len(images)} photos can; first: {report.skipped[0]}"
        )
    report.photos = len(images)
    report.objects.update(box.label for _, box in boxes)

    listed = _renamed(source.classes or (), plan)
    classes = tuple(dict.fromkeys((*listed, *sorted(report.objects))))
    ids = _ids(classes, plan)
    default = plan.labelled if plan.labelled is not None else classes
    if unknown := [name for name in default if name not in ids]:
        raise DatasetError(f"--labelled: {unknown[0]!r} is no class here; there are: {_join(ids)}")
    for image, own in zip(images, labelled, strict=True):
        exhaustive = default if own is None or plan.labelled is not None else _renamed(own, plan)
        image.labelled = sorted({ids[name] for name in exhaustive})
    categories = [CocoCategory(n, name) for name, n in sorted(ids.items(), key=lambda c: c[1])]
    annotations = [_annotation(n, image, box, ids) for n, (image, box) in enumerate(boxes, 1)]
    data = msgspec.json.encode(CocoFile(images, annotations, categories))
    write_aside(plan.out, lambda file: file.write(data))
    return report


def _usable_items(source: Source, plan: ImportPlan, report: ImportReport) -> Iterator[Item]:
    for item in progress(source.items, "importing"):
        if isinstance(item, Item):
            yield item
            continue
        if plan.strict:
            raise DatasetError(str(item))
        report.skipped.append(str(item))


def _renamed(names: tuple[str, ...], plan: ImportPlan) -> tuple[str, ...]:
    new = (plan.name(name) for name in names)
    return tuple(dict.fromkeys(name for name in new if name is not None))


def _ids(classes: tuple[str, ...], plan: ImportPlan) -> dict[str, int]:
    if not classes:
        raise DatasetError(f"{plan.out}: the source has no objects, and no list of classes")
    if plan.ids is None:
        return {name: number for number, name in enumerate(classes, 1)}
    if missing := [name for name in classes if name not in plan.ids]:
        raise DatasetError(
            f"--classes has no {_join(missing)}; it has: {_join(plan.ids)}. Add it there, "
            f"rename it with --rename {missing[0]}=NAME, or name the classes to keep with --only"
        )
    return dict(plan.ids)


def _join(names: object) -> str:
    return ", ".join(map(str, names))  # type: ignore[call-overload]


def _usable(item: Item, plan: ImportPlan, report: ImportReport) -> list[Box]:
    """The boxes of a photo within its borders, under their new names."""
    usable = []
    for box in item.boxes:
        label = plan.name(box.label)
        if label is None:
            report.dropped += 1
            continue
        limits = (*item.size, *item.size)
        inside = tuple(min(max(v, 0.0), float(m)) for v, m in zip(box.xyxy, limits, strict=True))
        where = f"{item.where} ({label})"
        if inside[2] - inside[0] <= 0 or inside[3] - inside[1] <= 0:
            report.empty.append(where)
            continue
        if max(abs(a - b) for a, b in zip(inside, box.xyxy, strict=True)) > SLIGHT_PX:
            report.clipped.append(where)
        usable.append(Box(label, (inside[0], inside[1], inside[2], inside[3]),
                          box.difficult, box.crowd, box.ignore))  # fmt: skip
    return usable


def _annotation(number: int, image: int, box: Box, ids: Mapping[str, int]) -> CocoBox:
    x1, y1, x2, y2 = box.xyxy
    bbox = (round(x1, 2), round(y1, 2), round(x2 - x1, 2), round(y2 - y1, 2))
    return CocoBox(
        id=number,
        image_id=image,
        category_id=ids[box.label],
        bbox=bbox,
        area=round(bbox[2] * bbox[3], 2),
        # COCO's evaluation leaves these out, which is what Pascal VOC asks for difficult ones.
        iscrowd=int(box.crowd or box.difficult),
        difficult=int(box.difficult),
        ignore=int(box.ignore),
    )


def _place(item: Item, folder: Path, taken: set[str]) -> str:
    """Put a photo into the folder, unless it is there; its file name, unique among ``taken``."""
    content = item.content
    if isinstance(content, Path):
        try:
            inside = content.resolve().relative_to(folder.resolve()).as_posix()
        except ValueError:
            pass
        else:
            taken.add(inside.lower())
            return inside
    name, number = item.name, 1
    while name.lower() in taken:
        number += 1
        name = f"{Path(item.name).stem}-{number}{Path(item.name).suffix}"
    taken.add(name.lower())
    target = folder / name
    data = content if isinstance(content, bytes) else content.read_bytes()
    if target.exists():
        if target.read_bytes() != data:
            raise DatasetError(f"{target}: another photo is in the way of {item.where}; remove it")
        return name
    write_aside(target, lambda file: file.write(data))
    return name
