"""From a checkpoint to a proven bundle: export, quantize, measure, package."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path

from deploy.card import provenance, write_card
from deploy.checkpoint import load_network
from deploy.dataset import load_coco
from deploy.evaluate import evaluate
from deploy.export import export_float
from deploy.files import write_aside
from deploy.metrics import Metrics
from deploy.package import BundleInfo, write_bundle
from deploy.quantize import calibration_inputs, quantize
from deploy.recipes import Recipe
from pi_detector.config.settings import ModelSettings

log = logging.getLogger(__name__)

MAX_AP50_LOSS = 0.015


class GateError(ValueError):
    """A model that is not good enough to be packaged."""


@dataclass(frozen=True)
class BuildPlan:
    """What a build works on.

    Attributes:
        data: folder with `train.json`, `train/`, `val.json`, `val/`.
        annotations: annotation file of the training photos (with pseudo-labels, if there are).
        work: folder for intermediate files.
        out: the bundle.
        name, version, description: of the bundle.
        recipe: how to quantize.
    """

    data: Path
    annotations: Path
    work: Path
    out: Path
    name: str
    version: str
    description: str
    recipe: Recipe


def build_bundle(checkpoint: Path, plan: BuildPlan) -> dict[str, Metrics]:
    """Export, quantize, measure float and INT8, and write the bundle.

    Raises:
        GateError: INT8 loses more than 1.5 points of AP50 against float.
    """
    network = load_network(checkpoint)
    train = load_coco(plan.annotations, plan.data / "train")
    files = {kind: plan.work / f"{kind}.tflite" for kind in ("float32", "int8")}
    export_float(network, files["float32"])
    inputs = calibration_inputs(train.photos, network.spec.input_size, plan.recipe.calibration)
    quantize(files["float32"], plan.recipe, inputs, files["int8"])
    info = BundleInfo(
        plan.name, plan.version, plan.description, network.spec, train.categories,
        training=provenance(train, plan.annotations),
    )  # fmt: skip
    metrics = {}
    for kind, file in files.items():
        trial = plan.work / f"bundle-{kind}"
        write_bundle(file, info, trial)
        metrics[kind] = evaluate(
            ModelSettings(path=str(trial)), plan.data / "val.json", plan.data / "val"
        )
        log.info("%s: mean AP50 %.4f", kind, metrics[kind].ap50)
    loss = metrics["float32"].ap50 - metrics["int8"].ap50
    if loss > MAX_AP50_LOSS:
        raise GateError(f"INT8 loses {100 * loss:.1f} points of AP50; {plan.out} is not written")
    figures = {kind: m.tables() for kind, m in metrics.items()}
    scores = {label: c.score for label, c in metrics["int8"].classes.items()}
    info = replace(info, scores=scores, figures=_headline(metrics))
    write_bundle(files["int8"], info, plan.out)
    details = json.dumps(figures, indent=1).encode()
    write_aside(plan.out / "figures.json", lambda file: file.write(details))
    write_card(
        plan.out / "README.md",
        info,
        metrics,
        {kind: file.stat().st_size for kind, file in files.items()},
        "make model DATA=DIR WARM_START=mobilenet_v2.tflite "
        "TEACHER=ssd.tflite TEACHER_LABELS=ssd.txt",
    )
    return metrics


def _headline(metrics: dict[str, Metrics]) -> dict[str, object]:
    return {
        "data": "validation photos, COCO AP at IoU 0.50, mean over classes",
        **{f"ap50_{kind}": round(m.ap50, 4) for kind, m in metrics.items()},
        **{f"ap_{kind}": round(m.ap, 4) for kind, m in metrics.items()},
    }
