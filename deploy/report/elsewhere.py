"""How far a model carries: photos of other places, source by source, and photos of nothing."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.evaluation.confusion import false_detections
from deploy.evaluation.metrics import measure
from deploy.files import write_aside
from deploy.report.content import Elsewhere


@dataclass(frozen=True)
class PhotoSet:
    """Photos that are measured on.

    Attributes:
        annotations: COCO JSON of the network's classes alone.
        images: the folder of the photos.
        sources: annotations of each source's photos alone, by its name.
    """

    annotations: Path
    images: Path
    sources: Mapping[str, Path]


def photo_set(annotations: Path, images: Path, work: Path) -> PhotoSet:
    """A set of photos, and its parts by source, which are written to ``work``."""
    content = json.loads(annotations.read_text("utf-8"))
    photos = defaultdict(list)
    for image in content["images"]:
        photos[image.get("source") or "unnamed"].append(image)
    parts = {}
    for source, images_of in photos.items():
        ids = {image["id"] for image in images_of}
        boxes = [a for a in content["annotations"] if a["image_id"] in ids]
        part = json.dumps(content | {"images": images_of, "annotations": boxes}).encode()
        parts[source] = work / f"{annotations.stem}-{source}.json"
        write_aside(parts[source], lambda file, part=part: file.write(part))
    return PhotoSet(annotations, images, parts)


def by_source(photos: PhotoSet, results: Sequence[Mapping]) -> dict[str, float]:
    """Mean AP50 by source; without the sources in which no class is annotated."""
    figures = {}
    for source, file in photos.sources.items():
        ids = {i["id"] for i in json.loads(file.read_text("utf-8"))["images"]}
        metrics = measure(file, [r for r in results if r["image_id"] in ids])
        if any(c.objects for c in metrics.classes.values()):
            figures[source] = metrics.ap50
    return figures


def elsewhere(
    photos: PhotoSet, results: Sequence[dict], thresholds: Mapping[str, float]
) -> Elsewhere:
    """Figures of a model on photos of other places.

    Args:
        photos: of other places.
        results: COCO results of the model on them.
        thresholds: by label, the lowest score of a detection that the model ships.
    """
    metrics = measure(photos.annotations, list(results))
    count, empty = false_detections(photos.annotations, results, thresholds)
    return Elsewhere(
        metrics=metrics, sources=by_source(photos, results),
        false_detections=count, empty_photos=empty,
    )  # fmt: skip
