"""The gate: an INT8 model that fails here is not packaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from deploy.evaluation.bootstrap import Matches, difference
from deploy.evaluation.golden import Found, disagreements
from deploy.evaluation.interval import Interval
from deploy.evaluation.metrics import Metrics
from pi_detector.config.settings import ModelSettings

MAX_LOSS = 1.5
"""Points of AP and of AP50 that INT8 may lose against float."""
FLOOR = 0.30
"""AP50 below which a model finds so little, or so much that is not there, that it is of no use."""
IOUS = tuple(np.linspace(0.5, 0.95, 10).tolist())
"""The overlaps of COCO's AP."""
_AP_SAMPLES = 200


class GateError(ValueError):
    """A model that is not good enough to be packaged.

    Attributes:
        tables: what was measured, as Markdown, for a person to see.
    """

    tables: str = ""


@dataclass(frozen=True)
class Loss:
    """What INT8 loses against float on a set of photos, each with its 95 % interval."""

    ap50: Interval
    ap: Interval

    @classmethod
    def measured(
        cls, annotations: Path, floating: Sequence[Mapping], quantized: Sequence[Mapping]
    ) -> Loss:
        """From the detections of both on the photos of an annotation file."""

        def matches(rows: Sequence[Mapping], ious: tuple[float, ...]) -> Matches:
            return Matches(annotations, [dict(row) for row in rows], ious)

        return cls(
            difference(matches(floating, (0.5,)), matches(quantized, (0.5,))),
            difference(matches(floating, IOUS), matches(quantized, IOUS), _AP_SAMPLES),
        )


def check_loss(loss: Loss) -> None:
    """Refuse a model that loses too much against its float original.

    Few photos show no difference of a few points: a loss that may as well be chance is none.

    Raises:
        GateError: it loses more than 1.5 points of AP or of AP50, and the photos show a loss.
    """
    for name, interval in (("AP", loss.ap), ("AP50", loss.ap50)):
        if interval.points > MAX_LOSS and interval.shown:
            raise GateError(
                f"INT8 loses {interval} of {name} against float ({MAX_LOSS} allowed); find the "
                "layers with `python -m deploy diagnose`"
            )


def check_floor(metrics: Metrics, photos: str) -> None:
    """Refuse a model that has learnt too little, whatever it loses.

    Raises:
        GateError: its AP50 is below 0.30.
    """
    if metrics.ap50 < FLOOR:
        worst = sorted(metrics.classes, key=lambda label: metrics.classes[label].ap50)[:3]
        raise GateError(
            f"AP50 {metrics.ap50:.3f} on {photos}, below {FLOOR:.2f} (worst: {', '.join(worst)}); "
            "train longer, add photos, or check the boxes with `dataset show`"
        )


def check_integers(model: Path) -> None:
    """Refuse a file that computes in floating point.

    Raises:
        GateError: names the tensors.
    """
    floats = (schema.TensorType.FLOAT32, schema.TensorType.FLOAT16, schema.TensorType.FLOAT64)
    tree = flatbuffer_utils.read_model(str(model))
    names = [t.name.decode() for s in tree.subgraphs for t in s.tensors if t.type in floats]
    if names:
        raise GateError(
            f"{model}: {len(names)} tensors are in floating point, {names[0]!r} first; full "
            "integer is what the device is fast at"
        )


def check_golden(
    model: ModelSettings, golden: Mapping[str, Found], folder: Path, scores: Mapping[str, float]
) -> None:
    """Refuse a model that finds other objects than those recorded for its golden pictures.

    Raises:
        GateError: names the first difference.
    """
    wrong = disagreements(model, golden, folder, scores)
    if wrong:
        raise GateError(f"{len(wrong)} differences in the golden pictures: {'; '.join(wrong[:3])}")
