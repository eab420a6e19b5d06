"""A data set cut into training and validation, so that look-alikes stay on one side.

Photos of one camera within a short time, and photos that look alike, are one group: a model is
measured too well on a photo whose look-alike it was trained on. Groups are dealt out whole, so that
each class has its share on both sides as far as they allow (after K. Sechidis et al., "On the
Stratification of Multi-Label Data", 2011).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from deploy.data.alike import Look, alike, measure
from deploy.data.formats.base import BROKEN_PHOTO, DatasetError, open_photo
from deploy.progress import progress

ALIKE_BITS = 8
"""Photos of one camera whose hashes differ in no more bits of 64 are one group."""
GAP_S = 60.0
"""Photos of one camera that follow each other within this time are one group."""

_EXIF_TIMES = (0x9003, 0x0132)  # When it was taken (in the Exif part), and when it was changed.
_EXIF_PART = 0x8769
_IN_NAME = re.compile(
    r"(?<!\d)(20\d\d)-?([01]\d)-?([0-3]\d)[T_ -]?([0-2]\d)[:.-]?([0-5]\d)[:.-]?([0-5]\d)(?!\d)"
)


@dataclass(frozen=True)
class Shot:
    """A photo as the split sees it.

    Attributes:
        name: its file name.
        camera: what took it, as far as known.
        time_s: when, in seconds since 1970; None where it is not known.
        look: for look-alikes.
        labels: its classes, each once.
    """

    name: str
    camera: str
    time_s: float | None
    look: Look
    labels: frozenset[str]


def read_shot(path: Path, name: str, camera: str, labels: frozenset[str]) -> Shot:
    """Measure a photo.

    Raises:
        DatasetError: it is missing, or broken.
    """
    try:
        data = path.read_bytes()
        _, bits = measure(data)
        with open_photo(data) as photo:
            time_s = _time_in_name(path.name) or _time_in_photo(photo)
    except BROKEN_PHOTO as error:
        raise DatasetError(
            f"{path}: cannot be read ({error}); remove it with `dataset import`"
        ) from error
    return Shot(name, camera, time_s, Look(name, b"", bits), labels)


def _time_in_name(name: str) -> float | None:
    match = _IN_NAME.search(name)
    return _seconds(" ".join(match.groups())) if match else None


def _time_in_photo(photo: Image.Image) -> float | None:
    exif = photo.getexif()
    stated = (exif.get_ifd(_EXIF_PART).get(_EXIF_TIMES[0]), exif.get(_EXIF_TIMES[1]))
    texts = (str(text).replace(":", " ").strip(" \0") for text in stated if text)
    return next((time_s for text in texts if (time_s := _seconds(text)) is not None), None)


def _seconds(text: str) -> float | None:
    try:
        return datetime.strptime(text, "%Y %m %d %H %M %S").timestamp()
    except ValueError:
        return None


def camera_of(file_name: str, source: str) -> str:
    """What took a photo: its source, else its folder, else the words that its name begins with.

    >>> camera_of("porch/1.jpg", ""), camera_of("gate_20261130_120000.jpg", "")
    ('porch', 'gate')
    """
    if source:
        return source
    folder, _, name = file_name.rpartition("/")
    return folder or re.split(r"[^a-zA-Z]*\d", name.rsplit(".", 1)[0], maxsplit=1)[0]


def groups(shots: Sequence[Shot], gap_s: float = GAP_S, bits: int = ALIKE_BITS) -> list[list[int]]:
    """The positions of photos that belong together, a list a group."""
    parents = list(range(len(shots)))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = index = parents[parents[index]]
        return index

    cameras: dict[str, list[int]] = defaultdict(list)
    for index, shot in enumerate(shots):
        cameras[shot.camera].append(index)
    position = {shot.name: index for index, shot in enumerate(shots)}
    for members in cameras.values():
        timed = [(t, i) for i in members if (t := shots[i].time_s) is not None]
        timed.sort()
        for (before, one), (after, other) in pairwise(timed):
            if after - before <= gap_s:
                parents[root(one)] = root(other)
        looks = [shots[i].look for i in members]
        for a, b, _ in alike(looks, looks, bits):
            parents[root(position[a.name])] = root(position[b.name])
    found: dict[int, list[int]] = defaultdict(list)
    for index in range(len(shots)):
        found[root(index)].append(index)
    return list(found.values())


def deal(shots: Sequence[Shot], share: float, seed: int, gap_s: float = GAP_S) -> set[int]:
    """The positions of the photos for validation.

    Args:
        shots: the photos.
        share: of them, 0 to 1.
        seed: of the order in which groups of equal use are taken.
        gap_s: see ``groups``.

    Raises:
        DatasetError: all photos are one group.
    """
    together = groups(shots, gap_s)
    if len(together) < 2:
        raise DatasetError(
            f"all {len(shots)} photos are of one camera within {gap_s:g} s of each other, or look "
            "alike: a split would measure what was trained on; add photos of other days or places, "
            "or lower --gap"
        )
    order = np.random.default_rng(seed).permutation(len(together))
    counts = [_classes(shots, together[index]) for index in order]
    total: Counter[str] = sum(counts, Counter())
    wanted = {label: share * count for label, count in total.items()}
    chosen: set[int] = set()
    left = list(range(len(counts)))
    while len(left) > 1:
        gains = [_gain(counts[index], wanted) for index in left]
        best = int(np.argmax(gains))
        if gains[best] <= 0:
            break
        index = left.pop(best)
        chosen.add(index)
        for label, count in counts[index].items():
            wanted[label] -= count
    return {member for index in chosen for member in together[order[index]]}


def _classes(shots: Sequence[Shot], members: Sequence[int]) -> Counter[str]:
    """Photos of a group, by class; "" counts all of them."""
    return Counter(label for i in members for label in (*shots[i].labels, ""))


def _gain(counts: Mapping[str, int], wanted: Mapping[str, float]) -> float:
    """By how much a group brings validation nearer to its shares; rare classes weigh more."""
    gain = 0.0
    for label, count in counts.items():
        lack = wanted[label]
        scale = max(abs(lack), 1.0)
        gain += (abs(lack) - abs(lack - count)) / scale
    return gain


def read_shots(content: Mapping, folder: Path) -> list[Shot]:
    """The photos of a COCO file (as plain tables), measured."""
    names = {c["id"]: c["name"] for c in content["categories"]}
    labels: dict[int, set[str]] = defaultdict(set)
    for box in content["annotations"]:
        labels[box["image_id"]].add(names[box["category_id"]])
    return [
        read_shot(
            folder / image["file_name"],
            image["file_name"],
            camera_of(image["file_name"], image.get("source", "")),
            frozenset(labels[image["id"]]),
        )
        for image in progress(content["images"], "measuring")
    ]
