"""Short, stable names for the layers of an exported network.

The converter names a tensor after all modules that took part in it, up to 600 characters, and gives
two modules of the same class and index the same path. ``name_layers`` renames what a layer writes
to where the layer lies in ``deploy.training.network.SSDLite``: ``backbone.blocks.3.filter``,
``lateral.1``, ``fuse.0.add``, ``classify.2.predict``. Inputs and outputs of the model keep their
names: bundles name them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ai_edge_litert import schema_py_generated as schema

from deploy.quantization.export import Graph

_ROOT = re.compile(r".*SSDLite_network(?:/([^;]*))?;")
_CONVOLUTIONS = (schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.DEPTHWISE_CONV_2D)
_CONVERSIONS = (schema.BuiltinOperator.QUANTIZE, schema.BuiltinOperator.DEQUANTIZE)
_BUILTIN_NAMES = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)
}


@dataclass(frozen=True)
class Layer:
    """An operator that computes; conversions between number types are none.

    Attributes:
        name: of the layer.
        kind: of its operator, as `CONV_2D`.
        operator: in the graph.
        output: index of the tensor that it writes.
    """

    name: str
    kind: str
    operator: schema.OperatorT
    output: int


def tensor_name(graph: Graph, tensor: int) -> str:
    """The name of a tensor."""
    return graph.subgraph.tensors[tensor].name.decode()


def layers(graph: Graph) -> Iterator[Layer]:
    """The layers in the order of execution; call ``name_layers`` first."""
    outputs = {source(graph, t): name for name, t in _signature_outputs(graph).items()}
    for operator in graph.subgraph.operators:
        if is_conversion(graph, operator):
            continue
        output = operator.outputs[0]
        name = outputs.get(output) or tensor_name(graph, output)
        yield Layer(name, _BUILTIN_NAMES[graph.code(operator)], operator, output)


def is_conversion(graph: Graph, operator: schema.OperatorT) -> bool:
    """Whether an operator only converts between number types."""
    return graph.code(operator) in _CONVERSIONS


def source(graph: Graph, tensor: int) -> int:
    """The tensor that a value comes from, before any conversion of its number type."""
    producer = graph.producer(tensor)
    while producer is not None and is_conversion(graph, producer):
        tensor = producer.inputs[0]
        producer = graph.producer(tensor)
    return tensor


def name_layers(model: schema.ModelT) -> None:
    """Rename the tensors of a model, in place; what is named already stays as it is."""
    graph = Graph(model)
    fixed = {*graph.subgraph.inputs, *graph.subgraph.outputs}
    ends = _ends(graph)
    taken: set[str] = set()
    for operator in graph.subgraph.operators:
        name = _name(graph, operator, ends)
        if name is None or name in taken:
            continue
        taken.add(name)
        if operator.outputs[0] not in fixed:
            _rename(graph, operator.outputs[0], name)
        if graph.code(operator) in _CONVOLUTIONS:
            for constant, part in zip(operator.inputs[1:], ("weights", "bias"), strict=False):
                _rename(graph, source(graph, constant), f"{name}.{part}")


def _rename(graph: Graph, tensor: int, name: str) -> None:
    graph.subgraph.tensors[tensor].name = name.encode()


def _signature_outputs(graph: Graph) -> dict[str, int]:
    signatures = graph.model.signatureDefs or []
    return {e.name.decode(): e.tensorIndex for s in signatures for e in s.outputs}


def _ends(graph: Graph) -> dict[int, str]:
    """For every tensor that only heads read: the head, ``classify`` or ``regress``."""
    heads = {"logits": "classify", "boxes": "regress"}
    ends = {source(graph, t): heads.get(n, n) for n, t in _signature_outputs(graph).items()}
    for operator in reversed(graph.subgraph.operators):
        if (head := ends.get(operator.outputs[0])) is None:
            continue
        code = graph.code(operator)
        if code != schema.BuiltinOperator.DEPTHWISE_CONV_2D:
            ends |= dict.fromkeys(operator.inputs, head)
    return ends


def _name(graph: Graph, operator: schema.OperatorT, ends: dict[int, str]) -> str | None:
    """The layer's name by the converter's, or None where that says nothing."""
    found = _ROOT.match(tensor_name(graph, operator.outputs[0]).partition(";;")[0] + ";")
    if found is None:
        return None
    path = [part.rpartition(".")[2] for part in (found[1] or "").split("/") if part]
    path = [part for part in path if not part.startswith("BatchNorm2d_")]
    name = None
    match [part.partition("_")[::2] for part in path]:
        case [("Backbone", _), ("InvertedResidual", index)]:
            name = f"backbone.blocks.{index}.add"
        case [("Backbone", _), ("InvertedResidual", index), (_, part)]:
            name = f"backbone.blocks.{index}.{part}"
        case [("Backbone", _), (_, part)]:
            name = f"backbone.{part}"
        case [("ConvNorm", index)]:
            name = f"lateral.{index}" if index.isdigit() else index
        case [("Sequential", index), ("ConvNorm", part)]:
            name = f"extra.{index}.{part}" if index.isdigit() else f"{index}.{part}"
        case [("Head", index), (_, part)] if operator.outputs[0] in ends:
            name = f"{ends[operator.outputs[0]]}.{index}.{part}"
        case []:
            name = _joint_name(graph, operator)
    return name


def _joint_name(graph: Graph, operator: schema.OperatorT) -> str | None:
    """The name of an operator of ``SSDLite.forward`` itself: it joins layers that have names."""
    match graph.code(operator):
        case schema.BuiltinOperator.RESHAPE:
            before = tensor_name(graph, source(graph, operator.inputs[0]))
            return before.replace(".predict", ".reshape") if ".predict" in before else None
        case schema.BuiltinOperator.ADD:
            return _fusion_name(graph, operator, "add")
        case schema.BuiltinOperator.RESIZE_BILINEAR:
            return _fusion_name(graph, _reader(graph, operator.outputs[0]), "resize")
    return None


def _reader(graph: Graph, tensor: int) -> schema.OperatorT | None:
    """The operator that reads a tensor, after any conversion of its number type."""
    for operator in graph.subgraph.operators:
        if tensor in operator.inputs:
            converts = is_conversion(graph, operator)
            return _reader(graph, operator.outputs[0]) if converts else operator
    return None


def _fusion_name(graph: Graph, add: schema.OperatorT | None, part: str) -> str | None:
    """The name of a part of a fusion, numbered as the finer map's lateral convolution."""
    for tensor in add.inputs if add is not None else ():
        operator = graph.producer(source(graph, tensor))
        if operator is None or graph.code(operator) not in _CONVOLUTIONS:
            continue
        name = tensor_name(graph, operator.outputs[0])
        if name.startswith("lateral."):
            return f"fuse.{name.removeprefix('lateral.')}.{part}"
    return None
