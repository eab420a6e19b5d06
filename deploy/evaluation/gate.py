"""The gate: an INT8 model that fails here is not packaged."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from deploy.evaluation.golden import Found, disagreements
from deploy.evaluation.metrics import Metrics
from pi_detector.config.settings import ModelSettings

MAX_LOSS = 0.015
"""Of AP and of AP50, against the float model."""


class GateError(ValueError):
    """A model that is not good enough to be packaged."""


def check_accuracy(floating: Metrics, quantized: Metrics) -> None:
    """Refuse a model that loses too much against its float original.

    Raises:
        GateError: it loses more than 1.5 points of AP or of AP50.
    """
    for name in ("ap", "ap50"):
        loss = getattr(floating, name) - getattr(quantized, name)
        if loss > MAX_LOSS:
            raise GateError(
                f"INT8 loses {100 * loss:.1f} points of {name.upper()} against float "
                f"({100 * MAX_LOSS} allowed); look where with `python -m deploy diagnose`"
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
