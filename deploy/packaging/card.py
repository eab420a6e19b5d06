"""The card of a bundle: what it is, where it comes from, what was measured."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.data.dataset import Dataset
from deploy.evaluation.confusion import Confusion, confusion, false_detections
from deploy.evaluation.evaluate import table
from deploy.evaluation.gate import Loss
from deploy.evaluation.metrics import SCORE_LIMITS, Metrics
from deploy.packaging.package import BundleInfo


def provenance(dataset: Dataset, annotations: Path) -> dict[str, object]:
    """Where the training photos and their boxes come from, for the manifest."""
    content = json.loads(annotations.read_text("utf-8"))
    names = {c["id"]: c["name"] for c in content["categories"]}
    pseudo = Counter(names[b["category_id"]] for b in content["annotations"] if "pseudo" in b)
    facts = {
        "annotations": annotations.name,
        "photos": len(dataset.photos),
        "photos_by_source": Counter(p.source or "unnamed" for p in dataset.photos),
        "photos_by_licence": Counter(i.get("license", "not stated") for i in content["images"]),
        "boxes_by_class": Counter(dataset.categories[c].name for p in dataset.photos
                                  for c in p.classes.tolist()),
        "pseudo_labels_by_class": pseudo,
        "pseudo_labels_of": content.get("info", {}).get("pseudo_labels_of", []),
    }  # fmt: skip
    return {k: dict(v) if isinstance(v, Counter) else v for k, v in facts.items()}


SETS = {
    "val": "The validation photos: other clips and cameras of the places that training shows",
    "far": "Photos of other places, of kinds that training has few of",
}
"""What a set of photos is, by its name."""


@dataclass(frozen=True)
class OperatingPoint:
    """What the shipped file does at the shipped thresholds.

    Attributes:
        confusion: by class.
        false_detections: on photos in which nothing is to be found.
        empty_photos: number of those photos.
    """

    confusion: Confusion
    false_detections: int
    empty_photos: int

    @classmethod
    def measured(
        cls, annotations: Path, results: Sequence[Mapping], thresholds: Mapping[str, float]
    ) -> OperatingPoint:
        """From detections on the photos of an annotation file."""
        empty = false_detections(annotations, results, thresholds)
        return cls(confusion(annotations, results, thresholds), *empty)

    def text(self) -> str:
        """As Markdown."""
        text = self.confusion.markdown().rstrip()
        if not self.empty_photos:
            return text
        rate = 100 * self.false_detections / self.empty_photos
        return (
            f"{text}\n\nOn photos without any object of these classes: {rate:.0f} detections per "
            f"100 photos\n({self.false_detections} on {self.empty_photos})."
        )


@dataclass(frozen=True)
class Gate:
    """How the gate judged a bundle.

    Attributes:
        losses: of INT8 against float, by set of photos.
        failures: what it refused, a sentence each.
        reason: why the bundle was written nevertheless.
    """

    losses: Mapping[str, Loss]
    failures: Sequence[str] = ()
    reason: str = ""

    def text(self) -> str:
        """As Markdown."""
        rows = _rows((SETS[name], loss.ap50, loss.ap) for name, loss in self.losses.items())
        text = f"Lost by INT8:\n\n| photos | AP50 | AP |\n|---|---|---|\n{rows}"
        if not self.failures:
            return f"## The gate\n\nPassed. {text}"
        listed = "\n".join(f"- {failure}" for failure in self.failures)
        return (
            f"## The gate\n\n**Refused, and packaged nevertheless** ({self.reason}):\n\n"
            f"{listed}\n\n{text}"
        )


@dataclass(frozen=True)
class Card:
    """What a card is written from.

    Attributes:
        info: the bundle.
        metrics: by set of photos, figures by the kind of the model file, the shipped one last.
        file_sizes: bytes, by the kind of the model file.
        operating_points: of the shipped file, by set of photos.
        gate: how the gate judged it.
    """

    info: BundleInfo
    metrics: Mapping[str, Mapping[str, Metrics]]
    file_sizes: Mapping[str, int]
    operating_points: Mapping[str, OperatingPoint]
    gate: Gate

    def text(self) -> str:
        """The card, as Markdown."""
        info, side = self.info, self.info.spec.input_size
        sections = [
            f"# {info.name} {info.version}\n\n{info.description}. A MobileNetV2-SSDLite with\n"
            f"feature fusion, {side} x {side} pixels, quantized to full-integer INT8 (weights per\n"
            "channel). The input takes the camera's bytes as they are, less 128. Apache-2.0.",
            self._accuracy(),
            self.gate.text(),
            self._thresholds(),
            self._data(),
            self._training(),
            "## How to check it\n\n```\npython -m deploy verify DIR\n"
            "python -m deploy evaluate DIR --annotations val.json\n```\n\n"
            "The first compares the golden pictures (`golden.json`) with what the float model "
            "found\nin them.",
            f"## Limits\n\n{len(info.categories)} classes. Objects thinner than about 8 pixels of "
            "the network's input, and views\nthat the training photos do not show (straight down, "
            "fisheye), are found less often. It\nrecognizes no faces and no identities.",
        ]
        return "\n\n".join(sections) + "\n"

    def _accuracy(self) -> str:
        sizes = _rows((name, f"{size / 1e6:.2f} MB") for name, size in self.file_sizes.items())
        shipped = list(self.file_sizes)[-1]
        tables = "\n".join(f"{SETS[name]}:\n\n{table(m)}" for name, m in self.metrics.items())
        return (
            "## Accuracy\n\nThrough the detector that the device runs. A class counts only on "
            f"photos where it is\nannotated exhaustively. Shipped: `{shipped}`.\n\n{tables}\n"
            f"| file | size |\n|---|---:|\n{sizes}"
        )

    def _thresholds(self) -> str:
        points = "\n\n".join(
            f"{SETS[name]}:\n\n{point.text()}" for name, point in self.operating_points.items()
        )
        return (
            "## Thresholds\n\nShipped by class: the score of the best F1 on photos of other "
            "places, or, for\nclasses that those show seldom, on the validation photos; at least "
            f"{SCORE_LIMITS[0]:.2f} and at most\n{SCORE_LIMITS[1]:.2f}. What it gives there "
            "flatters a little, as the same photos chose it. Raise it\n(`detection.min_score`) "
            f"where false alarms cost more than misses.\n\n{points}"
        )

    def _data(self) -> str:
        facts = self.info.training
        licences = ", ".join(f"{n} under {name}" for name, n in facts["photos_by_licence"].items())
        text = (
            f"## Data\n\n{facts['photos']} training photos ({licences}):\n\n"
            f"| source | photos |\n|---|---:|\n{_rows(facts['photos_by_source'].items())}\n\n"
        )
        boxes = _rows(
            (label, count, facts["pseudo_labels_by_class"].get(label, 0))
            for label, count in facts["boxes_by_class"].items()
        )
        text += f"| class | boxes | of these pseudo-labels |\n|---|---:|---:|\n{boxes}"
        if teachers := facts["pseudo_labels_of"]:
            text += (
                "\n\nPseudo-labels fill classes that nobody annotated in a photo; they are those "
                f"of {' and '.join(teachers)}."
            )
        return text + "\n\nTraining and calibration used none of the photos that are measured on."

    def _training(self) -> str:
        steps = "\n".join(
            f"{number}. {_sentence(entry)}"
            for number, entry in enumerate(self.info.training.get("lineage", []), 1)
        )
        return f"## Training\n\n{steps or 'Not recorded.'}"


def _sentence(entry: Mapping) -> str:
    """A step of the lineage in words."""
    if "starts_from" in entry:
        digest = f" (SHA-256 {entry['sha256'][:12]}...)" if "sha256" in entry else ""
        return f"Weights of {entry['starts_from']}{digest}: {entry['part']}."
    if "mean_with" in entry:
        return f"Mean of the weights with those of {entry['mean_with']}, share {entry['share']:g}."
    if "dense_teacher" in entry:
        return f"{entry['dense_teacher']} taught every anchor."
    if "classes" in entry:
        return f"Kept the classes {', '.join(entry['classes'])}."
    phases = ", ".join(_phase(**phase) for phase in entry["phases"])
    kind = entry.get("training", "float")
    stopped = f", stopped {entry['stopped']}" if "stopped" in entry else ""
    only = f", layers {', '.join(entry['only'])} alone" if entry.get("only") else ""
    return (
        f"Training ({kind}{only}): {phases}{stopped}; batch {entry['batch']}, peak rate "
        f"{entry['learning_rate']:g}, {entry['photos']} photos."
    )


def _phase(input_size: int, epochs: int) -> str:
    return f"{epochs} epoch{'s' if epochs > 1 else ''} at {input_size} px"


def _rows(rows: object) -> str:
    return "\n".join("| " + " | ".join(str(v) for v in row) + " |" for row in rows)
