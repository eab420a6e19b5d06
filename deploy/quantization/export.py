"""A trained network to a float .tflite file whose graph is clean for INT8.

The converter works in the channels-first layout of PyTorch. Where it cannot hide that, it leaves
TRANSPOSE and PAD operators around stride-2 convolutions; ``simplify`` removes them, so that the
file holds what the device must compute and nothing else.
"""

from __future__ import annotations

import logging
from pathlib import Path

import litert_torch
import numpy as np
import torch
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils
from torch import Tensor, nn

from deploy.files import write_aside
from deploy.training.network import SSDLite

log = logging.getLogger(__name__)

INPUT, LOGITS, BOXES = "image", "logits", "boxes"
_TO_CHANNELS_FIRST = [0, 3, 1, 2]
_TO_CHANNELS_LAST = [0, 2, 3, 1]
_PAD_END = [[0, 0], [0, 0], [0, 1], [0, 1]]


class _ChannelsLast(nn.Module):
    """The network behind the device's interface: (1, H, W, 3) in, named outputs."""

    def __init__(self, network: SSDLite) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        logits, boxes = self.network(image.permute(0, 3, 1, 2))
        return {LOGITS: logits, BOXES: boxes}


def export_float(network: SSDLite, out: Path) -> None:
    """Write the network as a float32 .tflite file, simplified."""
    size = network.spec.input_size
    model = litert_torch.convert(
        _ChannelsLast(network).eval(), sample_kwargs={INPUT: torch.zeros(1, size, size, 3)}
    )
    raw = out.with_suffix(".raw.tflite")
    out.parent.mkdir(parents=True, exist_ok=True)
    model.export(str(raw))
    graph = flatbuffer_utils.read_model(str(raw))
    simplify(graph)
    raw.unlink()
    write_model(graph, out)


def write_model(graph: schema.ModelT, out: Path) -> None:
    """Write a model's object tree as a .tflite file."""
    data = flatbuffer_utils.convert_object_to_bytearray(graph)
    write_aside(out, lambda file: file.write(data))


class Graph:
    """A subgraph with the look-ups that rewriting needs."""

    def __init__(self, model: schema.ModelT) -> None:
        self.model = model
        self.subgraph = model.subgraphs[0]

    def code(self, operator: schema.OperatorT) -> int:
        """The builtin operator code."""
        entry = self.model.operatorCodes[operator.opcodeIndex]
        return max(entry.builtinCode, entry.deprecatedBuiltinCode)

    def producer(self, tensor: int) -> schema.OperatorT | None:
        """The operator that writes a tensor."""
        return next((o for o in self.subgraph.operators if tensor in o.outputs), None)

    def constant(self, tensor: int) -> np.ndarray | None:
        """The int32 value of a constant tensor."""
        data = self.model.buffers[self.subgraph.tensors[tensor].buffer].data
        if data is None or not len(data):
            return None
        shape = self.subgraph.tensors[tensor].shape
        return np.frombuffer(bytes(data), np.int32).reshape(shape)

    def is_transpose(self, operator: schema.OperatorT | None, permutation: list[int]) -> bool:
        """Whether an operator is a TRANSPOSE by this permutation."""
        if operator is None or self.code(operator) != schema.BuiltinOperator.TRANSPOSE:
            return False
        value = self.constant(operator.inputs[1])
        return value is not None and value.tolist() == permutation

    def replace(self, old: int, new: int) -> None:
        """Read ``new`` wherever ``old`` was read."""
        for operator in self.subgraph.operators:
            operator.inputs = [new if i == old else i for i in operator.inputs]
        self.subgraph.outputs = [new if i == old else i for i in self.subgraph.outputs]
        for signature in self.model.signatureDefs or []:
            for entry in signature.outputs:
                entry.tensorIndex = new if entry.tensorIndex == old else entry.tensorIndex

    def remove_unread(self) -> None:
        """Remove operators whose results nobody reads, then tensors that no operator has."""
        while True:
            read = {i for o in self.subgraph.operators for i in o.inputs}
            read |= set(self.subgraph.outputs)
            kept = [o for o in self.subgraph.operators if read & set(o.outputs)]
            if len(kept) == len(self.subgraph.operators):
                break
            self.subgraph.operators = kept
        self._remove_unused_tensors()

    def _remove_unused_tensors(self) -> None:
        subgraph = self.subgraph
        used = {i for o in subgraph.operators for i in (*o.inputs, *o.outputs) if i >= 0}
        order = sorted(used | set(subgraph.inputs) | set(subgraph.outputs))
        renumbered = {old: new for new, old in enumerate(order)} | {-1: -1}
        subgraph.tensors = [subgraph.tensors[i] for i in order]
        for owner in (*subgraph.operators, subgraph):
            owner.inputs = [renumbered[i] for i in owner.inputs]
            owner.outputs = [renumbered[i] for i in owner.outputs]
        for signature in self.model.signatureDefs or []:
            for entry in (*signature.inputs, *signature.outputs):
                entry.tensorIndex = renumbered[entry.tensorIndex]


def simplify(model: schema.ModelT) -> None:
    """Remove layout changes that cancel, and fold paddings into the convolutions that follow."""
    graph = Graph(model)
    before = len(graph.subgraph.operators)
    for operator in graph.subgraph.operators:
        if not graph.is_transpose(operator, _TO_CHANNELS_LAST):
            continue
        inner = graph.producer(operator.inputs[0])
        if graph.is_transpose(inner, _TO_CHANNELS_FIRST):
            graph.replace(operator.outputs[0], inner.inputs[0])
        elif inner is not None and graph.code(inner) == schema.BuiltinOperator.PAD:
            _fold_padding(graph, operator, inner)
    graph.remove_unread()
    log.info("simplified: %d operators, %d before", len(graph.subgraph.operators), before)


def _fold_padding(graph: Graph, last: schema.OperatorT, pad: schema.OperatorT) -> None:
    """TRANSPOSE, PAD by (0, 1), TRANSPOSE, stride-2 'VALID' convolution: one 'SAME' convolution.

    'SAME' pads an even size by (0, 1), for a kernel of 3 and a stride of 2.
    """
    first = graph.producer(pad.inputs[0])
    amounts = graph.constant(pad.inputs[1])
    if not graph.is_transpose(first, _TO_CHANNELS_FIRST) or amounts.tolist() != _PAD_END:
        return
    readers = [o for o in graph.subgraph.operators if last.outputs[0] in o.inputs]
    for reader in readers:
        options = reader.builtinOptions
        if getattr(options, "strideH", None) != 2 or options.padding != schema.Padding.VALID:
            return
    for reader in readers:
        reader.builtinOptions.padding = schema.Padding.SAME
    graph.replace(last.outputs[0], first.inputs[0])


def remove_identity_requantization(model: schema.ModelT) -> None:
    """Remove QUANTIZE operators whose input and output are quantized alike."""
    graph = Graph(model)
    tensors = graph.subgraph.tensors
    for operator in graph.subgraph.operators:
        if graph.code(operator) != schema.BuiltinOperator.QUANTIZE:
            continue
        source, result = operator.inputs[0], operator.outputs[0]
        a, b = tensors[source].quantization, tensors[result].quantization
        same_type = tensors[source].type == tensors[result].type
        if same_type and np.array_equal(a.zeroPoint, b.zeroPoint) and np.allclose(a.scale, b.scale):
            graph.replace(result, source)
    graph.remove_unread()
