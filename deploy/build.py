"""From a checkpoint to a proven bundle: export, quantize, measure, package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from deploy.calibrate import calibration_inputs
from deploy.card import Card, provenance
from deploy.checkpoint import lineage, load_network
from deploy.confusion import confusion
from deploy.dataset import load_coco
from deploy.evaluate import detect_photos
from deploy.export import export_float
from deploy.gate import check_accuracy, check_golden, check_integers
from deploy.golden import Found, record
from deploy.metrics import Metrics, measure
from deploy.package import BundleInfo, staged_bundle, write_bundle
from deploy.quantize import quantize
from deploy.recipes import Recipe
from pi_detector.config.settings import ModelSettings

FLOAT, PTQ, QAT = "float32", "int8", "int8-qat"


@dataclass(frozen=True)
class BuildPlan:
    """What a build works on.

    Attributes:
        data: folder with `train.json`, `train/`, `val.json`, `val/`.
        annotations: annotation file of the training photos (with pseudo-labels, if there are).
        checkpoint: of the float network.
        work: folder for intermediate files.
        out: the bundle.
        name, version, description: of the bundle.
        recipe: how to quantize.
        qat: folder that quantization-aware training wrote, or None.
        golden: folder of golden pictures beside the demonstration's, or None.
    """

    data: Path
    annotations: Path
    checkpoint: Path
    work: Path
    out: Path
    name: str
    version: str
    description: str
    recipe: Recipe
    qat: Path | None = None
    golden: Path | None = None


def build_bundle(plan: BuildPlan) -> dict[str, Metrics]:
    """Export, quantize, measure, and write the bundle of the best INT8 file.

    Returns:
        Figures of the float file and of each INT8 file, the shipped one last.

    Raises:
        GateError: the best INT8 file fails the gate; no bundle is written.
    """
    network = load_network(plan.checkpoint)
    train = load_coco(plan.annotations, plan.data / "train")
    files = {FLOAT: plan.work / "float32.tflite", PTQ: plan.work / "int8.tflite"}
    export_float(network, files[FLOAT])
    inputs = calibration_inputs(train.photos, network.spec.input_size, plan.recipe.calibration)
    quantize(files[FLOAT], plan.recipe, inputs, files[PTQ])
    if plan.qat:
        files[QAT] = plan.qat / "int8.tflite"
    info = BundleInfo(
        plan.name, plan.version, plan.description, network.spec, train.categories,
        training=provenance(train, plan.annotations),
    )  # fmt: skip
    results = {kind: _detect(plan, info, kind, file) for kind, file in files.items()}
    metrics = {kind: measure(plan.data / "val.json", found) for kind, found in results.items()}
    best = max((kind for kind in files if kind != FLOAT), key=lambda kind: metrics[kind].ap50)
    metrics[best] = metrics.pop(best)
    checkpoint = plan.qat / "last.pt" if best == QAT and plan.qat else plan.checkpoint
    info = replace(
        info,
        scores={label: c.score for label, c in metrics[best].classes.items()},
        figures=_headline(metrics, best),
        training={**info.training, "lineage": lineage(checkpoint)},
    )
    golden = record(_trial(plan, FLOAT), plan.golden, plan.work / "golden", info.scores)
    check_accuracy(metrics[FLOAT], metrics[best])
    check_integers(files[best])
    check_golden(_trial(plan, best), golden, plan.work / "golden", info.scores)
    sizes = {kind: files[kind].stat().st_size for kind in metrics}
    operating_point = confusion(plan.data / "val.json", results[best], info.scores)
    _publish(plan, files[best], Card(info, metrics, sizes, operating_point), golden)
    return metrics


def _trial(plan: BuildPlan, kind: str) -> ModelSettings:
    return ModelSettings(path=str(plan.work / f"bundle-{kind}"))


def _detect(plan: BuildPlan, info: BundleInfo, kind: str, file: Path) -> list[dict]:
    """Detections on the validation photos, as COCO results."""
    trial = _trial(plan, kind)
    write_bundle(file, info, Path(trial.path))
    return detect_photos(trial, plan.data / "val.json", plan.data / "val")


def _publish(plan: BuildPlan, model: Path, card: Card, golden: Mapping[str, Found]) -> None:
    figures = {kind: m.tables() for kind, m in card.metrics.items()}
    with staged_bundle(plan.out) as folder:
        write_bundle(model, card.info, folder)
        (folder / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
        (folder / "golden.json").write_text(_lines(golden), "utf-8")
        for picture in (name for name in golden if not name.startswith("demo:")):
            (folder / "golden").mkdir(exist_ok=True)
            content = (plan.work / "golden" / picture).read_bytes()
            (folder / "golden" / picture).write_bytes(content)
        (folder / "README.md").write_text(card.text(), "utf-8")


def _lines(golden: Mapping[str, Found]) -> str:
    """JSON, a line a picture."""
    rows = (f" {json.dumps(name)}: {json.dumps(found)}" for name, found in golden.items())
    return "{\n" + ",\n".join(rows) + "\n}\n"


def _headline(metrics: Mapping[str, Metrics], shipped: str) -> dict[str, object]:
    return {
        "data": "validation photos, COCO AP at IoU 0.50, mean over classes",
        "shipped": shipped,
        **{f"ap50_{kind}": round(m.ap50, 4) for kind, m in metrics.items()},
        **{f"ap_{kind}": round(m.ap, 4) for kind, m in metrics.items()},
    }
