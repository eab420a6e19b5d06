"""From a checkpoint to a proven bundle: export, quantize, measure, package."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from deploy.data.dataset import DatasetError, load_coco, narrow
from deploy.evaluation.evaluate import detect_photos, table
from deploy.evaluation.gate import (
    GateError,
    Loss,
    check_floor,
    check_golden,
    check_integers,
    check_loss,
)
from deploy.evaluation.golden import Found, record
from deploy.evaluation.metrics import Metrics, measure, scores_to_ship
from deploy.packaging.card import SETS, Card, Gate, OperatingPoint, provenance
from deploy.packaging.package import DEFAULT_SCORE, BundleInfo, staged_bundle, write_bundle
from deploy.quantization.calibrate import calibration_inputs, list_frames
from deploy.quantization.export import export_float
from deploy.quantization.quantize import quantize
from deploy.quantization.recipes import Recipe
from deploy.training.checkpoint import labels, lineage, load_network
from pi_detector.config.settings import ModelSettings

FLOAT, PTQ, QAT = "float32", "int8", "int8-qat"
VAL, FAR = "val", "far"


@dataclass(frozen=True)
class BuildPlan:
    """What a build works on.

    Attributes:
        data: folder with `train.json`, `train/`, `val.json`, `val/`, and, for photos of other
            places, `far.json` and `far/`.
        annotations: annotation file of the training photos (with pseudo-labels, if there are).
        checkpoint: of the float network.
        work: folder for intermediate files.
        out: the bundle.
        name, version, description: of the bundle.
        recipe: how to quantize.
        qat: folder that quantization-aware training wrote, or None.
        golden: folder of golden pictures beside the demonstration's, or None.
        accept: why a file is packaged although it fails the gate, which the card then says; ""
            packages none that fails.
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
    accept: str = ""


@dataclass(frozen=True)
class _Split:
    """Photos that a build measures on: annotations of the network's classes alone."""

    annotations: Path
    images: Path

    def measure(self, results: Sequence[Mapping]) -> Metrics:
        return measure(self.annotations, list(results))


def build_bundle(plan: BuildPlan) -> dict[str, dict[str, Metrics]]:
    """Export, quantize, measure, and write the bundle of the best INT8 file.

    The best one is that of the photos of other places (`far.json`), where there are some.

    Returns:
        By set of photos, figures of the float file and of each INT8 file, the shipped one last.

    Raises:
        DatasetError: something that is needed is missing, before the long work begins.
        GateError: the best INT8 file fails the gate; no bundle is written.
    """
    check_inputs(plan)
    network = load_network(plan.checkpoint)
    classes = labels(plan.checkpoint)
    train = load_coco(plan.annotations, plan.data / "train", classes, lacking=True)
    splits = _splits(plan, classes)
    files = {FLOAT: plan.work / "float32.tflite", PTQ: plan.work / "int8.tflite"}
    export_float(network, files[FLOAT])
    info = BundleInfo(
        plan.name, plan.version, plan.description, network.spec, train.categories,
        training=provenance(train, plan.annotations),
    )  # fmt: skip
    write_bundle(files[FLOAT], info, Path(_trial(plan, FLOAT).path))
    usual = dict.fromkeys(classes, DEFAULT_SCORE)
    golden = record(_trial(plan, FLOAT), plan.golden, plan.work / "golden", usual)
    inputs = calibration_inputs(train.photos, network.spec.input_size, plan.recipe.calibration)
    quantize(files[FLOAT], plan.recipe, inputs, files[PTQ])
    if plan.qat:
        files[QAT] = plan.qat / "int8.tflite"
    results = {
        name: {kind: _detect(plan, info, kind, file, split) for kind, file in files.items()}
        for name, split in splits.items()
    }
    metrics = {
        name: {kind: splits[name].measure(rows) for kind, rows in found.items()}
        for name, found in results.items()
    }
    judge = metrics[FAR if FAR in metrics else VAL]
    best = max((kind for kind in files if kind != FLOAT), key=lambda kind: judge[kind].ap50)
    for figures in metrics.values():
        figures[best] = figures.pop(best)
    checkpoint = plan.qat / "last.pt" if best == QAT and plan.qat else plan.checkpoint
    scores = scores_to_ship(figures[best] for figures in metrics.values())
    info = replace(
        info,
        scores=usual | scores,
        figures=_headline(metrics, best),
        training={**info.training, "lineage": lineage(checkpoint)},
    )
    check_integers(files[best])
    losses = {
        name: Loss.measured(split.annotations, results[name][FLOAT], results[name][best])
        for name, split in splits.items()
    }
    failures = _failures(
        [
            *(partial(check_floor, metrics[name][best], SETS[name].lower()) for name in splits),
            *(partial(check_loss, loss) for loss in losses.values()),
            partial(check_golden, _trial(plan, best), golden, plan.work / "golden", info.scores),
        ]
    )
    if failures and not plan.accept:
        error = GateError("; ".join(failures))
        error.tables = "\n".join(f"{name}\n\n{table(m)}" for name, m in metrics.items())
        raise error
    points = {
        name: OperatingPoint.measured(split.annotations, results[name][best], info.scores)
        for name, split in splits.items()
    }
    sizes = {kind: files[kind].stat().st_size for kind in judge}
    gate = Gate(losses, failures, plan.accept if failures else "")
    _publish(plan, files[best], Card(info, metrics, sizes, points, gate), golden)
    return metrics


def check_inputs(plan: BuildPlan) -> None:
    """Refuse what would end a build after minutes.

    Raises:
        DatasetError, CheckpointError: names what is missing or cannot be read.
    """
    classes = labels(plan.checkpoint)
    for name in (VAL, FAR):
        annotations = plan.data / f"{name}.json"
        if name == VAL or annotations.exists():
            load_coco(annotations, plan.data / name, classes, lacking=True)
    if plan.golden is not None and not list_frames(plan.golden):
        raise DatasetError(f"{plan.golden}: holds no picture; add some, or leave out --golden")
    if plan.qat is not None:
        for file in ("int8.tflite", "last.pt"):
            if not (plan.qat / file).is_file():
                raise DatasetError(f"{plan.qat / file}: is missing; run `python -m deploy qat`")


def _failures(checks: Sequence[Callable[[], None]]) -> list[str]:
    """What the checks of the gate refuse, all of it."""
    found = []
    for check in checks:
        try:
            check()
        except GateError as error:
            found.append(str(error))
    return found


def _splits(plan: BuildPlan, classes: Sequence[str]) -> dict[str, _Split]:
    splits = {}
    for name in (VAL, FAR):
        annotations = plan.data / f"{name}.json"
        if name == VAL or annotations.exists():
            known = narrow(annotations, classes, plan.work / f"{name}.json")
            splits[name] = _Split(known, plan.data / name)
    return splits


def _trial(plan: BuildPlan, kind: str) -> ModelSettings:
    return ModelSettings(path=str(plan.work / f"bundle-{kind}"))


def _detect(plan: BuildPlan, info: BundleInfo, kind: str, file: Path, split: _Split) -> list[dict]:
    """Detections on the photos of a split, as COCO results."""
    trial = _trial(plan, kind)
    write_bundle(file, info, Path(trial.path))
    return detect_photos(trial, split.annotations, split.images)


def _publish(plan: BuildPlan, model: Path, card: Card, golden: Mapping[str, Found]) -> None:
    figures = {
        name: {kind: m.tables() for kind, m in kinds.items()}
        for name, kinds in card.metrics.items()
    }
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


def _headline(metrics: Mapping[str, Mapping[str, Metrics]], shipped: str) -> dict[str, object]:
    return {
        "data": "COCO AP at IoU 0.50 and at 0.50 to 0.95, mean over classes, by set of photos",
        "shipped": shipped,
        **{
            name: {
                **{f"ap50_{kind}": round(m.ap50, 4) for kind, m in kinds.items()},
                **{f"ap_{kind}": round(m.ap, 4) for kind, m in kinds.items()},
            }
            for name, kinds in metrics.items()
        },
    }
