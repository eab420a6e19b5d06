"""The bundle that the device runs: model, labels, manifest and card in one folder."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import tomli_w
from ai_edge_litert.interpreter import Interpreter

from deploy.dataset import Category
from deploy.export import BOXES, LOGITS
from deploy.files import write_aside
from deploy.network import NetworkSpec

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
    """Write a bundle folder; an older one is replaced only when the new one is whole."""
    aside = out.with_name(f".{out.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    shutil.copyfile(model, aside / "model.tflite")
    labels = "".join(f"{c.name}\n" for c in info.categories).encode()
    write_aside(aside / "labels.txt", lambda file: file.write(labels))
    manifest = tomli_w.dumps(_manifest(aside / "model.tflite", info)).encode()
    write_aside(aside / "manifest.toml", lambda file: file.write(manifest))
    if (out / "README.md").is_file():
        shutil.copyfile(out / "README.md", aside / "README.md")
    shutil.rmtree(out, ignore_errors=True)
    aside.rename(out)


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
            "architecture": "ssdlite-mobilenet-v2",
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
            "sizes": [list(sizes) for sizes in anchors.sizes],
            "aspect_ratios": list(anchors.aspect_ratios),
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
