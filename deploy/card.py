"""The card of a bundle: what it is, where it comes from, what was measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from deploy.dataset import Dataset
from deploy.evaluate import table
from deploy.metrics import SCORE_LIMITS, Metrics
from deploy.package import BundleInfo


def provenance(dataset: Dataset, annotations: Path) -> dict[str, object]:
    """Where the training photos come from, for the manifest."""
    sources = Counter(p.source or "unnamed" for p in dataset.photos)
    boxes = Counter(dataset.categories[c].name for p in dataset.photos for c in p.classes)
    return {
        "annotations": annotations.name,
        "photos": len(dataset.photos),
        "photos_by_source": dict(sources),
        "boxes_by_class": dict(boxes),
    }


def write_card(
    path: Path,
    info: BundleInfo,
    metrics: Mapping[str, Metrics],
    file_sizes: Mapping[str, int],
    commands: str,
) -> None:
    """Write the card.

    Args:
        path: the file, `README.md` of the bundle.
        info: the bundle.
        metrics: figures by the name of the model file's kind, the shipped one last.
        file_sizes: bytes, by the same names.
        commands: the commands that made the bundle.
    """
    shipped = list(metrics)[-1]
    thresholds = "\n".join(
        f"| {label} | {score:.2f} | {metrics[shipped].classes[label].precision:.2f} "
        f"| {metrics[shipped].classes[label].recall:.2f} |"
        for label, score in info.scores.items()
    )
    sizes = "\n".join(f"| {name} | {size / 1e6:.2f} MB |" for name, size in file_sizes.items())
    sources = "\n".join(
        f"| {name} | {count} |" for name, count in info.training["photos_by_source"].items()
    )
    side = info.spec.input_size
    text = f"""# {info.name} {info.version}

{info.description}. A MobileNetV2-SSDLite with
feature fusion, {side} x {side} pixels, quantized to full-integer INT8 (weights per channel). The
input takes the camera's bytes as they are, less 128. Apache-2.0.

## Accuracy

On the validation photos, through the detector that the device runs. A class counts only on photos
where it is annotated exhaustively.

{table(dict(metrics))}
| file | size |
|---|---:|
{sizes}

## Thresholds

Shipped by class: the score of the best F1 on the validation photos, but at least
{SCORE_LIMITS[0]:.2f} and at most {SCORE_LIMITS[1]:.2f}; and what it gives there. Raise it
(`detection.min_score`) where false alarms cost more than misses.

| class | score | precision | recall |
|---|---:|---:|---:|
{thresholds}

## Where it comes from

Trained on {info.training["photos"]} street and camera photos (CC BY 4.0 exports of public
annotation projects):

| source | photos |
|---|---:|
{sources}

The backbone starts from an ImageNet MobileNetV2 (Apache-2.0), dequantized. Classes that nobody
annotated in a photo were filled by pseudo-labels of the COCO SSD MobileNetV1 detector; training
and calibration used no validation photo.

## How to rebuild it

```
{commands}
```

## Limits

Six classes. Trained on daylight streets, cameras and some infrared views; unusual viewpoints
(straight down, fisheye) and objects thinner than about 8 pixels of the network's input are found
less often. It recognizes no faces and no identities.
"""
    path.write_text(text, "utf-8")
