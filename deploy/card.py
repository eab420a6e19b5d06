"""The card of a bundle: what it is, where it comes from, what was measured."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.confusion import Confusion
from deploy.dataset import Dataset
from deploy.evaluate import table
from deploy.metrics import SCORE_LIMITS, Metrics
from deploy.package import BundleInfo


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


@dataclass(frozen=True)
class Card:
    """What a card is written from.

    Attributes:
        info: the bundle.
        metrics: figures by the name of the model file's kind, the shipped one last.
        file_sizes: bytes, by the same names.
        operating_point: of the shipped file at the shipped thresholds.
    """

    info: BundleInfo
    metrics: Mapping[str, Metrics]
    file_sizes: Mapping[str, int]
    operating_point: Confusion

    def text(self) -> str:
        """The card, as Markdown."""
        info, side = self.info, self.info.spec.input_size
        sections = [
            f"# {info.name} {info.version}\n\n{info.description}. A MobileNetV2-SSDLite with\n"
            f"feature fusion, {side} x {side} pixels, quantized to full-integer INT8 (weights per\n"
            "channel). The input takes the camera's bytes as they are, less 128. Apache-2.0.",
            self._accuracy(),
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
        shipped = list(self.metrics)[-1]
        return (
            "## Accuracy\n\nOn the validation photos, through the detector that the device runs. "
            "A class counts only\non photos where it is annotated exhaustively. Shipped: "
            f"`{shipped}`.\n\n{table(dict(self.metrics))}\n| file | size |\n|---|---:|\n{sizes}"
        )

    def _thresholds(self) -> str:
        return (
            "## Thresholds\n\nShipped by class: the score of the best F1 on the validation photos, "
            f"but at least\n{SCORE_LIMITS[0]:.2f} and at most {SCORE_LIMITS[1]:.2f}; and what it "
            "gives there (which flatters a little, as the same\nphotos chose it). Raise it "
            "(`detection.min_score`) where false alarms cost more than misses.\n\n"
            + self.operating_point.markdown().rstrip()
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
        return text + "\n\nTraining and calibration used no validation photo."

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
        return f"Weights of {entry['starts_from']}{digest}, for {entry['part']}."
    phases = ", ".join(_phase(**phase) for phase in entry["phases"])
    kind = entry.get("training", "float")
    return (
        f"Training ({kind}): {phases}; batch {entry['batch']}, peak rate "
        f"{entry['learning_rate']:g}, {entry['photos']} photos."
    )


def _phase(input_size: int, epochs: int) -> str:
    return f"{epochs} epoch{'s' if epochs > 1 else ''} at {input_size} px"


def _rows(rows: object) -> str:
    return "\n".join("| " + " | ".join(str(v) for v in row) + " |" for row in rows)
