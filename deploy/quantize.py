"""Post-training quantization: a float .tflite file to full-integer INT8.

Weights are quantized per channel, activations per tensor from calibration photos. Three ranges are
not left to chance: the input's, so that the quantized input is the camera's byte minus 128; the
logits', which are cut off below a score that no user asks for; and those of the heads' outputs,
which are equal across feature maps so that their concatenation needs no requantization.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils
from ai_edge_quantizer import qtyping, quantizer, recipe
from numpy.typing import NDArray

from deploy.dataset import Photo, read_photo, sampling_weights
from deploy.export import INPUT, Graph, remove_identity_requantization, write_model

LOWEST_LOGIT = -7.0
"""A sigmoid of 0.0009: nobody asks for less, so the eight bits are spent above it."""
LOGIT_HEADROOM = 0.5
"""Above the highest calibrated logit: scores that are cut off there would tie."""


class QuantizationError(ValueError):
    """A model that cannot be quantized as asked."""


@dataclass(frozen=True)
class QuantizeSettings:
    """How to quantize.

    Attributes:
        photos: number of calibration photos.
        seed: of their choice.
    """

    photos: int = 256
    seed: int = 1


def calibration_inputs(
    photos: Sequence[Photo], size: int, settings: QuantizeSettings
) -> Iterator[dict[str, NDArray[np.float32]]]:
    """Network inputs of a balanced choice of photos, scaled as the device scales them.

    Raises:
        QuantizationError: there are fewer photos than asked for.
    """
    if len(photos) < settings.photos:
        raise QuantizationError(
            f"{len(photos)} calibration photos, {settings.photos} needed; add photos or lower "
            "the number"
        )
    rng = np.random.default_rng(settings.seed)
    weights = sampling_weights(tuple(photos))
    for index in rng.choice(len(photos), settings.photos, replace=False, p=weights):
        image = cv2.resize(read_photo(photos[index].path), (size, size))
        yield {INPUT: ((image.astype(np.float32) - 128.0) / 128.0)[None]}


def quantize(model: Path, photos: Sequence[Photo], settings: QuantizeSettings, out: Path) -> None:
    """Write ``out``: the INT8 version of a float .tflite file of our network."""
    graph = Graph(flatbuffer_utils.read_model(str(model)))
    tensors = graph.subgraph.tensors
    size = int(tensors[graph.subgraph.inputs[0]].shape[1])
    engine = quantizer.Quantizer(str(model), recipe.static_wi8_ai8())
    inputs = list(calibration_inputs(photos, size, settings))
    ranges = engine.calibrate({"serving_default": inputs}, num_threads=2)
    _fix_ranges(graph, ranges)
    result = engine.quantize(ranges, enable_progress_report=False)
    aside = out.with_suffix(".raw.tflite")
    out.parent.mkdir(parents=True, exist_ok=True)
    result.export_model(str(aside), overwrite=True)
    quantized = flatbuffer_utils.read_model(str(aside))
    aside.unlink()
    remove_identity_requantization(quantized)
    write_model(quantized, out)


def _fix_ranges(graph: Graph, ranges: dict[str, qtyping.QSV]) -> None:
    def name(tensor: int) -> str:
        return graph.subgraph.tensors[tensor].name.decode()

    def assign(tensor: int, low: float, high: float) -> None:
        entry = ranges[name(tensor)]
        entry["min"] = np.full_like(entry["min"], low)
        entry["max"] = np.full_like(entry["max"], high)

    # (byte - 128) / 128 over all bytes: a scale of 1/128 and a zero point of 0.
    assign(graph.subgraph.inputs[0], -1.0, 127.0 / 128.0)
    for operator in graph.subgraph.operators:
        if graph.code(operator) != schema.BuiltinOperator.CONCATENATION:
            continue
        chain = [operator.outputs[0]]
        for reshaped in operator.inputs:
            chain += [reshaped, graph.producer(reshaped).inputs[0]]
        low = min(float(np.min(ranges[name(t)]["min"])) for t in chain)
        high = max(float(np.max(ranges[name(t)]["max"])) for t in chain)
        classes = graph.subgraph.tensors[operator.outputs[0]].shape[2] != 4
        if classes:
            low, high = max(low, LOWEST_LOGIT), high + LOGIT_HEADROOM
        for tensor in chain:
            assign(tensor, low, high)
