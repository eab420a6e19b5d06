"""Post-training quantization: a float .tflite file of our network to what a recipe asks for.

Weights are quantized per channel, activations per tensor. Layers can be left in float32: the graph
then converts before and after them.
"""

from __future__ import annotations

import logging
import re
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils
from ai_edge_quantizer import qtyping, quantizer, recipe_manager
from ai_edge_quantizer.recipe_manager import AlgorithmName
from numpy.typing import NDArray

from deploy.quantization.calibrate import (
    QuantizationError,
    Ranges,
    calibrate,
    calibration_inputs,
    fix_ranges,
    override_ranges,
    quiet,
)
from deploy.quantization.export import (
    BOXES,
    INPUT,
    LOGITS,
    Graph,
    remove_identity_requantization,
    write_model,
)
from deploy.quantization.layers import layers, name_layers, tensor_name
from deploy.quantization.recipes import Recipe
from pi_detector.detector.runtime import read_model
from pi_detector.errors import PiDetectorError

__all__ = ["QuantizationError", "calibration_inputs", "input_size", "quantize", "read_network"]

log = logging.getLogger(__name__)

_WEIGHT_ALGORITHMS = {"mse": AlgorithmName.MSE, "octav": AlgorithmName.OCTAV}
_TYPES = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.INT64: np.int64,
}
_BIAS_STEPS = 2**15
_ALL = qtyping.TFLOperationName.ALL_SUPPORTED
_CONVOLUTIONS = (qtyping.TFLOperationName.CONV_2D, qtyping.TFLOperationName.DEPTHWISE_CONV_2D)


def read_network(path: Path) -> schema.ModelT:
    """The object tree of a .tflite file of our network, its layers named.

    Raises:
        QuantizationError: the file cannot be read, or is not our network.
    """
    try:
        model = flatbuffer_utils.read_model_from_bytearray(bytearray(read_model(path)))
        ends = {e.name.decode() for s in model.signatureDefs for e in (*s.inputs, *s.outputs)}
    except PiDetectorError as error:
        raise QuantizationError(str(error)) from error
    except (TypeError, ValueError, struct.error) as error:
        raise QuantizationError(f"{path}: is damaged, or has no signature ({error})") from error
    if ends != {INPUT, LOGITS, BOXES}:
        raise QuantizationError(
            f"{path}: has {', '.join(sorted(ends))}, not image, logits and boxes; give a file that "
            "was exported here"
        )
    name_layers(model)
    return model


def input_size(model: schema.ModelT) -> int:
    """Side of the network's square input, in pixels."""
    subgraph = model.subgraphs[0]
    return int(subgraph.tensors[subgraph.inputs[0]].shape[1])


def quantize(
    model: Path,
    recipe: Recipe,
    inputs: Iterable[dict[str, NDArray[np.float32]]],
    out: Path,
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> None:
    """Write a float .tflite file of our network as the recipe asks.

    Args:
        model: the float file.
        recipe: what becomes an integer, and how.
        inputs: network inputs for calibration, see ``calibration_inputs``; read once, one at a
            time, and only if the recipe calibrates.
        out: the file to write.
        ranges: lowest and highest values that take the place of calibrated ones, by the layer that
            gives them (or the tensor's name in the float file).

    Raises:
        QuantizationError: the model is no float network of ours, a pattern of the recipe matches
            no layer, or there is nothing to calibrate with.
    """
    tree = read_network(model)
    graph = Graph(tree)
    if any(t.type != schema.TensorType.FLOAT32 for t in _ends(graph)):
        raise QuantizationError(f"{model}: is quantized already; give the float32 file")
    if recipe.weights == "float32":
        write_model(tree, out)
        return
    original = flatbuffer_utils.read_model(str(model)).subgraphs[0].tensors
    names = {t.name.decode(): tensor_name(graph, i) for i, t in enumerate(original)}
    content = flatbuffer_utils.convert_object_to_bytearray(tree)
    rules = _rules(recipe, graph)
    found: Ranges = {}
    if recipe.calibrated:
        found = calibrate(bytes(content), rules, recipe, inputs)
        given = override_ranges(graph, found, ranges or {}, names)
        if not found:
            raise QuantizationError(f"recipe {recipe.name!r} calibrates, but there are no photos")
        fix_ranges(graph, found, recipe, given)
    with quiet():
        result = quantizer.Quantizer(content, rules).quantize(found, enable_progress_report=False)
    quantized = flatbuffer_utils.read_model_from_bytearray(bytearray(result.quantized_model))
    remove_identity_requantization(quantized)
    _restore_constant_channels(graph, Graph(quantized))
    write_model(quantized, out)


def _ends(graph: Graph) -> list[schema.TensorT]:
    subgraph = graph.subgraph
    return [subgraph.tensors[t] for t in (*subgraph.inputs, *subgraph.outputs)]


def _rules(recipe: Recipe, graph: Graph) -> qtyping.ModelQuantizationRecipe:
    """The quantizer's rules; of two that fit a layer, the last one counts."""
    rules = recipe_manager.RecipeManager()
    if recipe.weights == "float16":
        rules.add_weight_only_config(".*", _ALL, 16, algorithm_key=AlgorithmName.FLOAT_CASTING)
    elif recipe.calibrated:
        bits = 16 if recipe.activations == "int16" else 8
        rules.add_static_config(".*", _ALL, bits, 8)
        if algorithm := _WEIGHT_ALGORITHMS.get(recipe.calibration.method):
            for kind in _CONVOLUTIONS:
                rules.add_static_config(".*", kind, bits, 8, algorithm_key=algorithm)
    elif recipe.compute == "integer":
        rules.add_dynamic_config(".*", _ALL, 8)
    else:
        rules.add_weight_only_config(".*", _ALL, 8)
    for tensor in _float_tensors(recipe, graph):
        rules.add_quantization_config(
            f"^{re.escape(tensor)};", _ALL, algorithm_key=AlgorithmName.NO_QUANTIZE
        )
    return rules.get_quantization_recipe()


def _float_tensors(recipe: Recipe, graph: Graph) -> list[str]:
    """Output tensors of the layers that stay in float."""
    tensors: dict[str, str] = {}
    for pattern in recipe.float_layers:
        hits = [layer for layer in layers(graph) if re.fullmatch(pattern, layer.name)]
        if not hits:
            raise QuantizationError(
                f"recipe {recipe.name!r}: `float_layers`: {pattern!r} matches no whole name of a "
                "layer; `python -m deploy diagnose` lists them"
            )
        tensors |= {layer.name: tensor_name(graph, layer.output) for layer in hits}
    return list(tensors.values())


def _restore_constant_channels(original: Graph, quantized: Graph) -> None:
    """Give channels whose weights are all zero their bias back, in place.

    The quantizer's scale for such a channel is zero, which the fast kernels refuse, or so small
    that the bias, in units of it, is cut off at 32 bits. Zeros are zeros
    in any scale: one is taken that suits the bias.
    """
    floats = {layer.name: layer.operator for layer in layers(original)}
    for layer in layers(quantized):
        if not layer.kind.endswith("CONV_2D"):
            continue
        image, weights, bias = (quantized.subgraph.tensors[t] for t in layer.operator.inputs)
        if weights.type != schema.TensorType.INT8 or bias.type == schema.TensorType.FLOAT32:
            continue
        axis = weights.quantization.quantizedDimension
        kernels = np.moveaxis(_array(original, floats[layer.name].inputs[1]), axis, 0)
        constant = np.abs(kernels).reshape(len(kernels), -1).max(1) == 0
        if not constant.any():
            continue
        step = quantized.subgraph.tensors[layer.output].quantization.scale[0]
        unit = np.float32(image.quantization.scale[0])
        biases = _array(original, floats[layer.name].inputs[2])
        scales = np.array(weights.quantization.scale)
        scales[constant] = np.maximum(np.abs(biases[constant]), step) / (_BIAS_STEPS * unit)
        stored = _array(quantized, layer.operator.inputs[2]).copy()
        stored[constant] = np.rint(biases[constant] / (scales[constant] * unit))
        integers = _array(quantized, layer.operator.inputs[1]).copy()
        np.moveaxis(integers, axis, 0)[constant] = 0
        weights.quantization.scale, bias.quantization.scale = scales, scales * unit
        for tensor, values in ((weights, integers), (bias, stored)):
            quantized.model.buffers[tensor.buffer].data = np.frombuffer(values.tobytes(), np.uint8)


def _array(graph: Graph, tensor: int) -> NDArray:
    """The value of a constant tensor."""
    entry = graph.subgraph.tensors[tensor]
    data = bytes(graph.model.buffers[entry.buffer].data)
    return np.frombuffer(data, _TYPES[entry.type]).reshape(entry.shape)
