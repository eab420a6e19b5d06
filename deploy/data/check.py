"""What is wrong with a data set, and how its classes are spread, before hours of training.

Errors would make a training or its figures wrong: broken photos, impossible boxes. Warnings are for
a person to judge: look-alikes between the splits, classes without objects.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from deploy.data.alike import ALIKE_BITS, Look, alike, measure
from deploy.data.dataset import DatasetError
from deploy.data.formats.base import BROKEN_PHOTO, find_photos, wrong_size
from deploy.data.formats.coco import CocoBox, CocoFile, CocoImage, read_coco
from deploy.progress import progress

SMALL_PX, MEDIUM_PX = 32**2, 96**2
"""COCO's limits of the area of small and medium objects."""
OUTSIDE_PX = 1.0
"""By how much a box may leave its photo: tools round."""
EXAMPLES = 5
"""Cases that the report in words names of each kind; the one in JSON has all."""


class Problem(msgspec.Struct):
    """A kind of defect ("error" or "warning") in a split, how often it occurs, and each case."""

    level: str
    split: str
    what: str
    count: int
    cases: list[str]


class Balance(msgspec.Struct):
    """How often a class occurs, on the photos where it is annotated exhaustively.

    Attributes:
        labelled: photos on which it is annotated, whether there are any objects of it or not.
        photos: photos with an object of it.
        objects: its objects, without crowds and difficult ones.
        small, medium, large: of those, by area (below 32² and 96² pixels, above).
        sources: objects by source of the photo.
    """

    labelled: int = 0
    photos: int = 0
    objects: int = 0
    small: int = 0
    medium: int = 0
    large: int = 0
    sources: dict[str, int] = {}


class Split(msgspec.Struct):
    """The contents of one annotation file."""

    file: str
    photos: int
    sources: dict[str, int]
    classes: dict[str, Balance]


class Report(msgspec.Struct):
    """What ``check`` found."""

    splits: dict[str, Split]
    problems: list[Problem]

    @property
    def errors(self) -> int:
        """How many defects make the data set unusable."""
        return sum(p.count for p in self.problems if p.level == "error")


@dataclass
class _Findings:
    split: str
    cases: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))

    def error(self, what: str, case: str) -> None:
        self.cases["error", what].append(case)

    def warn(self, what: str, case: str) -> None:
        self.cases["warning", what].append(case)

    def problems(self) -> list[Problem]:
        return [
            Problem(level, self.split, what, len(cases), cases)
            for (level, what), cases in sorted(self.cases.items())
        ]


def find_splits(paths: Sequence[Path]) -> list[Path]:
    """The annotation files of folders (``train.json``, ``val.json``, ``test.json``) and files.

    Raises:
        DatasetError: a folder has none of them, or two files have the same name.
    """
    files: list[Path] = []
    for path in paths:
        found = [path]
        if path.is_dir():
            found = [f for s in ("train", "val", "test") if (f := path / f"{s}.json").is_file()]
        if not found:
            raise DatasetError(
                f"{path}: holds no train.json, val.json or test.json; name the annotation file, "
                "or convert another format with `dataset import`"
            )
        files += found
    return list(dict.fromkeys(files))


def check(
    files: Sequence[Path], images: Path | None = None, alike_bits: int = ALIKE_BITS
) -> Report:
    """Check annotation files and their photos.

    Args:
        files: COCO JSON files, each of a split.
        images: folder of the photos; None is the folder beside each file that has its name.
        alike_bits: the most bits in which the hashes of look-alikes differ.

    Raises:
        DatasetError: a file is no COCO JSON; nothing else can be said then.
    """
    contents = {str(file): read_coco(file) for file in files}
    splits, problems = {}, []
    looks: dict[str, list[Look]] = {}
    for file in files:
        content = contents[str(file)]
        name = file.stem if [f.stem for f in files].count(file.stem) == 1 else str(file)
        findings = _Findings(name)
        _check_lists(content, findings)
        _check_boxes(content, findings)
        looks[name] = _check_photos(content, images or file.with_suffix(""), findings)
        _check_same(looks[name], findings)
        splits[name] = _summary(content, str(file), findings)
        problems += findings.problems()
    problems += _check_categories(contents)
    problems += _check_alike(looks, alike_bits)
    problems.sort(key=lambda p: p.level)
    return Report(splits, problems)


def _twice(values: Iterable[object]) -> list[str]:
    seen: set[object] = set()
    twice: dict[object, None] = {}
    for value in values:
        if value in seen:
            twice[value] = None
        seen.add(value)
    return [str(value) for value in twice]


def _check_lists(content: CocoFile, findings: _Findings) -> None:
    if not content.images:
        findings.error("no images listed", "`images` is empty")
    if not content.categories:
        findings.error("no categories listed", "`categories` is empty")
    for what, values in (
        ("image ids used twice", [i.id for i in content.images]),
        ("photos listed twice", [i.file_name for i in content.images]),
        ("annotation ids used twice", [b.id for b in content.annotations]),
        ("category ids used twice", [c.id for c in content.categories]),
        ("category names used twice", [c.name for c in content.categories]),
    ):
        for value in _twice(values):
            findings.error(what, value)
    known = set(content.ids.values())
    for image in content.images:
        if unlisted := set(image.labelled or ()) - known:
            findings.error("`labelled` names unknown categories", f"{image.file_name}: {unlisted}")


def _check_boxes(content: CocoFile, findings: _Findings) -> None:
    images = {image.id: image for image in content.images}
    known = set(content.ids.values())
    if content.annotations and max(max(b.bbox) for b in content.annotations) <= 1:
        findings.error("boxes are fractions, not pixels", "no coordinate is above 1")
    for box in content.annotations:
        image = images.get(box.image_id)
        if image is None:
            findings.error("annotations of unlisted images", f"annotation {box.id}")
            continue
        if box.category_id not in known:
            findings.error("annotations of unlisted categories", f"annotation {box.id}")
        x, y, width, height = box.bbox
        case = f"{image.file_name}: annotation {box.id}, {[x, y, width, height]}"
        if width <= 0 or height <= 0:
            findings.error("boxes without area", case)
        elif _leaves(box, image):
            findings.error("boxes that leave their photo", f"{case} of {_stated(image)}")
        if box.category_id not in content.labelled(image) and not box.is_region:
            findings.warn(
                "objects of classes not in `labelled` (trained on, never evaluated)", case
            )


def _leaves(box: CocoBox, image: CocoImage) -> bool:
    x, y, width, height = box.bbox
    right = image.width or np.inf
    bottom = image.height or np.inf
    return (
        min(x, y) < -OUTSIDE_PX
        or x + width > right + OUTSIDE_PX
        or y + height > bottom + OUTSIDE_PX
    )


def _stated(image: CocoImage) -> str:
    return f"{image.width}x{image.height}"


def _check_photos(content: CocoFile, folder: Path, findings: _Findings) -> list[Look]:
    looks = []
    for image in progress(content.images, f"photos of {findings.split}"):
        path = folder / image.file_name
        try:
            data = path.read_bytes()
            size, bits = measure(data)
        except FileNotFoundError:
            findings.error("photos missing", str(path))
            continue
        except BROKEN_PHOTO as error:
            findings.error("photos broken", f"{path}: {error}")
            continue
        stated = (image.width, image.height)
        if 0 in stated:
            findings.warn("photos without a stated size", image.file_name)
        elif size != stated:
            findings.error("sizes wrong", f"{image.file_name}: {wrong_size(stated, size)}")
        looks.append(Look(image.file_name, hashlib.sha256(data).digest(), bits))
    if folder.is_dir():
        listed = {image.file_name for image in content.images}
        for path in find_photos(folder):
            if (name := path.relative_to(folder).as_posix()) not in listed:
                findings.warn("photos in the folder, but not listed", name)
    return looks


def _check_same(looks: list[Look], findings: _Findings) -> None:
    first: dict[bytes, str] = {}
    for look in looks:
        if look.digest in first:
            findings.warn("files with the same bytes", f"{look.name} = {first[look.digest]}")
        first.setdefault(look.digest, look.name)


def _check_alike(looks: dict[str, list[Look]], alike_bits: int) -> list[Problem]:
    problems = []
    names = list(looks)
    for number, one in enumerate(names):
        for other in names[number + 1 :]:
            findings = _Findings(f"{one} and {other}")
            pairs = sorted(alike(looks[one], looks[other], alike_bits), key=lambda pair: pair[2])
            for a, b, bits in pairs:
                if a.digest == b.digest:
                    findings.warn("files with the same bytes", f"{a.name} = {b.name}")
                else:
                    findings.warn("photos that look alike: the same photo, or the same scene",
                                  f"{a.name} ~ {b.name} ({bits} bits of 64)")  # fmt: skip
            problems += findings.problems()
    return problems


def _check_categories(contents: dict[str, CocoFile]) -> list[Problem]:
    findings = _Findings("all")
    ids: dict[str, tuple[int, str]] = {}
    for file, content in contents.items():
        for name, number in content.ids.items():
            first, where = ids.setdefault(name, (number, file))
            if first != number:
                findings.error(
                    "categories numbered differently (import with --classes of the first file)",
                    f"{name} is {first} in {where}, {number} in {file}",
                )
    return findings.problems()


def _summary(content: CocoFile, file: str, findings: _Findings) -> Split:
    names = {category.id: category.name for category in content.categories}
    classes = {name: Balance(sources={}) for name in names.values()}
    images = {image.id: image for image in content.images}
    sources: dict[str, int] = defaultdict(int)
    for image in content.images:
        sources[image.source] += 1
        for number in set(content.labelled(image)) & names.keys():
            classes[names[number]].labelled += 1
    seen = set()
    for box in content.annotations:
        image = images.get(box.image_id)
        if image is None or box.iscrowd or box.category_id not in names:
            continue
        if box.category_id not in content.labelled(image):
            continue
        _count(classes[names[box.category_id]], box, image.source)
        seen.add((box.category_id, box.image_id))
    for number, _ in seen:
        classes[names[number]].photos += 1
    for name, balance in classes.items():
        if not balance.objects:
            findings.warn("classes without an object", name)
    return Split(file, len(content.images), dict(sources), classes)


def _count(balance: Balance, box: CocoBox, source: str) -> None:
    balance.objects += 1
    balance.sources[source] = balance.sources.get(source, 0) + 1
    if box.pixels < SMALL_PX:
        balance.small += 1
    elif box.pixels < MEDIUM_PX:
        balance.medium += 1
    else:
        balance.large += 1


def lines(report: Report) -> list[str]:
    """The report in words and tables."""
    rows = []
    for name, split in report.splits.items():
        objects = sum(b.objects for b in split.classes.values())
        rows += ["", f"{name}: {split.photos} photos, {objects} objects ({split.file})"]
        head = f"  {'class':14}{'objects':>8}{'small':>8}{'medium':>8}{'large':>8}"
        rows.append(head + f"{'photos':>8}{'of':>8} labelled")
        for label, b in split.classes.items():
            counts = (b.objects, b.small, b.medium, b.large, b.photos, b.labelled)
            rows.append(f"  {label:14}" + "".join(f"{count:8}" for count in counts))
        if set(split.sources) != {""}:
            rows += _source_lines(split)
    for p in report.problems:
        rows += ["", f"{p.level}: {p.split}: {p.what}: {p.count}"]
        rows += [f"  {case}" for case in p.cases[:EXAMPLES]]
        if p.count > EXAMPLES:
            rows.append("  ...")
    return [*rows, "", "no problems" if not report.problems else f"{report.errors} errors"]


def _source_lines(split: Split) -> list[str]:
    labels = list(split.classes)
    rows = [f"  {'source':14}{'photos':>8}" + "".join(f"{label[:11]:>12}" for label in labels)]
    for source, photos in sorted(split.sources.items(), key=lambda s: -s[1]):
        counts = [split.classes[label].sources.get(source, 0) for label in labels]
        rows.append(f"  {source[:14]:14}{photos:8}" + "".join(f"{c:12}" for c in counts))
    return rows
