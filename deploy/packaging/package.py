"""The bundle that the device runs: model, labels, manifest and card in one folder."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import tomli_w
from ai_edge_litert.interpreter import Interpreter

from deploy.data.dataset import Category
from deploy.quantization.export import BOXES, LOGITS
from deploy.training.network import NetworkSpec

DEFAULT_SCORE = 0.4


@dataclass(frozen=True)
class BundleInfo:
    """What the manifest says beside what the model file says itself.

    Attributes:
        name: of the bundle.
        version: of the bundle.
        description: one line.
        spec: the network.
        categories: in the order of the network's outputs.
        scores: by label, the lowest score of a detection.
        training: provenance: data, warm start, settings.
        figures: what was measured.
    """

    name: str
    version: str
    description: str
    spec: NetworkSpec
    categories: Sequence[Category]
    scores: Mapping[str, float] = field(default_factory=dict)
    training: Mapping[str, object] = field(default_factory=dict)
    figures: Mapping[str, object] = field(default_factory=dict)


def write_bundle(model: Path, info: BundleInfo, out: Path) -> None:
    """Write model, labels and manifest into a folder, which is made if it is missing."""
    out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(model, out / "model.tflite")
    labels = "".join(f"{c.name}\n" for c in info.categories)
    (out / "labels.txt").write_text(labels, "utf-8")
    (out / "manifest.toml").write_text(
        tomli_w.dumps(_manifest(out / "model.tflite", info)), "utf-8"
    )


@contextmanager
def staged_bundle(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` that takes its place when the block ends without an error.

    The bundle that was there stays until the new one is whole.
    """
    aside, old = (out.with_name(f".{out.name}.{part}") for part in ("partial", "old"))
    shutil.rmtree(aside, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        yield aside
        if out.exists():
            out.rename(old)
        aside.rename(out)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _manifest(model: Path, info: BundleInfo) -> dict:
    interpreter = Interpreter(str(model))
    source = interpreter.get_input_details()[0]
    outputs = interpreter.get_signature_runner().get_output_details()
    anchors = info.spec.anchors()
    return {
        "model": {
            "name": info.name,
            "version": info.version,
            "description": info.description,
            "architecture": "ssd",
            "licence": "Apache-2.0",
            "file": "model.tflite",
            "sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        },
        "input": {
            "tensor": source["name"],
            "height": int(source["shape"][1]),
            "width": int(source["shape"][2]),
            "dtype": source["dtype"].__name__,
            "colour": "rgb",
            "resize": "stretch",
        },
        "anchors": {
            "strides": list(anchors.strides),
            "steps": list(anchors.steps or anchors.strides),
            "offsets": list(anchors.offsets or ()),
            "shapes": [
                [[round(side, 3) for side in shape] for shape in shapes]
                for shapes in anchors.shapes
            ],
            "variances": list(anchors.variances),
        },
        "outputs": {"logits": outputs[LOGITS]["name"], "boxes": outputs[BOXES]["name"]},
        "scores": {
            "activation": "sigmoid",
            "default": DEFAULT_SCORE,
            "by_label": dict(info.scores),
        },
        "labels": [{"id": c.id, "name": c.name} for c in info.categories],
        "training": dict(info.training),
        "figures": dict(info.figures),
    }
